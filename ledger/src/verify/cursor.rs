//! The journal's tables as sorted streams of one snapshot.
//!
//! A page goes on where the one before ended, ties included: rows of one place are all in one page, also where somebody
//! took the constraints away that forbid them.

use diesel::sql_types::Text;
use diesel::{PgConnection, RunQueryDsl};

use super::pages::{Batches, Claims, Companions, Holds, Keys, Links, Records, Transfers};
use super::{Check, Stop, broken};
use crate::JournalId;
use crate::bind::{Arg, statement};
use crate::store::StoreError;

/// One table in seq order, a page of columns in memory at a time.
pub(super) struct Stream<P: Columns> {
    journal: JournalId,
    page: P,
    next: usize,
    /// A page came back empty: there is nothing more to ask for.
    has_ended: bool,
}

/// A page of a table, column by column: PostgreSQL sends each column as one array, so that a row costs neither a message
/// nor an allocation of its own.
pub(super) trait Columns: Default {
    /// A row, put together from the columns.
    type Row;

    /// The rows that come after those of this page; none at the end.
    fn following(&self, conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError>;

    /// The seq of a row, none past the last.
    fn seq(&self, place: usize) -> Option<i64>;

    /// A row of the page.
    fn row(&mut self, place: usize) -> Option<Self::Row>;
}

impl<P: Columns> Stream<P> {
    fn new(journal: JournalId) -> Self {
        Self { journal, page: P::default(), next: 0, has_ended: false }
    }

    /// The seq of the next row.
    fn ahead(&mut self, conn: &mut PgConnection) -> Result<Option<i64>, StoreError> {
        if let Some(seq) = self.page.seq(self.next) {
            return Ok(Some(seq));
        }
        if self.has_ended {
            return Ok(None);
        }
        self.page = self.page.following(conn, self.journal)?;
        self.next = 0;
        let first = self.page.seq(0);
        self.has_ended = first.is_none();
        Ok(first)
    }

    pub(super) fn next(&mut self, conn: &mut PgConnection) -> Result<Option<P::Row>, StoreError> {
        self.ahead(conn)?;
        let row = self.page.row(self.next);
        self.next = self.next.saturating_add(1);
        Ok(row)
    }

    /// Every row not taken yet whose seq is at most `seq`.
    pub(super) fn take_upto(&mut self, conn: &mut PgConnection, seq: i64) -> Result<Vec<P::Row>, StoreError> {
        let mut taken = Vec::new();
        while self.ahead(conn)?.is_some_and(|ahead| ahead <= seq) {
            taken.extend(self.page.row(self.next));
            self.next = self.next.saturating_add(1);
        }
        Ok(taken)
    }
}

/// All tables of a journal, read side by side.
pub(super) struct Rows {
    pub(super) batches: Stream<Batches>,
    pub(super) records: Stream<Records>,
    pub(super) transfers: Stream<Transfers>,
    pub(super) keys: Stream<Keys>,
    pub(super) claims: Stream<Claims>,
    pub(super) companions: Stream<Companions>,
    pub(super) links: Stream<Links>,
    pub(super) holds: Stream<Holds>,
}

/// Tables that are found by key only are sorted once, by cursors that give a page of seqs at a time.
const CURSORS: [&str; 3] = [
    "DECLARE keys NO SCROLL CURSOR FOR SELECT array_agg(seq), array_agg(scope), array_agg(key), array_agg(fingerprint) \
     FROM (SELECT seq / 4096 AS page, seq, scope, key, fingerprint FROM journal.key WHERE journal = ? ORDER BY 1, 2) k \
     GROUP BY page ORDER BY page",
    "DECLARE claims NO SCROLL CURSOR FOR SELECT array_agg(seq), array_agg(claim) \
     FROM (SELECT seq / 4096 AS page, seq, claim FROM journal.claim WHERE journal = ? ORDER BY 1, 2) c \
     GROUP BY page ORDER BY page",
    "DECLARE links NO SCROLL CURSOR FOR SELECT array_agg(seq), array_agg(leg), array_agg(of_seq), array_agg(of_leg), \
     array_agg(kind), array_agg(amount) FROM (SELECT seq / 4096 AS page, seq, leg, of_seq, of_leg, kind, amount \
     FROM journal.link WHERE journal = ? ORDER BY 1, 2, 3) l GROUP BY page ORDER BY page",
];

impl Rows {
    pub(super) fn open(conn: &mut PgConnection, journal: JournalId) -> Result<Self, StoreError> {
        // A hash of all pages at once would have no bound; sorted, a page is complete when the next one begins. Rows of a
        // table with few statistics must still come by its index, in order, and not be sorted for each page.
        const IN_ORDER: &str = "SELECT set_config('enable_hashagg', 'off', true), set_config('enable_seqscan', 'off', true), \
            set_config('enable_bitmapscan', 'off', true), set_config('cursor_tuple_fraction', '1', true)";
        statement::<(Text, Text, Text, Text)>(IN_ORDER, &[]).load::<(String, String, String, String)>(conn)?;
        for cursor in CURSORS {
            statement::<()>(cursor, &[Arg::Int(journal.0)]).execute(conn)?;
        }
        Ok(Self {
            batches: Stream::new(journal),
            records: Stream::new(journal),
            transfers: Stream::new(journal),
            keys: Stream::new(journal),
            claims: Stream::new(journal),
            companions: Stream::new(journal),
            links: Stream::new(journal),
            holds: Stream::new(journal),
        })
    }

    /// Nothing may lie past the last batch.
    pub(super) fn expect_end(&mut self, conn: &mut PgConnection, head: i64) -> Result<(), Stop> {
        let past = |seq: i64, what: &str| {
            broken(Check::Seqs, seq, format!("a {what} lies past the last batch, head is {head}"))
        };
        if let Some(row) = self.records.next(conn)? {
            return Err(past(row.seq, "record").into());
        }
        if let Some(row) = self.transfers.next(conn)? {
            return Err(past(row.seq, "transfer").into());
        }
        if let Some(row) = self.keys.next(conn)? {
            return Err(broken(Check::Keys, row.seq, "a key leads past the last batch").into());
        }
        if let Some(row) = self.claims.next(conn)? {
            return Err(broken(Check::Claims, row.seq, "a claim lies past the last batch").into());
        }
        if let Some(row) = self.links.next(conn)? {
            return Err(broken(Check::Refunds, row.by.seq, "a link lies past the last batch").into());
        }
        if let Some(row) = self.holds.next(conn)? {
            return Err(broken(Check::Holds, row.place.seq, "a hold lies past the last batch").into());
        }
        match self.companions.next(conn)? {
            Some(row) => Err(broken(Check::Companions, row.seq, "a companion lies past the last batch").into()),
            None => Ok(()),
        }
    }
}
