//! Clients on threads of their own, each asking and looking as its dice fall, and writing down what it was told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use diesel::sql_types::{BigInt, Binary, Nullable, Uuid as SqlUuid};
use diesel::{Connection, PgConnection, QueryableByName, RunQueryDsl};
use ledger::read::{self, Until, records};
use ledger::{Journal, JournalId, LegRef, Lot, Record, Request};
use tessera_tests::{Dice, TestDb, books};
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use super::JOURNAL;
use super::history::{History, Look, Seen, Span, Told, Write, known};
use super::town::{self, Board};

/// A request that waits longer was not tried.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the clients of a run share.
struct Common<'a> {
    url: String,
    journals: &'a [Journal],
    board: Mutex<Board>,
    ticks: AtomicU64,
}

impl Common<'_> {
    fn board(&self) -> std::sync::MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::SeqCst)
    }
}

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub clients: usize,
    /// Each of them asks and looks so often.
    pub steps: usize,
}

/// Has clients ask these journals of one database, of which one leads, and tells everything that they saw.
pub fn run(db: &TestDb<'_>, journals: &[Journal], dice: &Dice, size: Size) -> History {
    let (board, ticks) = (Mutex::default(), AtomicU64::new(0));
    let common = Common { url: db.url(), journals, board, ticks };
    let mut first = Client::new(&common, 0, dice.of(0));
    for command in town::beginning() {
        let key = Uuid::from_u128(u128::from(common.tick()) + 1);
        first.ask(books::request(key, command));
    }
    let (mut writes, mut looks) = (first.writes, first.looks);
    std::thread::scope(|scope| {
        let work = |number| {
            let mut client = Client::new(&common, number, dice.of(u64::try_from(number).unwrap()));
            (0..size.steps).for_each(|_| client.step());
            (client.writes, client.looks)
        };
        let threads: Vec<_> = (1..=size.clients).map(|number| scope.spawn(move || work(number))).collect();
        for thread in threads {
            let (wrote, looked) = thread.join().expect("a client");
            writes.extend(wrote);
            looks.extend(looked);
        }
    });
    let (records, keys) = at_the_end(&common.url, JOURNAL);
    History { writes, looks, records, keys }
}

/// The journal as it is now, and where the clients' keys lead.
pub fn at_the_end(url: &str, journal: JournalId) -> (Vec<Record>, BTreeMap<Uuid, i64>) {
    #[derive(QueryableByName)]
    struct Led {
        #[diesel(sql_type = SqlUuid)]
        key: Uuid,
        #[diesel(sql_type = BigInt)]
        seq: i64,
    }
    let conn = &mut PgConnection::establish(url).unwrap();
    let mut all: Vec<Record> = Vec::new();
    loop {
        let after = all.last().map_or(0, |record| record.seq);
        let size = records::Size { records: 1_000, transfers: 10_000 };
        let (page, _) = records::after(conn, journal, after, size).unwrap();
        if page.is_empty() {
            break;
        }
        all.extend(page);
    }
    // What the house asks for by itself has scopes below zero.
    let text = "SELECT key, seq FROM journal.key WHERE journal = $1 AND scope > 0";
    let led: Vec<Led> = diesel::sql_query(text).bind::<BigInt, _>(journal.0).load(conn).unwrap();
    (all, led.into_iter().map(|led| (led.key, led.seq)).collect())
}

struct Client<'a> {
    common: &'a Common<'a>,
    number: usize,
    dice: Dice,
    conn: PgConnection,
    /// Half of the clients read as a node does that follows: it knows what it has read.
    history: ledger::History,
    runtime: Runtime,
    writes: Vec<Write>,
    looks: Vec<Look>,
}

impl<'a> Client<'a> {
    fn new(common: &'a Common<'a>, number: usize, dice: Dice) -> Self {
        let conn = PgConnection::establish(&common.url).unwrap();
        let leading = || common.journals[number / 2 % common.journals.len()].history().clone();
        let history = if number.is_multiple_of(2) { leading() } else { ledger::History::default() };
        let runtime = Builder::new_current_thread().build().unwrap();
        Self { common, number, dice, conn, history, runtime, writes: Vec::new(), looks: Vec::new() }
    }

    fn step(&mut self) {
        match self.dice.below(100) {
            0..45 => {
                let request = town::wish(&mut self.dice, &mut self.common.board());
                self.ask(request);
            }
            45..55 => {
                let requests = town::wishes(&mut self.dice, &mut self.common.board());
                self.ask_together(&requests);
            }
            _ => self.look(),
        }
    }

