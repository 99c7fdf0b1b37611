//! End-to-end, contract and fault tests of the whole house, one file per journey. The harness is `tessera_tests`.

mod config;
mod database;
mod edge;
mod hooks;
mod idempotency;
mod import;
mod journal;
mod money;
mod nodes;
mod openapi;
mod plans;
mod tidy;
mod verify;
