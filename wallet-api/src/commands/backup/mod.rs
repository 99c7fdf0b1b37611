//! Backup and restore of the private database, and what any restore means for the journals.
//!
//! `backup` copies a running database and has its log archived from then on; `check-backup` tells whether that can be
//! relied on; `restore` makes a new data folder of it, at its end or at a time, replays, verifies, compares with the last
//! known heads and begins a new line of history (JOURNAL 29). No node leads restored books that lack something, or that
//! could be compared with nothing, before `accept-restore`. A database of one's own is backed up by its own means;
//! `begin-fork` then does what `restore` does after the copy. A backup has the keys of the
//! log too (`proof/`, as closed as they are). Not here: personal data's keys; encryption and upload of backups. Steps: docs/operations/backup.md.

mod archive;
mod check;
mod heads;
mod label;
mod lines;
mod restore;
mod store;
mod take;

pub use check::{CheckArgs, check};
pub(super) use heads::{Keeper, beside};
pub use lines::{AcceptArgs, BeginForkArgs, accept_restore, begin_fork, must_be_accepted, must_hold_published};
pub use restore::{RestoreArgs, restore};
pub use take::{BackupArgs, backup};
