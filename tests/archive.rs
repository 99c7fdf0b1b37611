//! Archival: transfers of closed ranges leave the database for files and come back, and whatever is asked meanwhile is
//! answered as before, or said to be in the archive; never with less than there is.
//!
//! Ranges are small, as in `history.rs`: the first ends with seq 299, those after it have 200 seqs each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::{Connection, PgConnection, RunQueryDsl as _};
use ledger::archive::{self, ArchiveError, Files, Written};
use ledger::proof::{PublicKey, Ring, Salts, Signer};
use ledger::read::{self, At, Entry, LotFilter, ReadError, Until};
use ledger::sealing::Sealer;
use ledger::verify::leaves::{Against, LogReport, verify_log_with};
use ledger::verify::{Check, Report, verify_with};
use ledger::{
    Amount, Archived, Command, History, How, Invalid, Journal, JournalError, LegRef, LotTerms, Nature, NewAccount,
    Place, Request, StoreError, Transfer,
};
use serde_json::json;
use tessera_tests::books::{EUR, JOURNAL, account, lead, request, submit, transact};
use tessera_tests::{
    Ground, Run, TestApp, TestDb, eventually, eventually_async, fresh_key, rows, run_sql, scratch_dir, tessera,
};
use uuid::Uuid;
use wallet_api::platform::keyring::Scope;

use crate::history::{small_ranges, write};

const PATIENCE: Duration = Duration::from_secs(30);
const DAY_US: i64 = 86_400_000_000;
const SECOND: Archived = Archived { journal: JOURNAL, first_seq: 300, last_seq: 499 };
const THIRD: Archived = Archived { journal: JOURNAL, first_seq: 500, last_seq: 699 };

/// Books of four ranges, the second and third of them closed and passed by everybody, with all that can refer to a row.
struct Scene {
    db: TestDb<'static>,
    journal: Option<Journal>,
    accounts: Vec<Uuid>,
    club: Uuid,
    /// Of the second range: a payment, one that was moved back in part by the third, holds of money and of lots.
    paid: (Request, LegRef),
    half_back: LegRef,
    hold: LegRef,
    pinned: LegRef,
    ring: Ring,
    folder: PathBuf,
}

fn eur(minor: i64) -> Amount {
    Amount::new(minor, EUR)
}

impl Scene {
    fn new() -> Self {
        let db = Ground::fast().database();
        small_ranges(&db);
        let journal = lead(&db);
        let open = |new: NewAccount| {
            let id = new.public_id;
            submit(&journal, request(fresh_key(), Command::Open(new)));
            id
        };
        let accounts: Vec<Uuid> = (0..5).map(|_| open(account(fresh_key()))).collect();
        let nature = Nature::Lots { breakage: open(account(fresh_key())), grace_us: 0 };
        let club = open(NewAccount { floor: Some(0), nature, ..account(fresh_key()) });
        write(&journal, &accounts, 0, 320);
        let post = |transfers: Vec<Transfer>| {
            let asked = request(fresh_key(), transact(transfers));
            let seq = submit(&journal, asked.clone()).record.seq;
            (asked, LegRef { seq, leg: 0 })
        };
        let moving = |minor| Transfer::moving(accounts[0], accounts[1], eur(minor));
        let earned = Transfer { lot: Some(LotTerms::default()), ..Transfer::moving(accounts[0], club, eur(90)) };
        post(vec![earned]);
        let (paid, half_back) = (post(vec![moving(70)]), post(vec![moving(50)]).1);
        let hold = post(vec![Transfer { how: How::Hold { expires_us: None }, ..moving(40) }]).1;
        let of_club = Transfer::moving(club, accounts[2], eur(30));
        let pinned = post(vec![Transfer { how: How::Hold { expires_us: None }, ..of_club }]).1;
        submit(&journal, Request { effective_us: Some(9 * DAY_US), ..request(fresh_key(), transact(vec![moving(3)])) });
        assert!((300..350).contains(&paid.1.seq) && (300..350).contains(&pinned.seq), "{paid:?}");
        write(&journal, &accounts, 320, 560);
        let back = Transfer::moving(accounts[1], accounts[0], eur(20));
        let back = post(vec![Transfer { how: How::Refund { of: half_back, owing: false }, ..back }]);
        assert!((500..699).contains(&back.1.seq));
        write(&journal, &accounts, 560, 720);
        let mut salts = Salts::default();
        salts.add(1, &[7; 32]);
        let ring = Ring::new(vec![Signer::from_seed(&[9; 32]).unwrap()], salts).unwrap();

        let journal = Some(journal);
        let scene = Self { db, journal, accounts, club, paid, half_back, hold, pinned, ring, folder: scratch_dir() };
        scene.let_all_pass();
        scene
    }

    fn journal(&self) -> &Journal {
        self.journal.as_ref().unwrap()
    }

    fn conn(&self) -> PgConnection {
        PgConnection::establish(&self.db.url()).unwrap()
    }

