//! An account's statement as a file, a page at a time, for as long as somebody takes it.
//!
//! Newest first: a row of the closing balance, the entries, a row of the opening balance. It is one window, so both ends
//! and all entries add up whatever is written meanwhile. Memory holds one page, and of a workbook its finished bytes.

use ledger::Place;
use ledger::read::{self, Entry, ReadError, Window};
use uuid::Uuid;

use super::form::Form;
use super::sheets::{self, File, STATEMENT};
use super::walk::Source;
use crate::books::Assets;
use crate::platform::problem::Problem;
use crate::platform::text::Lang;

/// Entries read at a time.
const PAGE: usize = 1_000;

/// A statement on its way.
pub struct StatementFile {
    source: Source,
    assets: Assets,
    account: Uuid,
    window: Window,
    /// None once all is told.
    file: Option<File>,
    /// Where the next page ends; none before the first.
    before: Option<Place>,
}

impl StatementFile {
    /// What was recorded from one moment on and before another, microseconds since 1970.
    ///
    /// # Errors
    /// 404 for books that are not there; what the database refuses.
    pub async fn new(
        source: Source,
        account: Uuid,
        (from_us, until_us): (i64, Option<i64>),
        (form, lang): (Form, Lang),
    ) -> Result<Self, Problem> {
        let journal = source.journal;
        let window = source.db.of(journal.0).read(move |conn| read::window(conn, journal, from_us, until_us)).await?;
        let assets = source.assets().await?;
        let file = Some(File::new(form, &STATEMENT, lang)?);
        Ok(Self { source, assets, account, window, file, before: None })
    }

    /// The next bytes; none when all of them were told.
    ///
    /// # Errors
    /// 404 for an account that is not there, 422 `report-too-long`, what the database refuses.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let Some(mut file) = self.file.take() else { return Ok(None) };
        let (journal, history, account) = (self.source.journal, self.source.history.clone(), self.account);
        let (window, before) = (self.window, self.before);
        let page = self
            .source
            .db
            .of(journal.0)
            .read(move |conn| -> Result<_, ReadError> {
                read::statement(conn, &history, journal, account, window, before, PAGE)
            })
            .await?;
        if before.is_none() {
            sheets::statement_end(&mut file, "closing", &page, window, &self.assets)?;
        }
        sheets::statement(&mut file, &page.entries, self.assets.code(page.asset))?;
        let last = page.entries.last().map(Entry::place).filter(|_| page.has_more);
        if last.is_none() {
            sheets::statement_end(&mut file, "opening", &page, window, &self.assets)?;
            return Ok(Some(file.finish()?));
        }
        self.before = last;
        let bytes = file.take();
        self.file = Some(file);
        Ok(Some(bytes))
    }
}
