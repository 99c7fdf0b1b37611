//! `tessera import journal --whole`: an export posted again as it was, batch by batch.
//!
//! Every line is held against the hash of its commit before anything of that commit is posted, and what it says against
//! the laws of the books ([`ledger::restore`]); the first that does not follow ends the import, by its line and a stable
//! name. One commit is in memory at a time. Not here: what the tenant has beside its books, its secret among it, so that
//! an idempotency key that a client used before is not known as the client's any more.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{BufReader, Write};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use diesel::{Connection, PgConnection};
use indicatif::ProgressBar;
use ledger::restore::{Batch, RecordTold, Restore, RestoreError, Source};
use ledger::{Asset, AssetId, Companion, JournalId};
use ring::digest::{self, SHA256};
use serde_json::json;

use super::super::ImportError;
use super::super::lines::Lines;
use super::super::purchases::with_remedy;
use super::line::LONGEST;
use super::{JournalArgs, progress};
use crate::commands::journal_file::{BatchLine, BooksLine, EndLine, ExactPart, FORMAT, Frame, Kind, hex, unhex};
use crate::identity::{self, IdentityError, NewTenant};
use crate::platform::audit::Actor;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;
use crate::platform::text::Lang;

/// Records and bytes of one commit, more than any writer makes.
const RECORDS: usize = 1_000_000;
const BYTES: usize = 1 << 30;

/// Why a file is not restored, or not further.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {code}: {what}")]
struct Refused {
    line: u64,
    code: Cow<'static, str>,
    what: String,
}

/// `tessera import journal --whole …`
pub(super) fn restore(args: &JournalArgs) -> anyhow::Result<()> {
    let file =
        File::open(&args.file).map_err(|source| with_remedy(ImportError::Open { path: args.file.clone(), source }))?;
    let database = args.database.open()?;
    let owner_url = database.owner_url.as_ref().context("set DATABASE_OWNER_URL: only the owner may restore books")?;
    let bar = progress(fs::metadata(&args.file).map_or(0, |file| file.len()));
    let mut reading = Reading {
        lines: Lines::with_longest(BufReader::with_capacity(1 << 18, file), LONGEST),
        hash: digest::Context::new(&SHA256),
        slug: args.tenant.clone(),
        urls: (&database.url, owner_url),
        books: None,
        assets: Vec::new(),
        restore: None,
        waiting: Waiting::default(),
        bar,
    };
    let done = reading.read();
    reading.bar.finish_and_clear();
    drop(reading);
    if let Some(cluster) = database.cluster {
        cluster.stop()?;
    }
    report(args, &done?)
}

/// What a restore came to.
struct Restored {
    seq: i64,
    posted: u64,
    fork: uuid::Uuid,
}

fn report(args: &JournalArgs, done: &Restored) -> anyhow::Result<()> {
    let out = &mut std::io::stdout();
    let Restored { seq, posted, fork } = done;
    if args.json {
        writeln!(out, "{}", json!({"seq": seq, "posted": posted, "fork": fork}))?;
        return Ok(());
    }
    match posted {
        0 => writeln!(out, "Nothing was new: the books are the export's up to seq {seq}.")?,
        _ => writeln!(out, "{posted} records posted as they were, up to seq {seq}.")?,
    }
    writeln!(out, "What comes after is written on a new line of history, {fork}.")?;
    writeln!(out, "Next: tessera verify; with the proof folder of the source beside, the same root comes out.")?;
    Ok(())
}

/// The records of a commit that is not over yet.
#[derive(Default)]
struct Waiting {
    first_line: u64,
    first_seq: i64,
    bytes: usize,
    records: Vec<RecordTold>,
}

struct Reading<'a> {
    lines: Lines<BufReader<File>>,
    /// Over the lines since the last commit.
    hash: digest::Context,
    slug: Option<String>,
    urls: (&'a str, &'a str),
    books: Option<BooksLine<'static>>,
    assets: Vec<Asset>,
    restore: Option<Restore>,
    waiting: Waiting,
    bar: ProgressBar,
}