    fn owner(&self) -> PgConnection {
        PgConnection::establish(&self.db.owner_url()).unwrap()
    }

    /// Seals to the head, and waits until nobody is behind the closed ranges.
    fn let_all_pass(&self) {
        let (mut sealer, conn) = (Sealer::default(), &mut self.conn());
        let epoch = self.journal().leading_epoch(JOURNAL).unwrap();
        while sealer.turn(conn, &self.ring, JOURNAL, epoch, DAY_US).unwrap().behind > 0 {}
        let passed = "SELECT 1 FROM (SELECT seq FROM journal.follower WHERE name IN ('dated', 'proof') \
            UNION ALL SELECT seq FROM journal.watermark) x WHERE seq >= 699";
        let closed = "SELECT 1 FROM journal.part WHERE closed_at IS NOT NULL";
        eventually("all have passed", PATIENCE, || {
            (rows(&self.db.url(), passed).len() == 3 && rows(&self.db.url(), closed).len() == 3).then_some(())
        });
    }

    fn archive(&self, range: Archived) -> Written {
        archive::archive(&mut self.owner(), range, &self.folder).unwrap()
    }

    fn path(&self, range: Archived) -> PathBuf {
        self.folder.join(range.file_name())
    }

    fn files(&self) -> Files {
        Files::at(vec![self.folder.clone()])
    }

    fn verify(&self, files: &Files) -> Report {
        verify_with(&mut self.conn(), JOURNAL, files, |_, _| {}).unwrap()
    }

    fn verify_log(&self, files: &Files) -> LogReport {
        let keys: Vec<PublicKey> = self.ring.public_keys().collect();
        let against = Against { salts: Some(&self.ring.salts), keys: &keys, since: None };
        verify_log_with(&mut self.conn(), JOURNAL, against, files, |_, _| {}).unwrap()
    }

    /// All tables that archival touches, as text.
    fn tables(&self) -> Vec<Vec<Vec<Option<String>>>> {
        let all = [
            "SELECT * FROM journal.transfer ORDER BY journal, seq, leg",
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text LIKE 'journal.transfer%' ORDER BY 1",
            "SELECT journal, first_seq, last_seq, closed_at FROM journal.part ORDER BY 1, 2",
            "SELECT * FROM journal.archived",
            "SELECT * FROM journal.standing",
        ];
        all.iter().map(|text| rows(&self.db.super_url(), text)).collect()
    }

    /// Asks under a new key.
    fn ask(&self, transfers: Vec<Transfer>) -> Result<i64, JournalError> {
        let asked = request(fresh_key(), transact(transfers));
        self.journal().submit_blocking(asked, PATIENCE).map(|answer| answer.record.seq)
    }

    /// Everything that can be asked of the past, each with the seq it is about and its answer.
    fn answers(&self, history: &History) -> Vec<(i64, String, Result<String, Archived>)> {
        let (conn, mut all) = (&mut self.conn(), Vec::new());
        let head = read::head(conn, JOURNAL).unwrap().unwrap().seq;
        let everybody: Vec<Uuid> = self.accounts.iter().copied().chain([self.club]).collect();
        let mut put = |at: i64, what: String, answer: Result<String, ReadError>| {
            let answer = answer.map_err(|error| match error {
                ReadError::Store(StoreError::Archived(range)) => range,
                other => panic!("{what}: {other}"),
            });
            all.push((at, what, answer));
        };
        let shown = |error: StoreError| ReadError::Store(error);
        let mut now = read::balances(conn, history, JOURNAL, &everybody).unwrap();
        now.sort_by_key(|one| one.public_id);
        put(head, "balances now".into(), Ok(format!("{now:?}")));
        let view = rows(&self.db.url(), "SELECT * FROM journal.balance ORDER BY id");
        put(head, "the view".into(), Ok(format!("{view:?}")));
        let lots = read::lots(conn, history, JOURNAL, self.club, LotFilter::default(), None, 50).map_err(shown);
        put(head, "lots".into(), lots.map(|lots| format!("{lots:?}")));
        for seq in (1..=head).step_by(13).chain([299, 300, 499, 500, 699, 700]) {
            let time = format!("SELECT recorded_us FROM journal.record WHERE seq = {seq}");
            let us: i64 = rows(&self.db.url(), &time)[0][0].as_ref().unwrap().parse().unwrap();
            let record = read::record(conn, JOURNAL, seq).map_err(shown);
            put(seq, format!("record {seq}"), record.map(|record| format!("{record:?}")));
            let last = read::seq_at(conn, JOURNAL, us).unwrap();
            for at in [At::Seq(seq), At::Recorded(us), At::Effective(us)] {
                let of = if at == At::Seq(seq) { seq } else { last };
                let total = read::trial_balance(conn, history, JOURNAL, at, Until::ENDLESS);
                put(of, format!("trial balance {at:?}"), total.map(|total| format!("{total:?}")));
                for id in &everybody {
                    let balance = read::balance_at(conn, history, JOURNAL, *id, at);
                    put(of, format!("balance of {id} {at:?}"), balance.map(|balance| format!("{balance:?}")));
                }
            }
        }
        all
    }

