//! commands

pub mod doctor;