impl Reading<'_> {
    fn read(&mut self) -> anyhow::Result<Restored> {
        loop {
            let number = self.lines.number();
            let line = self.lines.next_line();
            let line = line.map_err(|source| with_remedy(ImportError::Read { line: number, source }))?;
            let Some(line) = line else { return Err(self.refused("cut-off", "the file has no end").into()) };
            if line.too_long {
                return Err(refused(line.number, "line-too-long", format!("longer than {LONGEST} bytes")).into());
            }
            let (number, bytes) = (line.number, line.bytes.to_vec());
            let hash = self.hash.clone();
            self.hash.update(&bytes);
            self.hash.update(b"\n");
            let kind: Kind<'_> =
                serde_json::from_slice(&bytes).map_err(|error| refused(number, "not-json", error.to_string()))?;
            match kind.kind.as_ref() {
                "journal" | "asset" | "batch" | "end" => {
                    let frame = serde_json::from_slice(&bytes);
                    let frame = frame.map_err(|error| refused(number, "not-json", error.to_string()))?;
                    if let Some(seq) = self.frame(number, frame, hash)? {
                        return self.end(seq);
                    }
                }
                _ => self.record(number, &bytes)?,
            }
        }
    }

    fn refused(&self, code: &'static str, what: impl Into<String>) -> Refused {
        refused(self.lines.number(), code, what.into())
    }

    /// Takes a line that is no record; the last seq at the end. `hash` is over the lines before it.
    fn frame(&mut self, number: u64, frame: Frame<'_>, hash: digest::Context) -> anyhow::Result<Option<i64>> {
        match frame {
            Frame::Journal(books) => self.books(&books)?,
            Frame::Asset(asset) => {
                if self.restore.is_some() {
                    return Err(self.refused("out-of-order", "an asset after the first record").into());
                }
                let (id, code, scale) = (AssetId(asset.number), asset.code.into_owned(), asset.scale);
                self.assets.push(Asset { id, code, scale });
            }
            Frame::Batch(line) => self.commit(number, &line, hash)?,
            Frame::End(EndLine { seq, .. }) => return Ok(Some(seq)),
        }
        Ok(None)
    }

    fn books(&mut self, books: &BooksLine<'_>) -> Result<(), Refused> {
        if self.books.is_some() {
            return Err(self.refused("out-of-order", "the books begin twice"));
        }
        if books.format != FORMAT {
            let what = format!("form {} does not tell records whole: export again with this release", books.format);
            return Err(self.refused("form-unknown", what));
        }
        if books.from != 1 {
            return Err(self.refused("not-whole", format!("the export begins at seq {}", books.from)));
        }
        let owned = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
        self.books = Some(BooksLine {
            tenant: owned(&books.tenant),
            name: owned(&books.name),
            zone: owned(&books.zone),
            locale: owned(&books.locale),
            former: books.former.clone(),
            ..*books
        });
        Ok(())
    }

    fn record(&mut self, number: u64, bytes: &[u8]) -> Result<(), Refused> {
        let not_json = |what: String| refused(number, "not-json", what);
        let exact: ExactPart<'_> = serde_json::from_slice(bytes).map_err(|error| not_json(error.to_string()))?;
        let decode = |text: &str| STANDARD.decode(text).map_err(|error| not_json(error.to_string()));
        let mut companions = Vec::with_capacity(exact.companions.len());
        for one in &exact.companions {
            companions.push(Companion { kind: one.kind, key: one.key, body: decode(&one.body)? });
        }
        let waiting = &mut self.waiting;
        if waiting.records.is_empty() {
            (waiting.first_line, waiting.first_seq) = (number, exact.seq);
        }
        waiting.bytes = waiting.bytes.saturating_add(bytes.len());
        let key = exact.key.map(Into::into);
        waiting.records.push(RecordTold { canonical: decode(&exact.canonical)?, key, companions });
        if waiting.records.len() > RECORDS || waiting.bytes > BYTES {
            return Err(refused(number, "commit-too-long", format!("no commit has more than {RECORDS} records")));
        }
        Ok(())
    }

    fn commit(&mut self, number: u64, line: &BatchLine, hash: digest::Context) -> anyhow::Result<()> {
        if hex(hash.finish().as_ref()) != line.sha256 {
            let what = "the lines of this commit are not those that were written";
            return Err(refused(number, "lines-changed", what.to_owned()).into());
        }
        self.hash = digest::Context::new(&SHA256);
        let Waiting { first_line, records, .. } = std::mem::take(&mut self.waiting);
        let digest = unhex(&line.digest).ok_or_else(|| refused(number, "not-json", "a digest".to_owned()))?;
        let BatchLine { first, last, rules, recorded_us, .. } = *line;
        let batch = Batch { first_seq: first, last_seq: last, version: rules, recorded_us, digest, records };
        self.begin()?;
        let Some(restore) = &mut self.restore else { return Ok(()) };
        restore.batch(batch).map_err(|error| placed(error, number, first_line, first))?;
        self.bar.set_position(self.lines.bytes_read());
        Ok(())
    }

    fn begin(&mut self) -> anyhow::Result<()> {
        if self.restore.is_none() {
            let books = self.books.clone().ok_or_else(|| self.refused("out-of-order", "records before their books"))?;
            self.restore = Some(self.open(&books)?);
        }
        Ok(())
    }

    /// Makes the tenant and its books, if they are not there, and takes them.
    fn open(&self, books: &BooksLine<'_>) -> anyhow::Result<Restore> {
        let (url, owner_url) = self.urls;
        let owner = &mut PgConnection::establish(owner_url)?;
        let ids = Ids::system();
        let slug = self.slug.as_deref().unwrap_or(&books.tenant);
        let now = Clock::System.now();
        let source = Source {
            journal: JournalId(books.number),
            fork: books.fork,
            former: books.former.iter().map(|line| (line.fork, line.seq)).collect(),
            head: books.head,
            version: books.rules,
            sandbox: books.sandbox,
            assets: self.assets.clone(),
        };
        // All of it or nothing: books of another number must not come to be.
        owner.transaction(|conn| {
            let tenant = match identity::tenant_by_slug(conn, slug) {
                Err(IdentityError::UnknownTenant) => {
                    let wish = wish(books, slug).map_err(|what| self.refused("not-json", what))?;
                    identity::restore_tenant(conn, &ids, now, Actor::Operator, books.number, &wish)?
                }
                found => found?,
            };
            if tenant.id != books.number || tenant.sandbox != books.sandbox {
                let what = format!(
                    "tenant {slug} has books of number {}, the export is of number {}: the number is part of every hash, so \
                     restore into a database where it is free",
                    tenant.id, books.number
                );
                return Err(anyhow::Error::from(self.refused("other-tenant", what)));
            }
            ledger::create_journal(conn, source.journal, ids.uuid_v7(now), tenant.sandbox)?;
            Ok::<_, anyhow::Error>(())
        })?;
        let owner = PgConnection::establish(owner_url)?;
        let restore = Restore::begin(url, owner, source, ids.uuid_v7(now), "import");
        Ok(restore.map_err(|error| placed(error, self.lines.number(), 0, 0))?)
    }

    fn end(&mut self, seq: i64) -> anyhow::Result<Restored> {
        self.begin()?;
        let number = self.lines.number();
        let Some(restore) = self.restore.take().filter(|_| self.waiting.records.is_empty()) else {
            return Err(self.refused("cut-off", "the last commit has no end").into());
        };
        if restore.at() != seq {
            return Err(self.refused("cut-off", format!("the end is said to be at seq {seq}")).into());
        }
        let posted = restore.posted();
        let fork = restore.end().map_err(|error| placed(error, number, 0, 0))?;
        Ok(Restored { seq, posted, fork })
    }
}

fn wish(books: &BooksLine<'_>, slug: &str) -> Result<NewTenant, String> {
    let zone = books.zone.parse().map_err(|_no_zone| format!("there is no time zone {}", books.zone))?;
    let locale = Lang::from_tag(&books.locale).ok_or_else(|| format!("there is no language {}", books.locale))?;
    let name = books.name.clone().into_owned();
    Ok(NewTenant { slug: slug.to_owned(), name, sandbox: books.sandbox, zone, locale })
}

fn refused(line: u64, code: &'static str, what: String) -> Refused {
    Refused { line, code: code.into(), what }
}

/// A refusal in its place: the line of the record it is about, else the line of the commit.
fn placed(error: RestoreError, number: u64, first_line: u64, first_seq: i64) -> Refused {
    let of_record = error.seq().and_then(|seq| u64::try_from(seq.checked_sub(first_seq)?).ok());
    let line = of_record.filter(|_| first_line > 0).map_or(number, |place| first_line.saturating_add(place));
    Refused { line: line.min(number), code: error.code().into(), what: error.to_string() }
}
