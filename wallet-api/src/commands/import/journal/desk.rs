//! Where the lines of a file become requests, are posted in lots, and are held to what an export says they came to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::{Answer, Asset, AssetId, Body, JournalError, JournalId, NewAccount, Request};

use super::Imported;
use super::line::{self, LONGEST, Line, Placed, TransactionLine, Wrong};
use crate::commands::import::purchases::with_remedy;
use crate::commands::import::rejects::Rejects;
use crate::commands::journal_file::FORMATS;
use crate::commands::node::Node;
use crate::platform::books::{journal_of, refusal_code};
use crate::platform::keyring::Tenant;

/// Lines posted together, and the bytes they may have together, give or take the last.
const LOT: usize = 2_000;
const LOT_BYTES: usize = 8 * 1024 * 1024;
/// How long what is not known, or cannot be reached, is asked again.
const PATIENCE: Duration = Duration::from_secs(60);
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How much of a line that is set aside is written down, in characters.
const RAW: usize = 200;

/// A line that is to be posted.
struct Waiting {
    line: u64,
    raw: String,
    /// Of an export: what it must come to.
    expected: Option<Box<TransactionLine>>,
}

/// Where lines become requests, and are posted.
pub(super) struct Desk<'a> {
    node: &'a Node,
    journal: JournalId,
    assets: HashMap<String, Asset>,
    pub(super) rejects: Rejects,
    pub(super) imported: Imported,
    /// The seq of the books when this run began.
    before: i64,
    /// An export began and has not ended.
    pub(super) is_open: bool,
    /// The last record of the export, which rise.
    last: Option<(i64, DateTime<Utc>)>,
    /// Accounts that the transaction of this seq opens.
    opens: (i64, Vec<NewAccount>),
    waiting: Vec<Waiting>,
    requests: Vec<Arc<Request>>,
    bytes: usize,
}

impl<'a> Desk<'a> {
    pub(super) async fn open(node: &'a Node, tenant: &Tenant, rejects: Rejects) -> anyhow::Result<Self> {
        let journal = journal_of(tenant);
        let db = &node.parts.platform.db;
        let read = move |conn: &mut PgConnection| -> Result<_, ledger::StoreError> {
            Ok((ledger::read::assets_of(conn, journal)?, ledger::read::head(conn, journal)?))
        };
        let (assets, head) = db.of(journal.0).read(read).await.map_err(in_words)?;
        Ok(Self {
            node,
            journal,
            assets: assets.into_iter().map(|asset| (asset.code.clone(), asset)).collect(),
            rejects,
            imported: Imported::default(),
            before: head.map_or(0, |head| head.seq),
            is_open: false,
            last: None,
            opens: (0, Vec::new()),
            waiting: Vec::new(),
            requests: Vec::new(),
            bytes: 0,
        })
    }

    pub(super) fn is_full(&self) -> bool {
        self.requests.len() >= LOT || self.bytes >= LOT_BYTES
    }

    pub(super) fn set_aside(&mut self, line: u64, wrong: &Wrong, raw: &[u8]) -> anyhow::Result<()> {
        self.rejects.add_line(line, wrong.0, &wrong.1, &beginning(raw)).map_err(with_remedy)
    }

