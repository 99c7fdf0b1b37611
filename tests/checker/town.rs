//! The accounts that all clients share, and what is asked of them at random.
//!
//! Few accounts, so that clients meet on them; amounts around what is there; holds and lots that expire while the run
//! lasts. What is captured, moved back, repeated or given up is drawn from what others were told before, so that two
//! clients often ask for the same thing at once.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use ledger::read::At;
use ledger::{
    Amount, AssetId, Body, Calendar, Change, Claim, Command, Companion, Group, How, LegRef, LotTerms, Nature,
    NewAccount, NormalSide, Period, Record, Request, RowKind, Transfer,
};
use tessera_tests::{Dice, books};
use uuid::Uuid;

pub const EUR: AssetId = AssetId(1);
pub const PTS: AssetId = AssetId(2);
const DAY_US: i64 = 86_400_000_000;

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(0xacc0_0000 + number)
}

/// Money without limits.
const WORLD: Uuid = id(0);
const WALLETS: [Uuid; 4] = [id(1), id(2), id(3), id(4)];
const CAPPED: Uuid = id(5);
const OVERDRAFT: Uuid = id(6);
/// Is frozen, closed and opened again all the time.
const SPARE: Uuid = id(7);
const POOL: Uuid = id(8);
/// What may be paid in a day.
const DAILY: Uuid = id(9);
/// Points without limits.
const ISSUE: Uuid = id(10);
const BREAKAGE: Uuid = id(11);
const CLUBS: [Uuid; 3] = [id(12), id(13), id(14)];
/// Nobody's.
const NOBODY: Uuid = id(99);

/// Every account there is from the beginning.
pub fn accounts() -> Vec<Uuid> {
    (0..15).map(id).collect()
}

/// One that is opened while the run lasts, or never.
pub fn late(dice: &mut Dice) -> Uuid {
    id(1_000 + u128::from(dice.below(12)))
}

pub fn keeps_lots(account: Uuid) -> bool {
    CLUBS.contains(&account)
}

/// What opens them, in an order in which each finds what it needs, and puts something on them.
pub fn beginning() -> Vec<Command> {
    let opened = accounts().into_iter().map(|id| Command::Open(terms(id)));
    let funds = WALLETS.into_iter().map(|wallet| Transfer::moving(WORLD, wallet, Amount::new(300, EUR)));
    opened.chain([books::transact(funds.collect())]).collect()
}

fn terms(public_id: Uuid) -> NewAccount {
    let lots = |grace_us| Nature::Lots { breakage: BREAKAGE, grace_us };
    let (asset, floor, ceiling, nature) = match public_id {
        WORLD | POOL => (EUR, None, None, Nature::Plain),
        ISSUE | BREAKAGE => (PTS, None, None, Nature::Plain),
        CAPPED => (EUR, Some(0), Some(150), Nature::Plain),
        OVERDRAFT => (EUR, Some(-200), None, Nature::Plain),
        DAILY => {
            let (period, calendar) = (Period::Day, Calendar::Utc);
            (EUR, Some(0), None, Nature::Quota { pool: POOL, allowance: 80, period, calendar })
        }
        club if CLUBS.contains(&club) => (PTS, Some(0), None, lots(if club == CLUBS[1] { 30_000 } else { 0 })),
        _ => (EUR, Some(0), None, Nature::Plain),
    };
    NewAccount { public_id, asset, normal_side: NormalSide::Credit, owner: None, floor, ceiling, nature }
}

/// What was told to anybody, for others to build on.
#[derive(Debug, Default)]
pub struct Board {
    pub head: i64,
    pub offset_us: i64,
    pub last_us: i64,
    /// Rows that opened a hold, and rows that can be moved back.
    pub holds: Vec<(LegRef, Transfer)>,
    pub rows: Vec<(LegRef, Transfer)>,
    pub asked: Vec<Request>,
    together: Vec<Vec<Request>>,
    companions: u128,
    opened: u128,
}

