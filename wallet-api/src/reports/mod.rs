//! Reports over the books: what points are unspent and worth, roll-forwards, statements and trial balances as files.
//!
//! Promise: a report says at which seq it is true, and carries its own check: units are held against the balances of the
//! accounts they lie on, by readings of the journal that share nothing; a report that does not agree says so. Figures are
//! whole minor units and exact. Memory is bounded by months, campaigns and pages, not by the books.
//! A day is closed here too: that writes a row of its own, and nothing else here writes.
//! Not here: what a unit is worth to whom (the accountant says it), personal data (reports know accounts by id).

mod bodies;
mod close;
mod flow;
mod form;
mod groups;
mod liability;
mod limits;
mod roll_forward;
mod routes;
mod sheets;
mod statement;
mod value;
mod walk;

pub use bodies::{LiabilityBody, RollForwardBody, ValueReportBody};
pub use close::{ClosingBody, LateBody};
pub use flow::What;
pub use form::{Cell, CsvFile, Form, FormError, Heading, XlsxFile};
pub use groups::{Ends, Group, Groups, Month, Units};
pub use liability::{Check, Liability};
pub use limits::{LimitsReport, Refused, limits};
pub use roll_forward::{DebtLine, Line, Movements, RollForward};
pub use routes::routes;
pub use sheets::{
    File, LIABILITY, ROLL_FORWARD, TRIAL_BALANCE, VALUE, liability as liability_rows,
    roll_forward as roll_forward_rows, trial_balance as trial_balance_rows, value as value_rows,
};
pub use statement::StatementFile;
pub use value::{Shares, Terms, Value, ValueError};
pub use walk::{Source, When};