    /// Takes a line in; the inner error is what is wrong with it.
    pub(super) async fn take(
        &mut self,
        number: u64,
        bytes: &[u8],
        too_long: bool,
    ) -> anyhow::Result<Result<(), Wrong>> {
        if too_long {
            return Ok(Err(Wrong("line_too_long", format!("the line is longer than {LONGEST} bytes").into())));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Ok(()));
        }
        let line = match serde_json::from_slice(bytes) {
            Ok(line) => line,
            Err(error) => return Ok(Err(Wrong("not_json", error.to_string().into()))),
        };
        match line {
            Line::Journal { format } => {
                anyhow::ensure!(
                    FORMATS.contains(&format),
                    "the export is of form {format}, which this binary does not read"
                );
                self.is_open = true;
                Ok(Ok(()))
            }
            Line::Batch => Ok(Ok(())),
            Line::End { seq } => {
                self.is_open = self.last.is_some_and(|(last, _)| last != seq);
                Ok(Ok(()))
            }
            Line::Asset { code, scale } => self.define(&code, scale).await,
            Line::Opened(line) => {
                let scale = line.terms.scale;
                if let Err(wrong) = self.define(&line.terms.asset.clone(), scale).await? {
                    return Ok(Err(wrong));
                }
                Ok(self.opened(number, &line, bytes))
            }
            line @ (Line::Account(_)
            | Line::Transaction(_)
            | Line::Frozen(_)
            | Line::Refused(_)
            | Line::Abandoned(_)
            | Line::ClockMoved(_)) => self.whole_or(number, line, bytes),
            Line::Other if self.is_open => needs_whole(number),
            Line::Other => Ok(Err(Wrong("type_unknown", "a line is an asset, an account or a transaction".into()))),
        }
    }

    fn opened(&mut self, number: u64, line: &line::OpenedLine, raw: &[u8]) -> Result<(), Wrong> {
        self.rises(line.placed)?;
        let assets = &self.assets;
        let asset = |code: &str| id_of(assets, code);
        let Some(by) = line.by else {
            let request = line.request(self.journal, &asset)?;
            self.wait(number, raw, request, None);
            return Ok(());
        };
        let account = line::opening(line, &asset)?;
        if self.opens.0 != by {
            self.opens = (by, Vec::new());
        }
        self.opens.1.push(account);
        Ok(())
    }

    /// Ends the import at what a plain one would make something else of.
    fn whole_or(&mut self, number: u64, line: Line, raw: &[u8]) -> anyhow::Result<Result<(), Wrong>> {
        match self.request(number, line, raw) {
            Err(Wrong(line::NEEDS_WHOLE, _)) => needs_whole(number),
            taken => Ok(taken),
        }
    }

    fn request(&mut self, number: u64, line: Line, raw: &[u8]) -> Result<(), Wrong> {
        let assets = &self.assets;
        let asset = |code: &str| id_of(assets, code);
        match line {
            Line::Account(line) => {
                let request = line.request(self.journal, &asset)?;
                self.wait(number, raw, request, None);
            }
            Line::Frozen(line) => {
                let request = line.request(self.journal)?;
                self.rises(line.placed)?;
                self.wait(number, raw, request, None);
            }
            Line::Transaction(line) => {
                let (by, open) = std::mem::take(&mut self.opens);
                let open = if line.seq == Some(by) { open } else { Vec::new() };
                let request = line.request(self.journal, open, &asset, raw)?;
                if let Some(placed) = line.placed() {
                    self.rises(placed)?;
                }
                self.wait(number, raw, request, Some(line));
            }
            Line::Refused(placed) | Line::Abandoned(placed) | Line::ClockMoved(placed) => {
                self.rises(placed)?;
                self.imported.passed_over = self.imported.passed_over.saturating_add(1);
            }
            Line::Journal { .. }
            | Line::Batch
            | Line::End { .. }
            | Line::Asset { .. }
            | Line::Opened(_)
            | Line::Other => {}
        }
        Ok(())
    }

    /// Records of an export stand in the order they were made in.
    fn rises(&mut self, placed: Placed) -> Result<(), Wrong> {
        let Placed { seq, recorded_at, .. } = placed;
        if self.last.is_some_and(|(last, at)| seq <= last || recorded_at < at) {
            return Err(Wrong("out_of_order", format!("seq {seq} stands after a later record").into()));
        }
        self.last = Some((seq, recorded_at));
        Ok(())
    }

    fn wait(&mut self, line: u64, raw: &[u8], request: Request, expected: Option<Box<TransactionLine>>) {
        self.bytes = self.bytes.saturating_add(raw.len());
        self.waiting.push(Waiting { line, raw: beginning(raw), expected });
        self.requests.push(Arc::new(request));
    }

    /// Defines an asset that the books do not have yet.
    async fn define(&mut self, code: &str, scale: i16) -> anyhow::Result<Result<(), Wrong>> {
        if let Some(asset) = self.assets.get(code) {
            return Ok(line::same_scale(asset, scale));
        }
        if let Err(wrong) = line::asset_ok(code, scale) {
            return Ok(Err(wrong));
        }
        let (journal, wanted) = (self.journal, code.to_owned());
        let define = move |conn: &mut PgConnection| {
            let asset = ledger::define_asset(conn, journal, &wanted, scale)?;
            crate::platform::snapshot::touch(conn, journal.0)?;
            Ok::<_, ledger::StoreError>(asset)
        };
        let asset = self.node.parts.platform.db.of(journal.0).write(define).await.map_err(in_words)?;
        let same = line::same_scale(&asset, scale);
        self.assets.insert(asset.code.clone(), asset);
        Ok(same)
    }

    /// Posts the lot, in order. What is not known is asked again under the same keys, and all after it with it, so that
    /// nothing overtakes what it may stand on.
    pub(super) async fn post(&mut self) -> anyhow::Result<()> {
        let (requests, waiting) = (std::mem::take(&mut self.requests), std::mem::take(&mut self.waiting));
        self.bytes = 0;
        let until = Instant::now().checked_add(PATIENCE).context("no deadline")?;
        let mut done = 0_usize;
        while let Some(rest) = requests.get(done..).filter(|rest| !rest.is_empty()) {
            let answers = self.node.parts.journal.submit_all_here(rest, until).await;
            let mut why = None;
            for (answer, waiting) in answers.into_iter().zip(waiting.iter().skip(done)) {
                if let Err(error) = &answer
                    && error.may_pass()
                {
                    why = Some(error.clone());
                    break;
                }
                self.count(waiting, answer)?;
                done = done.saturating_add(1);
            }
            if let Some(why) = why {
                anyhow::ensure!(Instant::now() < until, "the books cannot be written: {why}");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
        Ok(())
    }

    fn count(&mut self, waiting: &Waiting, answer: Result<Answer, JournalError>) -> anyhow::Result<()> {
        let wrong = match answer {
            Ok(Answer { record, .. }) => {
                if let Body::Refused { refusal } = &record.body {
                    Wrong("refused", refusal_code(refusal).into())
                } else {
                    let expected = waiting.expected.as_ref();
                    if let Some(account) = expected.and_then(|line| line.differs(line::posted(&record))) {
                        anyhow::bail!(
                            "line {}: account {account} is not left as the export says: these books had something else before",
                            waiting.line
                        );
                    }
                    let new = record.seq > self.before;
                    let counter = if new { &mut self.imported.posted } else { &mut self.imported.replayed };
                    *counter = counter.saturating_add(1);
                    return Ok(());
                }
            }
            Err(JournalError::Invalid(invalid)) => line::wrong(&invalid),
            Err(JournalError::KeyReused) => Wrong("key_reused", "another line was posted under this id before".into()),
            Err(error) => Wrong("not_done", error.to_string().into()),
        };
        self.set_aside(waiting.line, &wrong, waiting.raw.as_bytes())
    }
}

fn id_of(assets: &HashMap<String, Asset>, code: &str) -> Option<AssetId> {
    assets.get(code).map(|asset| asset.id)
}

fn beginning(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).take(RAW).collect()
}

fn in_words(problem: crate::platform::problem::Problem) -> anyhow::Error {
    let body = problem.body(crate::platform::text::Lang::En);
    anyhow::anyhow!("{}: {}. {}", body.code, body.title, body.detail)
}

fn needs_whole<T>(line: u64) -> anyhow::Result<T> {
    anyhow::bail!(
        "line {line} holds, captures, gives back, refunds, earns with a date or changes limits: as a plain move it would be \
         another thing; import the export with --whole, into books without records"
    )
}
