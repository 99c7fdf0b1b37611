//! What every slice stands on, and nothing a slice knows.

pub mod clock;
pub mod cluster;
pub mod db;
pub mod http;
pub mod ids;
pub mod keyring;
pub mod problem;
pub mod telemetry;
pub mod text;