impl Board {
    pub fn hear(&mut self, record: &Record) {
        self.head = self.head.max(record.seq);
        self.last_us = self.last_us.max(record.recorded_us);
        if let Body::ClockMoved { offset_us } = record.body {
            self.offset_us = self.offset_us.max(offset_us);
        }
        let Body::Transaction { transfers, .. } = &record.body else { return };
        for row in transfers {
            let place = LegRef { seq: record.seq, leg: row.leg };
            let moved = Transfer::moving(row.debit.public_id, row.credit.public_id, row.amount);
            match row.kind {
                RowKind::Hold => self.holds.push((place, moved)),
                RowKind::Move | RowKind::Capture => self.rows.push((place, moved)),
                RowKind::Void | RowKind::Expire => {}
            }
        }
    }

    /// The journal's time, about.
    pub fn now_us(&self) -> i64 {
        (clock_us() + self.offset_us).max(self.last_us)
    }
}

/// The machine's clock, microseconds since 1970.
pub fn clock_us() -> i64 {
    i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap()
}

/// One of the newest, so that many pick the same.
pub fn recent<'a, T>(dice: &mut Dice, from: &'a [T], many: usize) -> Option<&'a T> {
    let many = many.min(from.len());
    let back = usize::try_from(dice.below(u64::try_from(many).unwrap())).unwrap();
    from.get(from.len().checked_sub(back + 1)?)
}

/// Now, or some time before, or soon.
pub fn some_time(dice: &mut Dice, board: &Board) -> At {
    let now_us = board.now_us();
    let ago_us = number(dice, 3_000_000);
    let dated_us = now_us + DAY_US - number(dice, 4 * DAY_US);
    match dice.below(6) {
        0 => At::Now,
        1 => At::Seq(number(dice, board.head + 3)),
        2 => At::Recorded(board.last_us),
        3 => At::Recorded(now_us - ago_us),
        4 => At::Effective(dated_us),
        _ => At::Effective(now_us - ago_us / 10),
    }
}

fn number(dice: &mut Dice, below: i64) -> i64 {
    i64::try_from(dice.below(u64::try_from(below).unwrap())).unwrap()
}

fn fresh(dice: &mut Dice) -> Uuid {
    Uuid::from_u64_pair(dice.below(u64::MAX), dice.below(u64::MAX))
}

/// The next thing a client asks for.
pub fn wish(dice: &mut Dice, board: &mut Board) -> Request {
    let request = match dice.below(100) {
        0..8 => match recent(dice, &board.asked, 12) {
            Some(before) => return before.clone(),
            None => books::request(fresh(dice), transaction(dice, board)),
        },
        8..11 => rival(dice, board),
        11..13 => giving_up(fresh(dice)),
        _ => {
            let mut request = books::request(fresh(dice), command(dice, board));
            request.effective_us = (dice.below(4) == 0).then(|| board.now_us() + number(dice, 4 * DAY_US) - 3 * DAY_US);
            if matches!(request.command, Command::Transact { .. }) && dice.below(8) == 0 {
                board.companions += 1;
                let key = Uuid::from_u128(board.companions);
                request.companions = vec![Companion { kind: 3, key, body: vec![7; 5] }];
            }
            request
        }
    };
    board.asked.push(request.clone());
    request
}

/// Several things of which all are to happen or none. Often they were asked for before, or all but one of them were.
pub fn wishes(dice: &mut Dice, board: &mut Board) -> Vec<Request> {
    if dice.below(3) == 0
        && let Some(before) = recent(dice, &board.together, 6)
    {
        let mut again = before.clone();
        if dice.below(2) == 0 && again.len() > 2 {
            again.remove(usize::try_from(dice.below(u64::try_from(again.len()).unwrap())).unwrap());
        }
        return again;
    }
    let requests: Vec<_> = (0..2 + dice.below(4)).map(|_| one_of_several(dice, board)).collect();
    board.together.push(requests.clone());
    requests
}

