//! The harness of the end-to-end tests: a private PostgreSQL, databases cloned from a template, nodes in this process
//! and nodes as processes, a client that sees raw answers, and load that remembers every acknowledgement.
//!
//! Promises: nothing is shared but one server per durability ([`Ground`]); every database, node and process ends with
//! the value that holds it, also when a test panics; whatever is left when the whole process dies is cleared by a small
//! watcher beside it; no fixed port, no fixed path, no sleep where a condition can be awaited ([`eventually`]).
//! Not here: what the tests claim (`tests/*.rs`).

mod api;
mod app;
pub mod books;
mod browser;
mod dice;
mod ground;
mod guest;
mod inbox;
mod load;
mod member;
mod payer;
mod process;
mod proxy;
mod redis;
mod scene;
mod smtp;
mod sql;
pub mod staff;
mod wait;
mod wire;
mod world;

pub use api::{Api, Reply, fresh_key};
pub use app::TestApp;
pub use browser::Browser;
pub use dice::Dice;
pub use ground::{Ground, TestDb, proof_dir, root, vault_dir};
pub use guest::{Guest, code_in, create, mails_for, nth_mail};
pub use inbox::Inbox;
pub use load::{Load, Tally};
pub use member::Member;
pub use payer::{ORIGIN, Payer, RP_ID, bytes};
pub use process::{Footprint, NodeProcess, Output, Run, node_binary, scratch_dir, signal_process, tessera, tessera_in};
pub use proxy::{Fault, Proxy};
pub use redis::{Lie, LyingRedis, Redis};
pub use scene::{CLIENTS, HEALED, Scene};
pub use smtp::{MailServer, Speech};
pub use sql::{rows, run_sql, scalar};
pub use staff::Staff;
pub use wait::{eventually, eventually_async};
pub use wire::Point;
pub use world::{Rewards, Shop, World, eur};
