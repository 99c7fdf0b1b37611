//! Whether somebody of the staff acts: in a session of theirs, or by a key of theirs.

use super::keyring::Caller;

/// Whether a person who works for the tenant acts. A key that was made for nobody acts for the house: whose hands it is in
/// is not known, so it is no pair of eyes, and looks through it are the tenant's systems' own.
#[must_use]
pub fn acts(caller: &Caller) -> bool {
    // A key has the eyes of whom it was made for, whose number is not its client's.
    caller.operator().is_some() || caller.eyes() != caller.client()
}
