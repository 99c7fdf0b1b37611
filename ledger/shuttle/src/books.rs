//! As much of the crate `ledger` as queue, flights and pipe look at.

use uuid::Uuid;

/// Whose books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalId(pub i64);

/// Whose keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope(pub i64);

/// What stands for who asked: its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub scope: Scope,
    pub key: Uuid,
    pub fingerprint: Uuid,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim(pub Uuid);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Transact { claim: Option<Claim> },
    Abandon,
}

#[derive(Debug)]
pub struct Request {
    pub journal: JournalId,
    pub key: Key,
    pub command: Command,
}

impl Request {
    pub fn new(journal: i64, number: usize) -> Self {
        let (key, fingerprint) = (Uuid::from_u128(number as u128), Uuid::nil());
        let key = Key { scope: Scope(1), key, fingerprint };
        Self { journal: JournalId(journal), key, command: Command::Transact { claim: None } }
    }

    pub fn number(&self) -> usize {
        self.key.key.as_u128() as usize
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

#[derive(Debug)]
pub enum Body {
    Done,
    #[expect(dead_code, reason = "nobody gives up here")]
    Abandoned,
}

/// What is told to the one who asked under this number.
#[derive(Debug)]
pub struct Record {
    pub number: usize,
    pub body: Body,
}

/// Time stands still.
pub mod boot_clock {
    pub const fn now() -> std::time::Duration {
        std::time::Duration::ZERO
    }
}

pub mod apply {
    use std::collections::{BTreeMap, BTreeSet};

    use super::{Invalid, Record};

    /// In an order of their own, so that a seed gives the same run again.
    pub type Map<K, V> = BTreeMap<K, V>;
    pub type Set<T> = BTreeSet<T>;

    /// What requests came to.
    #[derive(Debug, Default)]
    pub struct Applied {
        pub records: Vec<Record>,
        pub answers: Vec<Result<usize, Invalid>>,
    }
}

pub mod store {
    use uuid::Uuid;

    pub struct UsedKey {
        pub seq: i64,
        pub fingerprint: Uuid,
    }

    pub mod post {
        use crate::writer::session::PgConnection;

        /// A session without a database has nothing to roll back.
        pub const fn give_up(_: &mut PgConnection) {}
    }
}
