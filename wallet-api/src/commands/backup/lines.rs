//! What a restore means for the books: a new line of history, and a word on what is missing.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use diesel::{Connection, PgConnection};
use ledger::JournalId;
use ledger::forks::{self, Comparison, Known};
use ledger::proof::Ring;
use serde::Serialize;

use super::super::node::DatabaseArgs;
use super::heads::Heads;
use super::store;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;
use crate::platform::sealing::Publish;

/// What was said of books that were compared with nothing.
const NOTHING_KNOWN: &str = "there is no known head to compare with: what is missing cannot be said";

/// What became of one journal.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) journal: i64,
    /// The last seq that was brought back.
    pub(super) seq: i64,
    /// Nothing that was known is missing.
    pub(super) whole: bool,
    /// The known seqs that are missing, first and last.
    pub(super) lost: Option<(i64, i64)>,
    pub(super) finding: String,
}

/// How to begin a new line of history after a restore that was not ours.
#[derive(Debug, clap::Args)]
pub struct BeginForkArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The file of known heads to compare with; without it, the one beside the data folder.
    #[arg(long, env = "TESSERA_HEADS_FILE")]
    heads_file: Option<PathBuf>,
    /// Accept what was lost, also where it cannot be said.
    #[arg(long)]
    accept_loss: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// `tessera begin-fork`
pub fn begin_fork(args: &BeginForkArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let database = args.database.join()?;
    let owner_url = database.owner_url.as_ref().context("set DATABASE_OWNER_URL: only the owner may begin a line")?;
    let beside = || {
        database_is_private(&args.database)
            .then(|| super::heads::beside(&args.database.data_dir, "heads.json"))
            .flatten()
    };
    let heads = match args.heads_file.clone().or_else(beside) {
        Some(path) => Heads::load(&path)?,
        None => None,
    };
    let findings = begin_lines(&mut PgConnection::establish(owner_url)?, heads.as_ref(), args.accept_loss)?;
    print(&findings, args.accept_loss, args.json, out)
}

fn database_is_private(args: &DatabaseArgs) -> bool {
    args.database_url.is_none()
}

/// Which restores to accept.
#[derive(Debug, clap::Args)]
pub struct AcceptArgs {
    #[command(flatten)]
    database: DatabaseArgs,
}

/// `tessera accept-restore`
pub fn accept_restore(args: &AcceptArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let database = args.database.join()?;
    let owner_url = database.owner_url.as_ref().context("set DATABASE_OWNER_URL: only the owner may accept")?;
    let conn = &mut PgConnection::establish(owner_url)?;
    for (journal, finding) in forks::unaccepted(conn)? {
        writeln!(out, "journal {}: {finding}", journal.0)?;
    }
    match forks::accept(conn)? {
        0 => writeln!(out, "there is no restore to accept")?,
        _ => writeln!(out, "accepted: nodes may lead again")?,
    }
    Ok(())
}

/// Refuses a node over books whose restore nobody has accepted.
///
/// # Errors
/// With what was found, journal by journal, and what to do.
pub fn must_be_accepted(conn: &mut PgConnection) -> anyhow::Result<()> {
    let open = forks::unaccepted(conn)?;
    let Some((journal, finding)) = open.first() else { return Ok(()) };
    anyhow::bail!(
        "the books were restored and nobody has accepted what that lost. Journal {}: {finding}. Read all {} finding(s) \
         and accept them with `tessera accept-restore`, or restore something better",
        journal.0,
        open.len()
    )
}

/// Refuses books whose log does not begin with the heads that were published of it (JOURNAL 29): each that is missing, or
/// is another, is named with the seqs that were lost.
///
/// # Errors
/// What was found, and what to do.
pub fn must_hold_published(conn: &mut PgConnection, ring: &Ring, publish: &Publish) -> anyhow::Result<()> {
    let keys: Vec<_> = ring.public_keys().collect();
    for form in publish.known()?.heads {
        let published = form.read()?;
        let head = &published.head;
        let (journal, size) = (head.journal.0, head.size);
        let remedy = "If this database was restored and that was meant, run `tessera begin-fork`, and put the published \
            heads elsewhere; if not, find the right database";
        published.check(&keys).with_context(|| {
            format!("the published head of journal {journal} is not signed by a key of this proof folder. {remedy}")
        })?;
        match ledger::sealing::compare(conn, Some(ring), &published)? {
            Comparison::Whole => {}
            Comparison::Lost { first, last } => anyhow::bail!(
                "journal {journal}: seqs {first} to {last} were published as sealed and are lost here. {remedy}"
            ),
            Comparison::UnknownLine => anyhow::bail!(
                "journal {journal}: the published head of size {size} is of a line of history that was never here. {remedy}"
            ),
            Comparison::Differs => anyhow::bail!(
                "journal {journal}: what stands up to seq {size} is not what was sealed and published. These are other \
                 books, or changed ones: keep everything as it is, and run `tessera verify`"
            ),
        }
    }
    Ok(())
}