    /// Each account's statement by pages of five, from the newest entry before a place on, and what lies in the archive.
    fn statements(&self, history: &History, from: Option<Place>) -> Vec<(Vec<Entry>, Option<Archived>)> {
        let conn = &mut self.conn();
        let mut all = read::balances(conn, history, JOURNAL, &self.accounts).unwrap();
        all.sort_by_key(|one| one.account);
        let mut read = |one: &read::Balance| {
            let (mut before, mut found) = (from, Vec::new());
            loop {
                let page = match read::statement_of(conn, history, JOURNAL, one.account, before, 5) {
                    Err(StoreError::Archived(range)) => return (found, Some(range)),
                    page => page.unwrap(),
                };
                // A page that ends early goes on, and says where it cannot.
                let ends = page.entries.len() < 5 && page.away.is_none();
                before = page.entries.last().map(Entry::place);
                found.extend(page.entries);
                if ends {
                    return (found, None);
                }
            }
        };
        all.iter().map(&mut read).collect()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(journal) = self.journal.take() {
            journal.stop();
        }
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn named(report: &Report) -> (Check, String) {
    let broken = report.broken.as_ref().unwrap_or_else(|| panic!("nothing was found: {report:?}"));
    (broken.check, broken.what.clone())
}

#[test]
fn a_range_archived_and_brought_back_is_the_same_to_the_byte_and_verifies() {
    let scene = Scene::new();
    let (before, answers) = (scene.tables(), scene.answers(&History::default()));
    let (plain, log) = (scene.verify(&Files::default()), scene.verify_log(&Files::default()));
    assert!(plain.ok && log.ok, "{plain:?} {log:?}");
    let written = [SECOND, THIRD].map(|range| scene.archive(range));
    assert_ne!(scene.tables(), before);
    let bytes = fs::read(&written[0].path).unwrap();
    let with_files = scene.verify(&scene.files());
    assert_eq!(with_files, plain, "with its files nothing is left out");
    assert_eq!(scene.verify_log(&scene.files()), log);
    // In any order.
    for range in [THIRD, SECOND] {
        let header = archive::bring_back(&mut scene.owner(), &scene.path(range)).unwrap();
        assert_eq!(header.range, range);
    }
    assert_eq!(scene.tables(), before);
    assert_eq!(scene.answers(&History::default()), answers);
    assert_eq!((scene.verify(&Files::default()), scene.verify_log(&Files::default())), (plain, log));
    // And it may leave again: the same file.
    assert_eq!(scene.archive(SECOND), written[0]);
    assert_eq!(fs::read(&written[0].path).unwrap(), bytes);
    let twice = archive::let_go(&mut scene.owner(), &written[0]);
    assert!(matches!(twice, Err(ArchiveError::Store(_))), "{twice:?}");
}

#[test]
fn what_is_asked_of_archived_books_is_answered_as_before_or_said_to_be_archived() {
    let scene = Scene::new();
    let history = scene.journal().history().clone();
    let (before, statements) = (scene.answers(&history), scene.statements(&history, None));
    scene.archive(SECOND);
    for history in [history, History::default(), History::with_limit(0)] {
        let after = scene.answers(&history);
        let mut away = 0;
        for (_, what, answer) in &after {
            let at = before.iter().find(|(_, asked, _)| asked == what).unwrap().0;
            match answer {
                Ok(_) => {
                    assert!(before.iter().any(|(_, asked, was)| asked == what && was == answer), "{what}: {answer:?}")
                }
                Err(range) => {
                    assert_eq!(*range, SECOND, "{what}");
                    assert!((SECOND.first_seq..=SECOND.last_seq).contains(&at), "{what} is about seq {at}");
                    away += 1;
                }
            }
        }
        assert!(away > 50, "{away} answers lie in the archive");
        for ((told, away), (was, _)) in scene.statements(&history, None).iter().zip(&statements) {
            let later: Vec<&Entry> = was.iter().filter(|entry| entry.seq > SECOND.last_seq).collect();
            assert_eq!((told.iter().collect::<Vec<_>>(), *away), (later, Some(SECOND)));
        }
        let end = Some(Place { seq: SECOND.first_seq, leg: 0 });
        for ((told, away), (was, _)) in scene.statements(&history, end).iter().zip(&statements) {
            let earlier: Vec<&Entry> = was.iter().filter(|entry| entry.seq < SECOND.first_seq).collect();
            assert_eq!((told.iter().collect::<Vec<_>>(), *away), (earlier, None));
        }
    }
    // Records that moved nothing are told, wherever they lie.
    let conn = &mut scene.conn();
    let dropped = "SELECT min(seq) FROM journal.record WHERE kind = 2";
    let opened: i64 = rows(&scene.db.url(), dropped)[0][0].as_ref().unwrap().parse().unwrap();
    assert!(read::record(conn, JOURNAL, opened).unwrap().is_some());
    let page = read::records::after(conn, JOURNAL, 290, read::records::Size { records: 100, transfers: 1_000 });
    assert_eq!(page.unwrap().0.len(), 9, "as far as they are here");
    let page = read::records::after(conn, JOURNAL, 299, read::records::Size { records: 100, transfers: 1_000 });
    assert!(matches!(page, Err(StoreError::Archived(SECOND))), "{page:?}");
    let (page, next) = read::records::before(conn, JOURNAL, read::Window::ALL, Some(510), None, 50).unwrap();
    assert_eq!((page.len(), next), (10, Some(500)));
    let page = read::records::before(conn, JOURNAL, read::Window::ALL, next, None, 50);
    assert!(matches!(page, Err(StoreError::Archived(SECOND))), "{page:?}");
    let whole = read::records::after(conn, JOURNAL, 499, read::records::Size { records: 100, transfers: 1_000 });
    assert_eq!(whole.unwrap().0.len(), 100);
    let touching =
        read::unspent::touching(conn, JOURNAL, 0, 700, read::records::Size { records: 400, transfers: 9_000 });
    assert!(matches!(touching, Err(StoreError::Archived(SECOND))), "{touching:?}");
    let signed = ledger::sealing::covering_head(conn, JOURNAL, scene.paid.1.seq).unwrap().unwrap();
    let receipt = ledger::sealing::receipt(conn, &scene.ring.salts, scene.paid.1.seq, &scene.accounts, signed);
    assert!(matches!(receipt, Err(StoreError::Archived(SECOND))), "{receipt:?}");
    ledger::sealing::inclusion(conn, scene.paid.1.seq, signed).unwrap();
}

#[test]
fn a_request_that_needs_an_archived_row_is_refused_alone_and_its_key_stays_free() {
    let scene = Scene::new();
    scene.archive(SECOND);
    let epoch = scene.journal().latest_epoch();
    let (from, to) = (scene.accounts[0], scene.accounts[1]);
    let back = Transfer { how: How::Refund { of: scene.paid.1, owing: false }, ..Transfer::moving(to, from, eur(5)) };
    let refund = request(fresh_key(), transact(vec![back]));
    let ask = |asked: &Request| scene.journal().submit_blocking(asked.clone(), PATIENCE);
    let refused = ask(&refund);
    assert_eq!(refused.err(), Some(JournalError::Invalid(Invalid::Archived(SECOND))));
    // Its old key leads to a record that cannot be told; with another body it is another request all the same.
    assert_eq!(ask(&scene.paid.0).err(), Some(JournalError::Archived(SECOND)));
    let mut rival = scene.paid.0.clone();
    rival.key.fingerprint = fresh_key();
    assert_eq!(ask(&rival).err(), Some(JournalError::KeyReused));
    let abandon = Request { command: Command::Abandon, ..rival };
    assert_eq!(ask(&abandon).err(), Some(JournalError::Archived(SECOND)), "it was done, so it is not given up");
    // Holds are no rows: one that was opened there is captured and voided, with the lots it pinned.
    let capture = Transfer { how: How::Capture { hold: scene.hold }, ..Transfer::moving(from, to, eur(15)) };
    let void = Transfer { how: How::Void { hold: scene.hold }, ..Transfer::moving(from, to, eur(0)) };
    let spend = Transfer {
        how: How::Capture { hold: scene.pinned },
        ..Transfer::moving(scene.club, scene.accounts[2], eur(10))
    };
    let all = [vec![capture], vec![void], vec![spend]];
    all.into_iter().for_each(|transfers| _ = scene.ask(transfers).unwrap());
    assert_eq!(scene.journal().latest_epoch(), epoch, "nobody else noticed");
    archive::bring_back(&mut scene.owner(), &scene.path(SECOND)).unwrap();
    let done = ask(&refund).unwrap();
    assert!(!done.replayed, "the key was free");
    assert!(ask(&scene.paid.0).unwrap().replayed);
    let more =
        Transfer { how: How::Refund { of: scene.half_back, owing: false }, ..Transfer::moving(to, from, eur(31)) };
    assert!(scene.ask(vec![more]).is_ok(), "an answer, which is a refusal");
    scene.let_all_pass();
    scene.archive(SECOND);
    let report = scene.verify(&scene.files());
    assert!(report.ok && report.unread.is_empty(), "{report:?}");
    let report = scene.verify(&Files::default());
    assert!(report.ok && report.unread.len() == 1, "{report:?}");
}

#[test]
fn killed_between_the_file_and_the_drop_the_rows_are_there_and_the_next_run_goes_on() {
    let scene = Scene::new();
    let before = scene.tables();
    let (owner, part) = (&mut scene.owner(), scene.path(SECOND).with_extension("transfers.part"));
    // While the file was being written.
    fs::write(&part, b"tessera archived transfers 1\njournal 1\n").unwrap();
    let written = archive::write(owner, SECOND, &scene.folder).unwrap();
    assert!(!part.exists());
    assert_eq!(scene.tables(), before, "the file is there, and the rows are");
    assert!(scene.verify(&scene.files()).ok);
    // Inside the transaction that drops the rows.
    let cut_off = owner.transaction::<(), ArchiveError, _>(|conn| {
        archive::let_go(conn, &written)?;
        Err(diesel::result::Error::RollbackTransaction.into())
    });
    assert!(cut_off.is_err());
    assert_eq!(scene.tables(), before);
    // Done again it is done; the file that was there is found to be the same.
    assert_eq!(scene.archive(SECOND), written);
    assert_eq!(rows(&scene.db.url(), "SELECT first_seq FROM journal.archived").len(), 1);
    // Cut off on its way back, it is where it was.
    let away = scene.tables();
    let cut_off = owner.transaction::<(), ArchiveError, _>(|conn| {
        archive::bring_back(conn, &written.path)?;
        Err(diesel::result::Error::RollbackTransaction.into())
    });
    assert!(cut_off.is_err());
    assert_eq!(scene.tables(), away);
    archive::bring_back(owner, &written.path).unwrap();
    assert_eq!(scene.tables(), before);
}

#[test]
fn what_is_not_closed_or_not_passed_by_everybody_is_not_archived() {
    let scene = Scene::new();
    let before = scene.tables();
    let owner = &mut scene.owner();
    assert_eq!(archive::closed(owner, JOURNAL, i64::MAX).unwrap(), [SECOND, THIRD]);
    assert_eq!(archive::closed(owner, JOURNAL, 698).unwrap(), [SECOND], "never the first, which is common");
    for (name, behind) in [
        ("proof", "UPDATE journal.follower SET seq = 498 WHERE name = 'proof'"),
        ("proof", "DELETE FROM journal.follower WHERE name = 'proof'"),
        ("dated", "UPDATE journal.follower SET seq = 499 - 1 WHERE name = 'dated'"),
        ("cards", "INSERT INTO journal.follower SELECT journal, 'cards', fork, 12 FROM journal.head"),
        (
            "cards",
            "INSERT INTO journal.parked (journal, follower, seq, what) SELECT journal, 'cards', 410, 'a paper' FROM journal.head",
        ),
        ("checkpoints", "UPDATE journal.watermark SET seq = 1, epoch = epoch + 1"),
    ] {
        run_sql(
            &scene.db.super_url(),
            "CREATE TABLE public.f AS TABLE journal.follower; CREATE TABLE public.w AS TABLE journal.watermark",
        );
        let whole = archive::write(owner, SECOND, &scene.folder).unwrap();
        // Nobody moves on meanwhile: the scene's journal is idle, and dated has nothing to read.
        run_sql(&scene.db.super_url(), behind);
        let refused = archive::archive(owner, SECOND, &scene.folder);
        let said = refused.as_ref().map_err(ToString::to_string);
        assert!(matches!(&refused, Err(ArchiveError::Behind { name: found, .. }) if found == name), "{said:?}");
        // The database itself sees it, too.
        assert!(matches!(archive::let_go(owner, &whole), Err(ArchiveError::Store(_))), "{behind}");
        run_sql(
            &scene.db.super_url(),
            "TRUNCATE journal.follower, journal.parked; INSERT INTO journal.follower TABLE public.f; \
             UPDATE journal.watermark w SET seq = p.seq, epoch = p.epoch FROM public.w p WHERE p.journal = w.journal; \
             DROP TABLE public.f, public.w",
        );
        assert_eq!(scene.tables(), before, "{behind}");
    }
    let unknown = archive::closed(owner, ledger::JournalId(77), 9);
    assert!(matches!(unknown, Err(ArchiveError::UnknownJournal(_))));
    // The app role asks for nothing of it.
    let app = &mut scene.conn();
    let whole = archive::write(owner, SECOND, &scene.folder).unwrap();
    assert!(matches!(archive::let_go(app, &whole), Err(ArchiveError::Store(_))));
    assert_eq!(scene.tables(), before);
    // Somebody else at it.
    let other = &mut scene.owner();
    let lock = format!("SELECT pg_advisory_lock(hashtextextended('tessera archive', {}))", JOURNAL.0);
    diesel::sql_query(lock).execute(other).unwrap();
    let twice = archive::archive(owner, SECOND, &scene.folder);
    assert!(matches!(twice, Err(ArchiveError::Twice(JOURNAL))), "{twice:?}");
    diesel::sql_query("SELECT pg_advisory_unlock_all()").execute(other).unwrap();
    // A folder that is not there, and a file of the same name with other contents.
    let nowhere = archive::archive(owner, SECOND, Path::new("/nowhere/at/all"));
    assert!(matches!(nowhere, Err(ArchiveError::Io { .. })));
    fs::write(scene.path(SECOND), b"something else\n").unwrap();
    assert!(matches!(archive::archive(owner, SECOND, &scene.folder), Err(ArchiveError::Exists(_))));
    assert_eq!(scene.tables(), before);
}

#[test]
fn a_changed_file_brings_nothing_back_and_is_named_by_verify() {
    let scene = Scene::new();
    scene.archive(SECOND);
    let (path, away) = (scene.path(SECOND), scene.tables());
    let bytes = fs::read(&path).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let (lines, owner): (Vec<&str>, _) = (text.lines().collect(), &mut scene.owner());
    let end = lines.len() - 1;
    let mut forged = Vec::new();
    for place in [1, 2, 3, 4, 6, 40, end] {
        let mut changed: Vec<String> = lines.iter().map(ToString::to_string).collect();
        changed[place] = changed[place].replacen('1', "2", 1);
        forged.push(changed.join("\n") + "\n");
    }
    forged.push(lines[..end].join("\n") + "\n");
    forged.push(lines[..20].iter().chain(&lines[21..]).copied().collect::<Vec<_>>().join("\n") + "\n");
    for contents in forged.iter().filter(|contents| **contents != text) {
        fs::write(&path, contents).unwrap();
        assert!(archive::bring_back(owner, &path).is_err());
        assert_eq!(scene.tables(), away);
        let (check, what) = named(&scene.verify(&scene.files()));
        assert_eq!(check, Check::Archived, "{what}");
    }
    // A forger who makes a whole new file of other rows: its digest is not the one that was noted.
    let mut row: Vec<String> = lines[6].split(' ').map(str::to_owned).collect();
    row[6] = "77".to_owned();
    let mut body: Vec<String> = lines[..end].iter().map(ToString::to_string).collect();
    body[6] = row.join(" ");
    let body = body.join("\n") + "\n";
    let digest = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let rows_said = lines[4].strip_prefix("rows ").unwrap();
    fs::write(&path, format!("{body}end {rows_said} {hex}\n")).unwrap();
    assert!(matches!(archive::bring_back(owner, &path), Err(ArchiveError::OtherFile { .. })));
    assert!(!scene.verify(&scene.files()).ok);
    assert!(!scene.verify_log(&scene.files()).ok);
    fs::write(&path, &bytes).unwrap();
    assert!(scene.verify(&scene.files()).ok);
    // What is not archived has nothing to come back to.
    archive::bring_back(owner, &path).unwrap();
    assert!(matches!(archive::bring_back(owner, &path), Err(ArchiveError::NotArchived(SECOND))));
}

/// Verify believes what is noted of an archived range no more than a row, whether it has the file or not.
#[test]
fn what_is_noted_of_an_archived_range_and_is_not_so_is_named_by_verify() {
    let mut scene = Scene::new();
    scene.archive(SECOND);
    scene.archive(THIRD);
    scene.journal.take().unwrap().stop();
    let blind = scene.verify(&Files::default());
    assert!(blind.ok, "{blind:?}");
    let unread: Vec<_> = blind.unread.iter().map(|range| (range.first_seq, range.last_seq)).collect();
    assert_eq!(unread, [(300, 499), (500, 699)]);
    let log = scene.verify_log(&Files::default());
    assert!(log.ok && log.unread.len() == 2 && log.derived < 500, "{log:?}");
    let seen = scene.verify(&scene.files());
    assert!(seen.ok && seen.unread.is_empty() && seen.transfers > blind.transfers);
    let keep: Vec<String> =
        ["archived", "standing", "part", "places", "lot", "hold", "transfer", "dated", "link", "account"]
            .iter()
            .map(|table| format!("CREATE TABLE public.{table} AS TABLE journal.{table}"))
            .collect();
    run_sql(&scene.db.super_url(), &keep.join("; "));
    let both = |sql: &'static str| (sql, true, true);
    for (sql, without, with) in [
        both("UPDATE journal.standing SET balance = balance + 1 WHERE account = 2 AND upto >> 20 < 500"),
        // Between two ranges that are not looked at, all that is asked without their files is that balances add up.
        (
            "UPDATE journal.standing SET balance = balance + CASE account WHEN 2 THEN 1 ELSE -1 END WHERE account IN (2, 3) AND upto >> 20 < 500",
            false,
            true,
        ),
        both(
            "UPDATE journal.standing SET balance = balance + CASE account WHEN 2 THEN 1 ELSE -1 END WHERE account IN (2, 3)",
        ),
        both("UPDATE journal.standing SET held = held + 1 WHERE account = 1"),
        both("UPDATE journal.standing SET version = version + 1 WHERE account = 3 AND upto >> 20 < 500"),
        both("UPDATE journal.standing SET upto = upto - 1 WHERE account = 3"),
        both("DELETE FROM journal.standing WHERE account = 4 AND upto >> 20 < 500"),
        both("DELETE FROM journal.standing"),
        both(
            "INSERT INTO journal.standing SELECT journal, account, 7, balance, held, version FROM journal.standing LIMIT 1",
        ),
        both("INSERT INTO journal.standing SELECT journal, 999, upto, 0, 0, 1 FROM journal.standing LIMIT 1"),
        both("DELETE FROM journal.archived WHERE first_seq = 300"),
        both("DELETE FROM journal.archived WHERE first_seq = 500"),
        both("UPDATE journal.archived SET last_seq = last_seq - 1 WHERE first_seq = 300"),
        both("UPDATE journal.archived SET file = 'another'"),
        ("UPDATE journal.archived SET sha256 = sha256(sha256)", false, true),
        ("UPDATE journal.archived SET rows = rows + 1", true, true),
        both(
            "INSERT INTO journal.archived SELECT journal, 700, 899, rows, sha256, file FROM journal.archived WHERE first_seq = 300",
        ),
        both("UPDATE journal.places SET places = places[2:] WHERE account = 3 AND upto >> 20 BETWEEN 300 AND 499"),
        both("UPDATE journal.lot SET remaining = remaining + 1"),
        both("UPDATE journal.hold SET remaining = remaining - 1"),
        ("UPDATE journal.dated SET change = change - 1, sum = sum - 1 WHERE change < 0", true, true),
        ("UPDATE journal.link SET amount = 60 WHERE kind = 1", false, true),
        both("UPDATE journal.account SET checkpoint_balance = checkpoint_balance + 1 WHERE id = 5"),
    ] {
        run_sql(&scene.db.super_url(), sql);
        for (files, wanted) in [(Files::default(), without), (scene.files(), with)] {
            let found = scene.verify(&files).broken;
            assert_eq!(found.is_some(), wanted, "{sql}: {found:?}");
        }
        let back: Vec<String> = ["archived", "standing", "places", "lot", "hold", "dated", "link", "account"]
            .iter()
            .map(|table| format!("DELETE FROM journal.{table}; INSERT INTO journal.{table} TABLE public.{table}"))
            .collect();
        run_sql(&scene.db.super_url(), &back.join("; "));
    }
    assert!(scene.verify(&scene.files()).ok && scene.verify(&Files::default()).ok);
}

/// Whoever reads the past in a snapshot keeps archival waiting, and is never shown less than there was.
#[test]
fn a_snapshot_that_is_read_keeps_its_ranges_and_archival_says_that_it_waited() {
    let scene = Scene::new();
    let reader = &mut scene.conn();
    let written = archive::write(&mut scene.owner(), SECOND, &scene.folder).unwrap();
    reader
        .build_transaction()
        .repeatable_read()
        .read_only()
        .run::<(), diesel::result::Error, _>(|reader| {
            archive::keep_still(reader)?;
            let before = read::record(reader, JOURNAL, scene.paid.1.seq).unwrap();
            let (mut owner, written) = (scene.owner(), written.clone());
            let letting_go = std::thread::spawn(move || archive::let_go(&mut owner, &written));
            // Others come and go while it waits: reads and the writer.
            for _ in 0..20 {
                std::thread::sleep(Duration::from_millis(50));
                let moved = Transfer::moving(scene.accounts[0], scene.accounts[1], eur(1));
                scene.ask(vec![moved]).unwrap();
                read::record(&mut scene.conn(), JOURNAL, scene.paid.1.seq).unwrap();
            }
            assert!(!letting_go.is_finished());
            assert_eq!(read::record(reader, JOURNAL, scene.paid.1.seq).unwrap(), before);
            std::thread::spawn(move || letting_go.join().unwrap().unwrap());
            Ok(())
        })
        .unwrap();
    eventually("the range is let go", PATIENCE, || {
        matches!(read::record(&mut scene.conn(), JOURNAL, scene.paid.1.seq), Err(StoreError::Archived(SECOND)))
            .then_some(())
    });
}

/// Over HTTP and at the command line: what is away says which seqs, in the caller's language, and comes back.
#[tokio::test]
async fn what_is_archived_says_so_over_http_and_at_the_command_line() {
    let app = TestApp::start();
    let api = app.world.client(&[Scope::LedgerWrite, Scope::LedgerRead]);
    run_sql(
        &app.db().super_url(),
        "UPDATE journal.layout SET records = 100; UPDATE journal.range SET last_seq = 99 WHERE first_seq = 0; \
         ALTER TABLE journal.transfer DETACH PARTITION journal.transfer_0; \
         ALTER TABLE journal.transfer ATTACH PARTITION journal.transfer_0 FOR VALUES FROM (MINVALUE) TO (100)",
    );
    api.post("/v1/ledger/assets", &json!({"code": "EUR", "scale": 2})).await;
    let mut accounts = Vec::new();
    for _ in 0..2 {
        let opened = api.post("/v1/ledger/accounts", &json!({"asset": "EUR"})).await.expect(201);
        accounts.push(opened["id"].as_str().unwrap().to_owned());
    }
    let leg = json!({"debit": accounts[0], "credit": accounts[1], "amount": "3", "asset": "EUR"});
    let (body, mut paid) = (json!({"transfers": [leg]}), None);
    loop {
        let key = fresh_key();
        let reply = api.post_as(key, "/v1/ledger/transactions", &body).await;
        if reply.status == 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let seq = reply.expect(201)["seq"].as_i64().unwrap();
        if seq == 150 {
            paid = Some(key);
        }
        if seq > 205 {
            break;
        }
    }
    let paid = paid.unwrap();
    let passed = "SELECT 1 WHERE (SELECT min(seq) FROM journal.follower) >= 199 \
        AND (SELECT seq FROM journal.watermark) >= 199 \
        AND (SELECT count(*) FROM journal.follower WHERE name IN ('proof', 'dated')) = 2 \
        AND EXISTS (SELECT FROM journal.part WHERE first_seq = 100 AND closed_at IS NOT NULL)";
    let all_passed = async || (!rows(&app.db().url(), passed).is_empty()).then_some(());
    eventually_async("all have passed", PATIENCE, all_passed).await;
    let folder = scratch_dir();
    let slug = rows(&app.db().super_url(), "SELECT slug FROM tenant LIMIT 1")[0][0].clone().unwrap();
    let to = folder.to_str().unwrap().to_owned();
    let run = |words: &[&str]| {
        let mut command = tessera(words);
        command.env("DATABASE_URL", app.db().url()).env("DATABASE_OWNER_URL", app.db().owner_url());
        command.run()
    };
    let at = |seq: i64| format!("/v1/ledger/accounts/{}/balance?seq={seq}", accounts[1]);
    let (end, inside) = (api.get(&at(199)).await.expect(200), api.get(&at(150)).await.expect(200));
    let total = api.get("/v1/ledger/trial-balance?seq=199").await.expect(200);

    let told = run(&["archive", "--tenant", &slug]);
    assert_eq!(told.out, "seqs 100 to 199: closed, in the database\n", "{told:?}");
    let done = run(&["archive", "--tenant", &slug, "--upto", "199", "--to", &to]);
    assert!(done.status.success() && done.out.starts_with("seqs 100 to 199: "), "{done:?}");
    assert_eq!(api.get(&at(199)).await.expect(200), end);
    assert_eq!(api.get("/v1/ledger/trial-balance?seq=199").await.expect(200), total);
    let away = api.get(&at(150)).await.expect_problem(410, "archived");
    assert_eq!((&away["first_seq"], &away["last_seq"]), (&json!(100), &json!(199)));
    let italian = api.in_lang("it").get("/v1/ledger/transactions/150").await.expect_problem(410, "archived");
    assert_eq!(italian["title"], "Questo è in archivio");
    api.post_as(paid, "/v1/ledger/transactions", &body).await.expect_problem(410, "archived");
    let back = json!({"debit": accounts[1], "credit": accounts[0], "amount": "1", "asset": "EUR", "how": "refund",
        "of": {"seq": 150, "leg": 0}});
    api.post("/v1/ledger/transactions", &json!({"transfers": [back]})).await.expect_problem(410, "archived");
    // A page ends before the range and says that there is more; the next one says why not.
    let entries = format!("/v1/ledger/accounts/{}/entries?limit=100", accounts[1]);
    let page = api.get(&entries).await.expect(200);
    let seqs: Vec<i64> = page["items"].as_array().unwrap().iter().map(|one| one["seq"].as_i64().unwrap()).collect();
    assert!(page["has_more"] == json!(true) && seqs.iter().all(|seq| *seq > 199) && seqs.len() > 5, "{page}");
    let next = format!("{entries}&cursor={}", page["next_cursor"].as_str().unwrap());
    api.get(&next).await.expect_problem(410, "archived");

    let blind = run(&["verify", "--tenant", &slug]);
    assert!(blind.out.contains("NOT LOOKED AT: the transfers of seqs 100 to 199"), "{blind:?}");
    assert!(blind.status.success());
    let seen = run(&["verify", "--tenant", &slug, "--archive", &to, "--json"]);
    assert!(seen.status.success() && seen.json()["journals"][0]["unread"] == json!([]), "{seen:?}");
    let export = run(&["export", "journal", "--tenant", &slug, folder.join("books").to_str().unwrap()]);
    assert!(!export.status.success() && export.err.contains("tessera archive --back"), "{export:?}");

    let mut files = fs::read_dir(&folder).unwrap().map(|one| one.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|it| it == "transfers")).unwrap();
    let back = run(&["archive", "--back", file.to_str().unwrap()]);
    assert!(back.status.success(), "{back:?}");
    assert_eq!(api.get(&at(150)).await.expect(200), inside);
    let log = app.api().get("/v1/audit?actor=operator&limit=2").await.expect(200);
    let acts = log["items"].as_array().unwrap().iter().map(|one| (&one["action"], &one["object"]["id"]));
    let expected = [(&json!("range.brought_back"), &json!("100")), (&json!("range.archived"), &json!("100"))];
    assert_eq!(acts.collect::<Vec<_>>(), expected, "with the rows that left and came back");
    assert!(api.post_as(paid, "/v1/ledger/transactions", &body).await.status < 300);
    fs::remove_dir_all(folder).unwrap();
}
