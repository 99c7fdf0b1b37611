//! What clients did and what they were told, in the order of one clock of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledger::read::{
    At, Balance, BalanceAt, Entry, HoldAt, HoldStanding, LinkAt, ReadError, Statement, TrialBalance, Window,
};
use ledger::{AssetId, Invalid, JournalError, LegRef, Lot, Record, Request};
use uuid::Uuid;
use wallet_api::platform::problem::Describe as _;

/// When something was asked and answered.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Who asked.
    pub client: usize,
    /// Ticks of the clients' common counter: what ended on an earlier tick than another began was over before it.
    pub began: u64,
    pub ended: u64,
    /// The machine's clock then, microseconds since 1970.
    pub began_us: i64,
    pub ended_us: i64,
}

/// A request and what became of it.
#[derive(Debug, Clone)]
pub struct Write {
    pub span: Span,
    pub request: Request,
    pub told: Told,
    /// One of several that happen all or none, asked for at this tick, which is no other ask's. They lie side by side.
    pub batch: Option<u64>,
}

/// What the writer said.
#[derive(Debug, Clone)]
pub enum Told {
    /// This record is the answer.
    Answered { record: Arc<Record>, replayed: bool },
    /// It is no request.
    Invalid(Fault),
    /// The key was used for another one.
    Reused,
    /// The key was given up by the record of this seq.
    GivenUp(i64),
    /// It was not done, for the sake of the one at this place among those it was asked with; the key is free.
    Linked(usize),
    /// Nothing of itself: only of another one that it was asked with.
    Silent,
    /// It was not tried; the key is free.
    NotDone,
    /// Nobody knows.
    Unknown,
}

/// Why something is no request, as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    Exactly(Invalid),
    /// By the code of a problem.
    Coded(String),
}

impl Fault {
    pub fn is_one_of(&self, faults: &[Invalid]) -> bool {
        faults.iter().any(|fault| match self {
            Self::Exactly(told) => told == fault,
            Self::Coded(code) => JournalError::Invalid(fault.clone()).describe().code() == code,
        })
    }
}

impl From<Result<ledger::Answer, JournalError>> for Told {
    fn from(answer: Result<ledger::Answer, JournalError>) -> Self {
        match answer {
            Ok(answer) => Self::Answered { record: answer.record, replayed: answer.replayed },
            Err(JournalError::Invalid(invalid)) => Self::Invalid(Fault::Exactly(invalid)),
            Err(JournalError::Linked { place }) => Self::Linked(place),
            Err(JournalError::KeyReused) => Self::Reused,
            Err(JournalError::Abandoned { seq }) => Self::GivenUp(seq),
            Err(JournalError::OutcomeUnknown) => Self::Unknown,
            Err(
                JournalError::QueueFull
                | JournalError::NotLeader { .. }
                | JournalError::DeadlinePassed
                | JournalError::Unavailable
                | JournalError::NoRoom,
            ) => Self::NotDone,
            Err(broken @ (JournalError::NoSuchJournal | JournalError::Broken(_) | JournalError::Archived(_))) => {
                panic!("{broken}")
            }
        }
    }
}

/// A question and what was told.
#[derive(Debug, Clone)]
pub struct Look {
    pub span: Span,
    pub seen: Seen,
}

/// What was read. Each is one answer of the crate's reading side, with what was asked.
#[derive(Debug, Clone)]
pub enum Seen {
    /// How an account stands now, what is due on it counted.
    Balance(Uuid, Option<Balance>),
    /// What of its terms was told with it. They are read by themselves, before.
    Terms { account: Uuid, floor: Option<i64>, debits_frozen: bool },
    /// An account's balance at some time.
    BalanceAt(Uuid, At, Option<BalanceAt>),
    /// An account's newest entries, so many at most.
    Entries(Uuid, usize, Vec<Entry>),
    /// A statement from a date up to another or to now: its window and its pages.
    Statement { account: Uuid, from_us: i64, until_us: Option<i64>, window: Window, pages: Vec<Statement>, size: usize },
    /// The hold that a row opened.
    Hold(LegRef, Option<HoldAt>),
    /// The same, with what was captured of it.
    Standing(LegRef, Option<HoldStanding>),
    /// What builds on the rows of a record.
    Links(i64, Vec<LinkAt>),
    /// The open holds on an account and the lots on it, with the head they are rows of.
    Kept { account: Uuid, head: i64, holds: BTreeMap<LegRef, i64>, lots: BTreeMap<Lot, (i64, i64)> },
    /// What all accounts stand at.
    Trial(At, TrialBalance),
    /// What all accounts hold together, by asset: how many, above zero, below zero, held.
    Totals(BTreeMap<AssetId, (i64, i128, i128, i128)>),
    /// The records after a seq, and the head before they were read.
    Records { after: i64, records: Vec<Record>, head: i64 },
}

/// An account that there is not is an answer too.
pub fn known<T>(read: Result<T, ReadError>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(ReadError::UnknownAccount(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Everything that is known of a run.
#[derive(Debug, Clone)]
pub struct History {
    pub writes: Vec<Write>,
    pub looks: Vec<Look>,
    /// The journal, as it was read when all was over.
    pub records: Vec<Record>,
    /// To which seq each of the clients' keys led then.
    pub keys: BTreeMap<Uuid, i64>,
}

impl History {
    /// What was asked for together, ask by ask.
    pub fn batches(&self) -> impl Iterator<Item = &[Write]> {
        let asks = self.writes.chunk_by(|one, next| one.batch.is_some() && one.batch == next.batch);
        asks.filter(|ask| ask[0].batch.is_some())
    }
}

impl Seen {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Balance(..) => "balance",
            Self::Terms { .. } => "terms",
            Self::BalanceAt(_, At::Now, _) => "balance now",
            Self::BalanceAt(_, At::Seq(_), _) => "balance at seq",
            Self::BalanceAt(_, At::Recorded(_), _) => "balance recorded",
            Self::BalanceAt(_, At::Effective(_), _) => "balance effective",
            Self::Entries(..) => "entries",
            Self::Statement { .. } => "statement",
            Self::Hold(..) => "hold",
            Self::Standing(..) => "hold in full",
            Self::Links(..) => "links",
            Self::Kept { .. } => "holds and lots",
            Self::Trial(..) => "trial balance",
            Self::Totals(_) => "totals",
            Self::Records { .. } => "records",
        }
    }
}