/// Refuses books that lack what the file of known heads has.
pub(super) fn must_hold(conn: &mut PgConnection, path: &Path) -> anyhow::Result<()> {
    let Some(heads) = Heads::load(path)? else { return Ok(()) };
    if heads.system_id != store::system_id(conn)? {
        return Ok(()); // another database's: it is kept aside when the file is written
    }
    for known in heads.known()? {
        let finding = finding_of(conn, &known, &heads)?;
        anyhow::ensure!(
            finding.whole,
            "journal {}: {}. This database was restored or failed over by other means than `tessera restore`. If that \
             was meant, run `tessera begin-fork --heads-file {}`; if not, find the right database",
            known.journal.0,
            finding.finding,
            path.display()
        );
    }
    Ok(())
}

/// Begins a new line of history in every journal, and notes what each lacks of what was known. Where nothing is missing,
/// or `accept` says so, nodes may lead at once.
pub(super) fn begin_lines(
    conn: &mut PgConnection,
    heads: Option<&Heads>,
    accept: bool,
) -> anyhow::Result<Vec<Finding>> {
    if let Some(heads) = heads {
        let system_id = store::system_id(conn)?;
        anyhow::ensure!(
            heads.system_id == system_id,
            "the known heads are of another database ({}, this is {system_id}): name the right file with --heads-file",
            heads.system_id
        );
    }
    conn.transaction(|conn| {
        let findings = findings(conn, heads)?;
        for finding in &findings {
            note(conn, finding)?;
        }
        if accept || findings.iter().all(|finding| finding.whole) {
            forks::accept(conn)?;
        }
        Ok(findings)
    })
}

fn note(conn: &mut PgConnection, finding: &Finding) -> anyhow::Result<()> {
    let (journal, fork) = (JournalId(finding.journal), Ids::system().uuid_v7(Clock::System.now()));
    if ledger::journals(conn)?.contains(&journal) {
        forks::begin(conn, journal, fork, &finding.finding)?;
    } else {
        forks::note(conn, journal, fork, 0, &finding.finding)?;
    }
    Ok(())
}

/// What is missing of each journal that is here or was known.
fn findings(conn: &mut PgConnection, heads: Option<&Heads>) -> anyhow::Result<Vec<Finding>> {
    let known = heads.map_or_else(|| Ok(Vec::new()), Heads::known)?;
    let mut findings = Vec::new();
    for (journal, head) in ledger::read::heads(conn)? {
        let finding = match (heads, known.iter().find(|known| known.journal == journal)) {
            (Some(heads), Some(known)) => finding_of(conn, known, heads)?,
            _ => Finding {
                journal: journal.0,
                seq: head.seq,
                whole: false,
                lost: None,
                finding: NOTHING_KNOWN.to_owned(),
            },
        };
        findings.push(finding);
    }
    let here: Vec<i64> = findings.iter().map(|finding| finding.journal).collect();
    for known in known.iter().filter(|known| !here.contains(&known.journal.0)) {
        if let Some(heads) = heads {
            findings.push(finding_of(conn, known, heads)?);
        }
    }
    Ok(findings)
}

fn finding_of(conn: &mut PgConnection, known: &Known, heads: &Heads) -> anyhow::Result<Finding> {
    let comparison = forks::compare(conn, known)?;
    let seq = ledger::read::head(conn, known.journal)?.map_or(0, |head| head.seq);
    let (journal, at) = (known.journal.0, heads.at.to_rfc3339());
    let (whole, lost, finding) = match comparison {
        Comparison::Whole => (true, None, format!("nothing that was known at {at} is missing")),
        Comparison::Lost { first, last } => {
            let words = format!("seqs {first} to {last} are lost, and perhaps what came after {at}");
            (false, Some((first, last)), words)
        }
        Comparison::UnknownLine => {
            let words = format!(
                "seq {} known at {at} is of a line of history that was never here (fork {})",
                known.seq, known.fork
            );
            (false, None, words)
        }
        Comparison::Differs => anyhow::bail!(
            "journal {journal}: seq {} is not the record that was known at {at}: these are other books, or changed \
             ones. Nothing was begun; find the right backup",
            known.seq
        ),
    };
    Ok(Finding { journal, seq, whole, lost, finding })
}

/// In words, or as one JSON object.
pub(super) fn print(findings: &[Finding], accept: bool, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let accepted = accept || findings.iter().all(|finding| finding.whole);
    if json {
        writeln!(out, "{}", serde_json::json!({"journals": findings, "accepted": accepted}))?;
        return Ok(());
    }
    for Finding { journal, seq, finding, .. } in findings {
        writeln!(out, "journal {journal}: brought back to seq {seq}; {finding}")?;
    }
    if !accepted {
        writeln!(out, "No node leads before you accept this: tessera accept-restore")?;
    }
    Ok(())
}
