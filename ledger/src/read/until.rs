//! How long a long reading goes on: until somebody still waits for it.
//!
//! A reading of many pages asks before each one. Past its time it ends with [`ReadError::Deadline`]; before, the server is
//! told how long the next page may take. So what nobody waits for any more holds its session for a moment, not for
//! minutes. Not here: how many may read at once (whoever calls).

use std::time::{Duration, Instant};

use diesel::{PgConnection, RunQueryDsl};

use super::ReadError;
use crate::bind::{Arg, statement};
use crate::store::StoreError;

/// While more than this is left, a statement has the session's own timeout.
const TELL_FROM: Duration = Duration::from_secs(5);

/// The end of a reading's time, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until(Option<Instant>);

impl Until {
    /// As long as it takes.
    pub const ENDLESS: Self = Self(None);

    /// Up to a moment.
    #[must_use]
    pub const fn at(end: Instant) -> Self {
        Self(Some(end))
    }

    /// Goes on only while there is time, and gives the next statements of this transaction no more than what is left.
    ///
    /// # Errors
    /// [`ReadError::Deadline`] when there is none; what the database says.
    pub fn go_on(self, conn: &mut PgConnection) -> Result<(), ReadError> {
        const TEXT: &str = "SELECT set_config('statement_timeout', ?, true)";
        let Some(end) = self.0 else { return Ok(()) };
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ReadError::Deadline);
        }
        if left < TELL_FROM {
            // Zero would be no limit at all.
            let left_ms = left.as_millis().max(1).to_string();
            statement::<()>(TEXT, &[Arg::Text(&left_ms)]).execute(conn).map_err(StoreError::from)?;
        }
        Ok(())
    }
}