fn one_of_several(dice: &mut Dice, board: &mut Board) -> Request {
    let wished = match dice.below(100) {
        0..3 => recent(dice, &board.asked, 6).cloned(),
        3..10 => Some(books::request(fresh(dice), command(dice, board))),
        10..30 => Some(books::request(fresh(dice), transaction(dice, board))),
        _ => None,
    };
    // Most of them cannot but happen, so that all of a batch often do.
    let (wallet, minor) = (dice.pick(&WALLETS), 1 + number(dice, 9));
    wished.unwrap_or_else(|| {
        let mut sure = books::transact(vec![Transfer::moving(WORLD, wallet, Amount::new(minor, EUR))]);
        if let Command::Transact { id, .. } = &mut sure {
            *id = fresh(dice);
        }
        books::request(fresh(dice), sure)
    })
}

/// Another thing under a key that is in use: of two, one happens. Sometimes it is to give the key up.
fn rival(dice: &mut Dice, board: &mut Board) -> Request {
    let Some(key) = recent(dice, &board.asked, 6).map(|request| request.key) else {
        return giving_up(fresh(dice));
    };
    if dice.below(2) == 0 {
        return giving_up(key.key);
    }
    let other = books::request(fresh(dice), transaction(dice, board));
    Request { key: ledger::Key { fingerprint: other.key.key, ..key }, ..other }
}

/// Gives a key up, whatever it was for: this has no body.
fn giving_up(key: Uuid) -> Request {
    let mut request = books::request(key, Command::Abandon);
    request.key.fingerprint = Uuid::nil();
    request
}

fn command(dice: &mut Dice, board: &mut Board) -> Command {
    match dice.below(100) {
        0..3 => {
            let floor = dice.pick(&[Some(0), Some(0), Some(-50), Some(20), None]);
            let ceiling = dice.pick(&[None, None, Some(150), Some(400)]);
            let account = dice.pick(&[WALLETS[0], CAPPED, OVERDRAFT, CLUBS[0]]);
            Command::Change { account, change: Change::Limits { floor, ceiling } }
        }
        3..6 => Command::Change { account: SPARE, change: Change::Closed { closed: dice.below(2) == 0 } },
        6..9 => {
            let (debits, credits) = (dice.below(3) == 0, dice.below(4) == 0);
            Command::Freeze { account: dice.pick(&[SPARE, CLUBS[2]]), debits, credits }
        }
        9..11 => Command::Change { account: DAILY, change: Change::Allowance { minor: 40 + number(dice, 60) } },
        11..13 => Command::MoveClock { by_us: dice.pick(&[1_000, 40_000, 400_000, DAY_US / 2]) },
        13..16 => Command::Sweep { account: dice.pick(&[WALLETS[0], WALLETS[1], CLUBS[0], CLUBS[1], CLUBS[2], DAILY]) },
        16..18 => {
            board.opened += 1;
            // Half of them ask for one there is.
            Command::Open(terms(id(1_000 + board.opened / 2)))
        }
        _ => transaction(dice, board),
    }
}

fn transaction(dice: &mut Dice, board: &mut Board) -> Command {
    let many = 1 + dice.below(3);
    let transfers: Vec<_> = (0..many).map(|_| transfer(dice, board)).collect();
    let mut groups = Vec::new();
    while dice.below(5) == 0 {
        let fallback = if dice.below(2) == 0 { vec![transfer(dice, board)] } else { Vec::new() };
        let many = 1 + dice.below(2);
        groups.push(Group { transfers: (0..many).map(|_| transfer(dice, board)).collect(), fallback });
    }
    let claim = (dice.below(8) == 0).then(|| Claim(Uuid::from_u128(dice.below(40).into())));
    let every = transfers.iter().chain(groups.iter().flat_map(Group::every));
    let named = every.flat_map(|transfer| [transfer.debit, transfer.credit]);
    // Accounts that came later are opened on the way, if they are not there.
    let open = named.filter(|account| *account >= id(1_000)).map(terms).collect();
    Command::Transact { id: fresh(dice), open, transfers, groups, claim }
}

