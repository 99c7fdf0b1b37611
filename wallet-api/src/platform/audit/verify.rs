//! Verification: a tenant's chain computed again from its rows, held against its head and every signed head.
//!
//! The rows are read in one snapshot, so that entries which come meanwhile are no matter. The first thing that is wrong is
//! told, by the seq where it stands; what stands behind it is not looked at.

use diesel::{PgConnection, QueryResult};
use ledger::proof::PublicKey;
use serde::Serialize;

use super::form::{Hash, Last, Row};
use super::head::SignedAuditHead;
use super::store;

/// Rows and heads read at a time.
const PAGE: i64 = 4_000;

/// What is wrong with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Wrong {
    /// A later row, the head or a signed head says that it was there.
    #[error("is missing")]
    Missing,
    /// Its hash does not follow from it and the row before.
    #[error("is not what its hash says: it was changed, moved or put in")]
    Changed,
    /// Another row has its seq, or none may have it.
    #[error("has a place that is another row's, or nobody's")]
    Twice,
    /// Its form is not one that this program knows.
    #[error("is of a form that this program does not know: verify with a newer one")]
    Form,
    /// The chain holds in itself, and is not the one that was signed for.
    #[error("is the first of those that a signed head covers and that are not the ones it was signed for")]
    Rewritten,
    /// It is beyond the head.
    #[error("stands after the head: it was put in, or the head was set back")]
    AfterHead,
    /// The head names another hash.
    #[error("is the last one, and the head has another hash")]
    Head,
    /// The head that covers it is not signed by anybody who is trusted.
    #[error("has a signed head whose signature is by no key that is trusted here")]
    Signature,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("row {seq} {wrong}")]
pub struct Broken {
    /// Where.
    pub seq: i64,
    /// What.
    pub wrong: Wrong,
}

impl Broken {
    const fn at(seq: i64, wrong: Wrong) -> Self {
        Self { seq, wrong }
    }
}

/// What was found of one tenant's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Whose.
    pub tenant: i64,
    /// Nothing is broken.
    pub ok: bool,
    /// Rows that were computed again.
    pub entries: i64,
    /// Signed heads that cover them.
    pub heads: i64,
    /// The last seq that a signed head covers; zero when none does.
    pub signed_upto: i64,
    /// Whether signatures were checked: not without keys.
    pub signatures: bool,
    /// The head that was given to be trusted, by its seq, once the chain was found to have it.
    pub since: Option<i64>,
    /// The first thing that is wrong.
    pub broken: Option<Broken>,
}

/// What a chain is held against besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Against<'a> {
    /// Keys whose signatures count; without any, no signature is checked.
    pub keys: &'a [PublicKey],
    /// A head from outside the database.
    pub since: Option<&'a SignedAuditHead>,
}

/// The end of a chain after one more row.
///
/// # Errors
/// [`Broken`], when it is not the row that comes next.
pub fn step(last: &Last, row: &Row) -> Result<Last, Broken> {
    let seq = last.seq.saturating_add(1);
    if row.seq != seq {
        return Err(if row.seq > seq { Broken::at(seq, Wrong::Missing) } else { Broken::at(row.seq, Wrong::Twice) });
    }
    let hash: Hash = row.hash_after(&last.hash).ok_or(Broken::at(seq, Wrong::Form))?;
    if hash[..] == row.hash[..] { Ok(Last { seq, hash, ..*last }) } else { Err(Broken::at(seq, Wrong::Changed)) }
}

/// Computes a tenant's chain again.
///
/// # Errors
/// The database's.
pub fn verify(conn: &mut PgConnection, tenant: i64, against: Against<'_>) -> QueryResult<AuditReport> {
    let mut whole = conn.build_transaction().read_only().repeatable_read();
    whole.run(|conn| Walk::new(tenant, against).run(conn))
}

struct Walk<'a> {
    last: Last,
    report: AuditReport,
    trusted: Vec<PublicKey>,
    since: Option<&'a SignedAuditHead>,
    heads: std::iter::Peekable<std::vec::IntoIter<SignedAuditHead>>,
    /// The last signed head that was read.
    read_upto: i64,
}