    fn begin(&self) -> Span {
        let (began, began_us) = (self.common.tick(), town::clock_us());
        Span { client: self.number, began, ended: 0, began_us, ended_us: 0 }
    }

    fn end(&self, span: Span) -> Span {
        let ended_us = town::clock_us();
        Span { ended: self.common.tick(), ended_us, ..span }
    }

    /// Each of the journals in turn.
    fn journal(&self, span: Span) -> &'a Journal {
        &self.common.journals[usize::try_from(span.began).unwrap() % self.common.journals.len()]
    }

    /// Asks for several things that happen all or none, until it is known which.
    fn ask_together(&mut self, requests: &[Request]) {
        loop {
            let span = self.begin();
            let asked = self.journal(span).submit_linked(requests.to_vec(), Instant::now() + PATIENCE);
            let answers = self.runtime.block_on(asked);
            let span = self.end(span);
            let told: Vec<_> = answers.into_iter().map(Told::from).collect();
            let again = told.iter().any(|told| matches!(told, Told::NotDone | Told::Unknown));
            for (request, told) in requests.iter().zip(told) {
                if let Told::Answered { record, .. } = &told {
                    self.common.board().hear(record);
                }
                self.writes.push(Write { span, request: request.clone(), told, batch: Some(span.began) });
            }
            if !again {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks until it is known whether it was done, if it can be known.
    fn ask(&mut self, request: Request) {
        loop {
            let span = self.begin();
            let told = Told::from(self.journal(span).submit_blocking(request.clone(), PATIENCE));
            let (span, again) = (self.end(span), matches!(told, Told::NotDone | Told::Unknown));
            if let Told::Answered { record, .. } = &told {
                self.common.board().hear(record);
            }
            self.writes.push(Write { span, request: request.clone(), told, batch: None });
            if !again {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn look(&mut self) {
        let account = self.dice.pick(&town::accounts());
        let span = self.begin();
        let seen = match self.dice.below(12) {
            0..3 => return self.look_at_balance(account, span),
            3 | 4 => self.balance_at(account),
            5 => self.entries(account),
            6 => self.statement(account),
            7 => self.hold(),
            8 => self.links(),
            9 => self.kept(account),
            10 if self.dice.below(2) == 0 => Seen::Totals(self.totals()),
            10 => {
                let at = town::some_time(&mut self.dice, &self.common.board());
                Seen::Trial(
                    at,
                    read::trial_balance(&mut self.conn, &self.history, JOURNAL, at, Until::ENDLESS).unwrap(),
                )
            }
            _ => self.records(),
        };
        let span = self.end(span);
        self.looks.push(Look { span, seen });
    }

    fn look_at_balance(&mut self, account: Uuid, span: Span) {
        let told = read::balances(&mut self.conn, &self.history, JOURNAL, &[account]).unwrap().pop();
        let span = self.end(span);
        if let Some(told) = &told {
            let seen = Seen::Terms { account, floor: told.floor, debits_frozen: told.debits_frozen };
            self.looks.push(Look { span, seen });
        }
        self.looks.push(Look { span, seen: Seen::Balance(account, told) });
    }

    fn balance_at(&mut self, account: Uuid) -> Seen {
        // One in some is of an account that is opened while the run lasts, or never.
        let account = if self.dice.below(8) == 0 { town::late(&mut self.dice) } else { account };
        let at = town::some_time(&mut self.dice, &self.common.board());
        Seen::BalanceAt(account, at, known(read::balance_at(&mut self.conn, &self.history, JOURNAL, account, at)))
    }

    fn entries(&mut self, account: Uuid) -> Seen {
        let limit = usize::try_from(1 + self.dice.below(30)).unwrap();
        let conn = &mut self.conn;
        let found = ledger::read::accounts::accounts(conn, &self.history, JOURNAL, &[account]).unwrap();
        let entries =
            read::statement_of(conn, &self.history, JOURNAL, found[0].account.id, None, limit).unwrap().entries;
        Seen::Entries(account, limit, entries)
    }

    fn statement(&mut self, account: Uuid) -> Seen {
        let now_us = self.common.board().now_us();
        let from_us = now_us - i64::try_from(self.dice.below(2_000_000)).unwrap();
        let until_us = (self.dice.below(3) == 0).then(|| now_us - i64::try_from(self.dice.below(500_000)).unwrap());
        let size = usize::try_from(2 + self.dice.below(12)).unwrap();
        let conn = &mut self.conn;
        let window = read::window(conn, JOURNAL, from_us, until_us).unwrap();
        let (mut pages, mut before) = (Vec::new(), None);
        loop {
            let page = read::statement(conn, &self.history, JOURNAL, account, window, before, size).unwrap();
            before = page.entries.last().map(read::Entry::place);
            let goes_on = page.has_more;
            pages.push(page);
            if !goes_on {
                return Seen::Statement { account, from_us, until_us, window, pages, size };
            }
        }
    }

    fn hold(&mut self) -> Seen {
        let picked = town::recent(&mut self.dice, &self.common.board().holds, 10).map(|(place, _)| *place);
        let place = picked.unwrap_or(LegRef { seq: 1, leg: 0 });
        if self.dice.below(2) == 0 {
            return Seen::Standing(place, read::hold_standing(&mut self.conn, JOURNAL, place).unwrap());
        }
        Seen::Hold(place, read::hold(&mut self.conn, JOURNAL, place).unwrap())
    }

    fn links(&mut self) -> Seen {
        let board = self.common.board();
        let from = if self.dice.below(2) == 0 { &board.holds } else { &board.rows };
        let seq = town::recent(&mut self.dice, from, 20).map_or(1, |(place, _)| place.seq);
        drop(board);
        Seen::Links(seq, read::links(&mut self.conn, JOURNAL, &[seq]).unwrap())
    }

    fn records(&mut self) -> Seen {
        let head = u64::try_from(self.common.board().head).unwrap();
        let after = i64::try_from(head.saturating_sub(self.dice.below(40))).unwrap();
        let size = records::Size { records: 25, transfers: 12 };
        let (records, head) = records::after(&mut self.conn, JOURNAL, after, size).unwrap();
        Seen::Records { after, records, head }
    }

    fn totals(&mut self) -> BTreeMap<ledger::AssetId, (i64, i128, i128, i128)> {
        let totals = read::accounts::totals(&mut self.conn, JOURNAL).unwrap();
        let number = |text: &str| text.parse::<i128>().unwrap();
        let read = |total: &read::accounts::Total| {
            (total.accounts, number(&total.above_zero), number(&total.below_zero), number(&total.held))
        };
        totals.iter().map(|total| (total.asset, read(total))).collect()
    }

    /// Rows as they lie there: what is due on them is not counted.
    fn kept(&mut self, account: Uuid) -> Seen {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            head: i64,
            #[diesel(sql_type = Nullable<BigInt>)]
            hold: Option<i64>,
            #[diesel(sql_type = Nullable<BigInt>)]
            expires_us: Option<i64>,
            #[diesel(sql_type = BigInt)]
            a: i64,
            #[diesel(sql_type = BigInt)]
            b: i64,
            #[diesel(sql_type = BigInt)]
            remaining: i64,
            #[diesel(sql_type = BigInt)]
            held: i64,
            #[diesel(sql_type = Binary)]
            campaign: Vec<u8>,
            #[diesel(sql_type = BigInt)]
            unit_cost: i64,
        }
        let text = format!(
            "WITH a AS (SELECT id FROM journal.account WHERE journal = 1 AND public_id = '{account}'), \
             head AS (SELECT seq FROM journal.head WHERE journal = 1) \
             SELECT head.seq AS head, h.seq AS hold, NULL::bigint AS expires_us, h.leg::bigint AS a, 0::bigint AS b, \
                 h.remaining, 0::bigint AS held, ''::bytea AS campaign, 0::bigint AS unit_cost \
             FROM a CROSS JOIN head JOIN journal.hold h ON h.journal = 1 AND h.debit = a.id AND h.remaining > 0 \
             UNION ALL SELECT head.seq, NULL, l.expires_us, l.earned_day, l.activates_us, l.remaining, l.held, \
                 uuid_send(l.campaign), l.unit_cost \
             FROM a CROSS JOIN head JOIN journal.lot l ON l.journal = 1 AND l.account = a.id AND l.remaining > 0 \
             UNION ALL SELECT head.seq, NULL, NULL, 0, 0, 0, 0, '', 0 FROM head"
        );
        let rows: Vec<Row> = diesel::sql_query(text).load(&mut self.conn).unwrap();
        let (mut holds, mut lots) = (BTreeMap::new(), BTreeMap::new());
        for row in &rows {
            if let Some(seq) = row.hold {
                holds.insert(LegRef { seq, leg: i32::try_from(row.a).unwrap() }, row.remaining);
            } else if let Some(expires_us) = row.expires_us {
                let lot = Lot {
                    expires_us,
                    earned_day: i32::try_from(row.a).unwrap(),
                    activates_us: row.b,
                    campaign: Uuid::from_slice(&row.campaign).unwrap(),
                    unit_cost: row.unit_cost,
                };
                lots.insert(lot, (row.remaining, row.held));
            }
        }
        Seen::Kept { account, head: rows[0].head, holds, lots }
    }
}
