//! The command line's commands; the one place that knows every slice.

pub mod bench;
pub mod import;
