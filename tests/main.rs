//! End-to-end, contract and fault tests of the whole house, one file per journey. The harness is `tessera_tests`.

mod backup;
mod config;
mod consumers;
mod contract;
mod database;
mod edge;
mod faults;
mod hooks;
mod idempotency;
mod import;
mod journal;
mod limits;
mod link;
mod money;
mod nodes;
mod observe;
mod openapi;
mod plans;
mod reference;
mod ship;
mod tidy;
mod verify;
