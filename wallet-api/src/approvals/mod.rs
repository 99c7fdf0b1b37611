//! Approvals: what one person asked for and takes four eyes is decided by another, and done from the very bytes that were asked.
//!
//! Promise: done once. A table of limits and a rule of strong authentication are published in the transaction of the decision; a refund is posted after it under
//! the request's id as the journal's key; an erasure forgets once by itself. So where the answer was lost, or a node died between
//! decision and deed, approving again does what is not done and tells what is, for as long as the request stands. What the
//! books refuse then is refused for good, and the decision stays. Whoever decides may also do what the act is about.
//! Not here: who asks (refunds, limits, erasures, rules), whose eyes are whose (`identity::four_eyes`), corrections of the books.

mod routes;

pub use routes::routes;
