//! The command line's commands: they put the slices together, and nothing imports them.

pub mod bench;
pub mod doctor;
pub mod import;