fn transfer(dice: &mut Dice, board: &mut Board) -> Transfer {
    let minor = 1 + number(dice, 40);
    match dice.below(100) {
        0..12 => built_on(dice, board, minor),
        12..20 => moved_back(dice, board, minor),
        20..34 => {
            let within = dice.pick(&[None, Some(10_000), Some(60_000), Some(300_000), Some(DAY_US)]);
            let lot = LotTerms {
                activates_us: (dice.below(4) == 0).then(|| board.now_us() + number(dice, 15_000)),
                expires_us: within.map(|within| board.now_us() + 15_000 + number(dice, within)),
                campaign: Uuid::from_u128(dice.below(2).into()),
                unit_cost: number(dice, 2),
            };
            Transfer { lot: Some(lot), ..Transfer::moving(ISSUE, dice.pick(&CLUBS), Amount::new(minor, PTS)) }
        }
        34..52 => {
            let from = dice.pick(&CLUBS);
            let to = dice.pick(&[ISSUE, BREAKAGE, CLUBS[0], CLUBS[1]]);
            let to = if from == to { ISSUE } else { to };
            Transfer::by(how(dice, board), from, to, Amount::new(minor, PTS))
        }
        52..57 => Transfer::by(dice.pick(&[How::Move, How::UpTo]), DAILY, POOL, Amount::new(minor, EUR)),
        57 => Transfer::moving(NOBODY, WORLD, Amount::new(minor, EUR)),
        _ => {
            let others = [WALLETS[0], WALLETS[1], WALLETS[2], WALLETS[3], CAPPED, OVERDRAFT, SPARE, WORLD];
            let (from, to) = (dice.pick(&others), dice.pick(&others));
            let to = if from == to { late(dice) } else { to };
            Transfer::by(how(dice, board), from, to, Amount::new(minor, EUR))
        }
    }
}

fn how(dice: &mut Dice, board: &Board) -> How {
    match dice.below(20) {
        0..2 => How::UpTo,
        2..4 => How::Owing,
        4..9 => {
            let within = dice.pick(&[None, Some(10_000), Some(50_000), Some(200_000), Some(DAY_US)]);
            How::Hold { expires_us: within.map(|within| board.now_us() + 15_000 + number(dice, within)) }
        }
        _ => How::Move,
    }
}

/// Captures or voids a hold, maybe more than there is left.
fn built_on(dice: &mut Dice, board: &Board, minor: i64) -> Transfer {
    let Some((hold, held)) = recent(dice, &board.holds, 10).copied() else {
        return Transfer::moving(WORLD, WALLETS[0], Amount::new(minor, EUR));
    };
    if dice.below(4) == 0 {
        return Transfer { how: How::Void { hold }, amount: Amount::new(0, held.amount.asset), ..held };
    }
    let minor = if dice.below(3) == 0 { held.amount.minor } else { minor.min(held.amount.minor + 1) };
    Transfer { how: How::Capture { hold }, amount: Amount::new(minor, held.amount.asset), ..held }
}

/// Moves a row back, in whole or in part.
fn moved_back(dice: &mut Dice, board: &Board, minor: i64) -> Transfer {
    let Some((of, row)) = recent(dice, &board.rows, 20).copied() else {
        return Transfer::moving(WORLD, WALLETS[1], Amount::new(minor, EUR));
    };
    let minor = if dice.below(2) == 0 { row.amount.minor } else { minor.min(row.amount.minor) };
    let how = How::Refund { of, owing: dice.below(3) == 0 };
    Transfer::by(how, row.credit, row.debit, Amount::new(minor, row.amount.asset))
}

/// The journal's assets, by number.
pub fn assets() -> BTreeMap<AssetId, (&'static str, i16)> {
    BTreeMap::from([(EUR, ("EUR", 2)), (PTS, ("PTS:club", 0))])
}
