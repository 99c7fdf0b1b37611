//! A person's rights over what is kept of them: to have it (GDPR, Art. 15 and 20), and to be forgotten (Art. 17).
//!
//! [`export`] writes all of it as lines of JSON, a page at a time, who looked included. [`erase`] closes the wallet in the books,
//! which must be empty, and then, in one commit, destroys the person's key, closes the person and ends their sessions; what
//! the key sealed opens nowhere any more. What the law makes us keep (payments, for five years: Art. 17(3)(b)) stays under an
//! id that nothing leads to. Staff may order it too, with four eyes. The receipt is signed, and a database restored from a backup forgets again before it serves.
//! Limits: rewards that were not used lapse. Not here: how a key is destroyed (`platform::vault`), what the books keep.

mod erase;
mod export;
mod routes;

pub use erase::{Erasing, erase, erase_approved};
pub use export::{Export, Source};
pub use routes::routes;