impl<'a> Walk<'a> {
    fn new(tenant: i64, against: Against<'a>) -> Self {
        let report = AuditReport {
            tenant,
            ok: true,
            entries: 0,
            heads: 0,
            signed_upto: 0,
            signatures: !against.keys.is_empty(),
            since: None,
            broken: None,
        };
        let (trusted, heads) = (against.keys.to_vec(), Vec::new().into_iter().peekable());
        Self { last: Last::none(tenant), report, trusted, since: against.since, heads, read_upto: 0 }
    }

    fn run(mut self, conn: &mut PgConnection) -> QueryResult<AuditReport> {
        let broken = self.walk(conn)?.err();
        Ok(AuditReport { ok: broken.is_none(), broken, entries: self.last.seq, ..self.report })
    }

    fn walk(&mut self, conn: &mut PgConnection) -> QueryResult<Result<(), Broken>> {
        loop {
            // A forger may have put rows before the first: none has a seq below one.
            let after = if self.last.seq == 0 { i64::MIN } else { self.last.seq };
            let page = store::rows(conn, self.last.tenant, after, PAGE)?;
            if page.is_empty() {
                break;
            }
            for row in &page {
                match step(&self.last, row) {
                    Ok(last) => self.last = last,
                    Err(broken) => return Ok(Err(broken)),
                }
                if let Err(broken) = self.signed(conn)? {
                    return Ok(Err(broken));
                }
            }
        }
        let head = store::head(conn, self.last.tenant)?;
        let uncovered = self.next_signed(conn)?.map(|signed| signed.head.seq);
        Ok(self.ends(head, uncovered))
    }

    /// What signed heads say of the row just passed.
    fn signed(&mut self, conn: &mut PgConnection) -> QueryResult<Result<(), Broken>> {
        if let Some(since) = self.since.filter(|since| since.head.seq == self.last.seq) {
            if since.head.hash != self.last.hash {
                return Ok(Err(self.rewritten()));
            }
            self.report.since = Some(since.head.seq);
        }
        let Some(signed) = self.next_signed(conn)?.filter(|signed| signed.head.seq <= self.last.seq) else {
            return Ok(Ok(()));
        };
        self.heads.next();
        if signed.head.seq != self.last.seq || signed.head.hash != self.last.hash {
            return Ok(Err(self.rewritten()));
        }
        if self.report.signatures {
            if signed.check(&self.trusted).is_err() {
                return Ok(Err(Broken::at(self.last.seq, Wrong::Signature)));
            }
            self.trusted.extend(signed.head.next.filter(|next| !self.trusted.contains(next)));
        }
        self.report.heads = self.report.heads.saturating_add(1);
        self.report.signed_upto = self.last.seq;
        Ok(Ok(()))
    }

    fn rewritten(&self) -> Broken {
        Broken::at(self.report.signed_upto.saturating_add(1), Wrong::Rewritten)
    }

    /// The first signed head that was not passed yet.
    fn next_signed(&mut self, conn: &mut PgConnection) -> QueryResult<Option<SignedAuditHead>> {
        if self.heads.peek().is_none() {
            let page = store::signed_after(conn, self.last.tenant, self.read_upto, PAGE)?;
            self.read_upto = page.last().map_or(i64::MAX, |signed| signed.head.seq);
            self.heads = page.into_iter().peekable();
        }
        Ok(self.heads.peek().copied())
    }

    /// What the end of the rows is held against: the head, and whatever was signed for beyond it.
    fn ends(&self, head: Option<(i64, Vec<u8>)>, uncovered: Option<i64>) -> Result<(), Broken> {
        let Last { seq, hash, .. } = self.last;
        let next = seq.saturating_add(1);
        let beyond = self.since.map(|since| since.head.seq).max(uncovered).filter(|signed| *signed > seq);
        let (head, kept) = head.unwrap_or((0, Vec::new()));
        if beyond.is_some() || head > seq {
            return Err(Broken::at(next, Wrong::Missing));
        }
        if head < seq {
            return Err(Broken::at(head.saturating_add(1).max(1), Wrong::AfterHead));
        }
        if seq > 0 && kept[..] != hash[..] { Err(Broken::at(seq, Wrong::Head)) } else { Ok(()) }
    }
}
