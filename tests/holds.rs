//! Holds, refunds, lots and quotas through the writer and back: what the rows say after each step, what a node finds that
//! takes over, what reads say of things that are due, and that the books verify.

use std::time::{Duration, Instant};

use diesel::{Connection, PgConnection};
use ledger::{
    Amount, Answer, Body, Calendar, Change, Command, How, Journal, LegRef, LotTerms, Nature, NewAccount, Period,
    Refusal, RowKind, Transfer,
};
use tessera_tests::books::{EUR, JOURNAL, account, lead, new_books, request, submit, transact};
use tessera_tests::{Ground, TestDb, fresh_key, rows};
use uuid::Uuid;

const DAY_US: i64 = 86_400_000_000;

/// A journal that leads, with an account that money comes from.
struct Scene<'a> {
    db: TestDb<'a>,
    journal: Journal,
    world: Uuid,
}

impl Scene<'_> {
    fn new() -> Self {
        let db = Ground::fast().database();
        new_books(&db);
        let journal = lead(&db);
        let scene = Self { db, journal, world: fresh_key() };
        scene.open(account(scene.world));
        scene
    }

    fn ask(&self, command: Command) -> Answer {
        submit(&self.journal, request(fresh_key(), command))
    }

    fn open(&self, new: NewAccount) -> Uuid {
        let id = new.public_id;
        self.ask(Command::Open(new));
        id
    }

    /// An account with floor zero, and so much on it.
    fn wallet(&self, minor: i64) -> Uuid {
        let id = self.open(NewAccount { floor: Some(0), ..account(fresh_key()) });
        if minor > 0 {
            self.post(vec![self.moving(self.world, id, minor)]);
        }
        id
    }

    /// An account that keeps lots, and its breakage.
    fn club(&self, grace_us: i64) -> (Uuid, Uuid) {
        let breakage = self.open(account(fresh_key()));
        let nature = Nature::Lots { breakage, grace_us };
        (self.open(NewAccount { floor: Some(0), nature, ..account(fresh_key()) }), breakage)
    }

    fn moving(&self, debit: Uuid, credit: Uuid, minor: i64) -> Transfer {
        Transfer::moving(debit, credit, Amount::new(minor, EUR))
    }

    /// Points earned, expiring so many days after 1970 by the journal's clock, or never.
    fn earning(&self, club: Uuid, minor: i64, expires_us: Option<i64>) -> Transfer {
        let lot = LotTerms { expires_us, ..LotTerms::default() };
        Transfer { lot: Some(lot), ..self.moving(self.world, club, minor) }
    }

    /// Posts, and says under which seq.
    fn post(&self, transfers: Vec<Transfer>) -> i64 {
        let answer = self.ask(transact(transfers));
        assert!(matches!(answer.record.body, Body::Transaction { .. }), "{:?}", answer.record.body);
        answer.record.seq
    }

    /// Posts what may have to be asked again, while more has expired than is written down at a time; the sweeper may help.
    fn ask_again(&self, key: Uuid, command: Command) {
        let ask = || self.journal.submit_blocking(request(key, command.clone()), Duration::from_secs(9));
        let answer = loop {
            match ask() {
                Ok(answer) => break answer,
                Err(more) => assert!(more.may_pass() && format!("{more:?}").contains("StillDue"), "{more:?}"),
            }
        };
        assert!(matches!(answer.record.body, Body::Transaction { .. }), "nothing refuses it");
    }

    /// Posts what an account's state refuses.
    fn refused(&self, transfers: Vec<Transfer>) -> Refusal {
        match self.ask(transact(transfers)).record.body {
            Body::Refused { refusal } => refusal,
            ref body => panic!("not refused: {body:?}"),
        }
    }

    fn hold(&self, debit: Uuid, credit: Uuid, minor: i64, expires_us: Option<i64>) -> LegRef {
        let how = How::Hold { expires_us };
        LegRef { seq: self.post(vec![Transfer { how, ..self.moving(debit, credit, minor) }]), leg: 0 }
    }

    /// Balance, held, what may be spent.
    fn stands(&self, account: Uuid) -> (i64, i64, i64) {
        let mut conn = PgConnection::establish(&self.db.url()).unwrap();
        let history = self.journal.history();
        let balance = ledger::read::balances(&mut conn, history, JOURNAL, &[account]).unwrap().remove(0);
        (balance.balance, balance.held, balance.available())
    }

    /// The journal's time.
    fn now_us(&self) -> i64 {
        let text =
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint + clock_offset_us FROM journal.head";
        rows(&self.db.url(), text)[0][0].as_ref().unwrap().parse().unwrap()
    }

    fn pass(&self, by_us: i64) {
        self.ask(Command::MoveClock { by_us });
    }

    /// Another node takes over: what it knows, it read.
    fn take_over(self) -> Self {
        self.journal.stop();
        let journal = lead(&self.db);
        Self { journal, ..self }
    }

    fn verify(&self) {
        let mut conn = PgConnection::establish(&self.db.url()).unwrap();
        let report = ledger::verify::verify(&mut conn, JOURNAL, |_, _| {}).unwrap();
        assert!(report.ok, "{:?}", report.broken);
    }
}

fn capturing(hold: LegRef, transfer: Transfer) -> Transfer {
    Transfer { how: How::Capture { hold }, ..transfer }
}

fn voiding(hold: LegRef, transfer: Transfer) -> Transfer {
    Transfer { how: How::Void { hold }, amount: Amount::new(0, EUR), ..transfer }
}

fn refunding(of: LegRef, transfer: Transfer) -> Transfer {
    Transfer { how: How::Refund { of, owing: false }, ..transfer }
}

#[test]
fn case_39_a_hold_is_captured_in_parts_and_never_beyond_what_was_held() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(100), scene.wallet(0));
    let hold = scene.hold(payer, shop, 60, None);
    assert_eq!(scene.stands(payer), (100, 60, 40));
    let part = |minor| vec![capturing(hold, scene.moving(payer, shop, minor))];
    scene.post(part(25));
    assert_eq!(scene.refused(part(36)), Refusal::HoldExceeded { hold });
    let scene = scene.take_over();
    let part = |minor| vec![capturing(hold, scene.moving(payer, shop, minor))];
    assert_eq!(scene.refused(part(36)), Refusal::HoldExceeded { hold });
    scene.post(part(35));
    assert_eq!(scene.refused(part(1)), Refusal::HoldEnded { hold });
    assert_eq!((scene.stands(payer), scene.stands(shop)), ((40, 0, 40), (60, 0, 60)));
    scene.verify();
}

#[test]
fn case_36_what_is_held_cannot_be_spent_and_comes_back_when_voided() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(100), scene.wallet(0));
    let hold = scene.hold(payer, shop, 60, None);
    assert_eq!(scene.refused(vec![scene.moving(payer, shop, 41)]), Refusal::Floor { account: payer });
    // Part of it is taken and the rest given back at once.
    scene.post(vec![capturing(hold, scene.moving(payer, shop, 10)), voiding(hold, scene.moving(payer, shop, 0))]);
    assert_eq!(scene.stands(payer), (90, 0, 90));
    scene.post(vec![scene.moving(payer, shop, 90)]);
    scene.verify();
}

#[test]
fn case_45_holds_of_one_transaction_are_captured_together_or_not_at_all() {
    let scene = Scene::new();
    let (money, club, shop) = (scene.wallet(100), scene.wallet(50), scene.wallet(0));
    let how = How::Hold { expires_us: None };
    let both = [(money, 60), (club, 20)].map(|(debit, minor)| Transfer { how, ..scene.moving(debit, shop, minor) });
    let seq = scene.post(both.to_vec());
    let part = |leg, debit, minor| capturing(LegRef { seq, leg }, scene.moving(debit, shop, minor));
    scene.post(vec![part(1, club, 20)]);
    let refused = scene.refused(vec![part(0, money, 60), part(1, club, 20)]);
    assert_eq!(refused, Refusal::HoldEnded { hold: LegRef { seq, leg: 1 } });
    assert_eq!(scene.stands(money), (100, 60, 40), "the other one is as it was");
    scene.post(vec![part(0, money, 60)]);
    scene.verify();
}

#[test]
fn case_43_an_expired_hold_is_expired_for_reads_and_writes_before_anybody_sweeps() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(100), scene.wallet(0));
    let hold = scene.hold(payer, shop, 60, Some(scene.now_us() + DAY_US));
    scene.pass(DAY_US);
    assert_eq!(scene.stands(payer), (100, 0, 100), "no row says so yet");
    let scene = scene.take_over();
    let late = vec![capturing(hold, scene.moving(payer, shop, 1))];
    assert_eq!(scene.refused(late), Refusal::HoldEnded { hold });
    scene.post(vec![scene.moving(payer, shop, 100)]);
    let kinds = rows(&scene.db.url(), "SELECT kind FROM journal.transfer ORDER BY seq");
    let expired = kinds.iter().filter(|row| row[0].as_deref() == Some("5")).count();
    assert_eq!((expired, RowKind::Expire.code()), (1, 5), "it expired once");
    scene.verify();
}

#[test]
fn case_43_however_many_holds_have_expired_all_of_them_count_for_reads_and_stand_in_nobodys_way() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(2_100), scene.wallet(0));
    let how = How::Hold { expires_us: Some(scene.now_us() + DAY_US) };
    for _ in 0..3 {
        scene.post((0..700).map(|_| Transfer { how, ..scene.moving(payer, shop, 1) }).collect());
    }
    scene.pass(DAY_US);
    assert_eq!(scene.stands(payer), (2_100, 0, 2_100), "all of them, and no row says so yet");
    let scene = scene.take_over();
    let (key, all) = (fresh_key(), transact(vec![scene.moving(payer, shop, 2_100)]));
    scene.ask_again(key, all);
    assert_eq!(scene.stands(payer), (0, 0, 0));
    scene.verify();
}

#[test]
fn case_48_refunds_add_up_to_the_payment_and_to_no_unit_more() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(100), scene.wallet(0));
    let of = LegRef { seq: scene.post(vec![scene.moving(payer, shop, 70)]), leg: 0 };
    let back = |minor| vec![refunding(of, scene.moving(shop, payer, minor))];
    scene.post(back(30));
    assert_eq!(scene.refused(back(41)), Refusal::RefundExceeded { of });
    let last = scene.post(back(40));
    assert_eq!(scene.refused(back(1)), Refusal::RefundExceeded { of });
    assert_eq!((scene.stands(payer), scene.stands(shop)), ((100, 0, 100), (0, 0, 0)));
    // A refund is not refunded: a mistake is put right by a new payment.
    let again = refunding(LegRef { seq: last, leg: 0 }, scene.moving(payer, shop, 1));
    let invalid =
        scene.journal.submit_blocking(request(fresh_key(), transact(vec![again])), std::time::Duration::from_secs(9));
    assert!(matches!(invalid, Err(ledger::JournalError::Invalid(ledger::Invalid::NotThatRow { .. }))));
    scene.verify();
}

#[test]
fn case_51_a_refund_whose_payee_has_spent_it_is_refused_or_owed_as_it_says() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(100), scene.wallet(0));
    let of = LegRef { seq: scene.post(vec![scene.moving(payer, shop, 70)]), leg: 0 };
    scene.post(vec![scene.moving(shop, scene.world, 60)]);
    let back = |owing| vec![Transfer { how: How::Refund { of, owing }, ..scene.moving(shop, payer, 70) }];
    assert_eq!(scene.refused(back(false)), Refusal::Floor { account: shop });
    scene.post(back(true));
    assert_eq!((scene.stands(payer), scene.stands(shop)), ((100, 0, 100), (-60, 0, -60)));
    // What comes in later repays it; nothing leaves before.
    scene.post(vec![scene.moving(scene.world, shop, 60)]);
    assert_eq!(scene.refused(vec![scene.moving(shop, payer, 1)]), Refusal::Floor { account: shop });
    scene.verify();
}

#[test]
fn case_55_points_are_spent_earliest_expiring_first_whoever_leads() {
    let scene = Scene::new();
    let ((club, breakage), shop) = (scene.club(0), scene.wallet(0));
    let now = scene.now_us();
    for (minor, days) in [(10, Some(30)), (20, Some(10)), (30, None)] {
        scene.post(vec![scene.earning(club, minor, days.map(|days| now + days * DAY_US))]);
    }
    scene.post(vec![scene.moving(club, shop, 25)]);
    let scene = scene.take_over();
    scene.post(vec![scene.moving(club, shop, 1)]);
    let left = "SELECT remaining FROM journal.lot WHERE remaining > 0 ORDER BY expires_us";
    assert_eq!(rows(&scene.db.url(), left), [[Some("4".to_owned())], [Some("30".to_owned())]]);
    // Twenty days later the first of them would have expired, had it not been spent; ten later again, the second does.
    scene.pass(29 * DAY_US);
    assert_eq!(scene.stands(club), (34, 0, 34));
    scene.pass(DAY_US);
    assert_eq!(scene.stands(club), (30, 0, 30), "read as expired");
    scene.post(vec![scene.moving(club, shop, 1)]);
    assert_eq!((scene.stands(club), scene.stands(breakage)), ((29, 0, 29), (4, 0, 4)));
    scene.verify();
}

/// They have expired and are due to nobody, so they are in nobody's way; and what is behind them is found.
#[test]
fn case_61_as_many_pinned_lots_as_are_looked_up_at_once_can_be_captured_after_they_expired() {
    let scene = Scene::new();
    let ((club, breakage), shop) = (scene.club(0), scene.wallet(0));
    let expiry = scene.now_us() + DAY_US;
    for part in 0..2 {
        scene.post((0..600).map(|n| scene.earning(club, 1, Some(expiry + part * 600 + n))).collect());
    }
    let halves = [(); 2].map(|()| scene.hold(club, shop, 500, None));
    scene.pass(2 * DAY_US);
    scene.post(vec![capturing(halves[0], scene.moving(club, shop, 50))]);
    assert_eq!(scene.stands(club), (950, 950, 0), "the free ones have expired");
    scene.ask_again(fresh_key(), transact(vec![voiding(halves[1], scene.moving(club, shop, 0))]));
    scene.ask_again(fresh_key(), transact(vec![scene.earning(club, 1, None)]));
    scene.ask_again(fresh_key(), transact(vec![scene.moving(club, shop, 1)]));
    assert_eq!((scene.stands(club), scene.stands(breakage)), ((450, 450, 0), (700, 0, 700)));
    scene.verify();
}

/// Earned in no order of their dates, each with one of its own.
#[test]
fn case_65_of_a_hundred_thousand_lots_the_first_are_taken_and_the_others_are_as_they_were() {
    let scene = Scene::new();
    let ((club, breakage), shop) = (scene.club(0), scene.wallet(0));
    let first_us = scene.now_us() + DAY_US;
    let hour_us = DAY_US / 24;
    let lot = |part: i64, n: i64| first_us + (n * 100 + (part * 37) % 100) * hour_us;
    for part in 0..100 {
        scene.post((0..1_000).map(|n| scene.earning(club, 1, Some(lot(part, n)))).collect());
    }
    let scene = scene.take_over();
    let told = "SELECT count(*), (min(expires_us) - $) / %, sum(remaining) FROM journal.lot WHERE remaining > 0";
    let text = told.replace('$', &first_us.to_string()).replace('%', &hour_us.to_string());
    let left = || rows(&scene.db.url(), &text).remove(0).into_iter().flatten().collect::<Vec<_>>().join(" ");
    assert_eq!(left(), "100000 0 100000");
    scene.post(vec![scene.moving(club, shop, 900)]);
    assert_eq!(left(), "99100 900 99100");
    // What has expired since is written down a thousand at a time, and read at once.
    scene.pass(DAY_US + 1_900 * hour_us + hour_us / 2);
    assert_eq!(scene.stands(club), (98_099, 0, 98_099));
    let (key, pay) = (fresh_key(), transact(vec![scene.moving(club, shop, 99)]));
    scene.ask_again(key, pay);
    assert_eq!((scene.stands(club), scene.stands(breakage)), ((98_000, 0, 98_000), (1_001, 0, 1_001)));
    scene.verify();
}

#[test]
fn case_61_a_lot_that_expires_while_held_may_be_captured_and_is_breakage_once_given_back() {
    let scene = Scene::new();
    let ((club, breakage), shop) = (scene.club(0), scene.wallet(0));
    scene.post(vec![scene.earning(club, 50, Some(scene.now_us() + DAY_US))]);
    let hold = scene.hold(club, shop, 40, None);
    scene.pass(2 * DAY_US);
    assert_eq!(scene.stands(club), (40, 40, 0), "what was not held has expired");
    scene.post(vec![capturing(hold, scene.moving(club, shop, 15))]);
    scene.post(vec![voiding(hold, scene.moving(club, shop, 0))]);
    assert_eq!(scene.stands(club), (0, 0, 0));
    // The next touch writes it down.
    scene.post(vec![scene.earning(club, 1, None)]);
    assert_eq!((scene.stands(shop), scene.stands(breakage)), ((15, 0, 15), (35, 0, 35)));
    scene.verify();
}

#[test]
fn case_62_a_refund_gives_back_the_lots_it_took_with_the_grace_that_was_declared() {
    let scene = Scene::new();
    let ((club, _), shop) = (scene.club(7 * DAY_US), scene.wallet(0));
    scene.post(vec![scene.earning(club, 50, Some(scene.now_us() + DAY_US))]);
    let of = LegRef { seq: scene.post(vec![scene.moving(club, shop, 50)]), leg: 0 };
    scene.pass(3 * DAY_US);
    scene.post(vec![refunding(of, scene.moving(shop, club, 20))]);
    assert_eq!(scene.stands(club), (20, 0, 20), "its day is over, its grace is not");
    scene.pass(7 * DAY_US + 1);
    assert_eq!(scene.stands(club), (0, 0, 0));
    scene.post(vec![scene.earning(club, 5, None)]);
    scene.verify();
}

#[test]
fn case_63_a_claw_back_beyond_the_points_is_debt_that_the_next_earnings_repay() {
    let scene = Scene::new();
    let ((club, _), shop) = (scene.club(0), scene.wallet(0));
    let earned = LegRef { seq: scene.post(vec![scene.earning(club, 50, None)]), leg: 0 };
    scene.post(vec![scene.moving(club, shop, 30)]);
    let back = Transfer { how: How::Refund { of: earned, owing: true }, ..scene.moving(club, scene.world, 50) };
    scene.post(vec![back]);
    assert_eq!(scene.stands(club), (-30, 0, -30));
    let scene = scene.take_over();
    scene.post(vec![scene.earning(club, 20, None)]);
    assert_eq!(scene.refused(vec![scene.moving(club, shop, 1)]), Refusal::Floor { account: club });
    scene.post(vec![scene.earning(club, 20, None)]);
    let left = rows(&scene.db.url(), "SELECT sum(remaining) FROM journal.lot");
    assert_eq!((scene.stands(club), left), ((10, 0, 10), vec![vec![Some("10".to_owned())]]));
    scene.post(vec![scene.moving(club, shop, 10)]);
    scene.verify();
}

#[test]
fn points_that_have_not_matured_are_seen_and_cannot_be_spent() {
    let scene = Scene::new();
    let ((club, _), shop) = (scene.club(0), scene.wallet(0));
    let lot = LotTerms { activates_us: Some(scene.now_us() + DAY_US), ..LotTerms::default() };
    scene.post(vec![Transfer { lot: Some(lot), ..scene.moving(scene.world, club, 50) }]);
    assert_eq!(scene.stands(club), (50, 0, 0));
    assert_eq!(scene.refused(vec![scene.moving(club, shop, 1)]), Refusal::Floor { account: club });
    scene.pass(DAY_US);
    assert_eq!(scene.stands(club), (50, 0, 50));
    scene.post(vec![scene.moving(club, shop, 50)]);
    scene.verify();
}

#[test]
fn case_66_points_moved_to_another_account_keep_their_dates() {
    let scene = Scene::new();
    let ((club, breakage), shop) = (scene.club(0), scene.wallet(0));
    let nature = Nature::Lots { breakage, grace_us: 0 };
    let other = scene.open(NewAccount { floor: Some(0), nature, ..account(fresh_key()) });
    let ends = scene.now_us() + DAY_US;
    scene.post(vec![scene.earning(club, 50, Some(ends)), scene.earning(club, 10, None)]);
    scene.post(vec![scene.moving(club, other, 55)]);
    let lots = "SELECT remaining, expires_us FROM journal.lot l JOIN journal.account a ON a.id = l.account \
        WHERE remaining > 0 ORDER BY a.id, expires_us";
    let lots: Vec<_> =
        rows(&scene.db.url(), lots).into_iter().map(|row| (row[0].clone().unwrap(), row[1].clone().unwrap())).collect();
    let row = |minor: i64, ends: i64| (minor.to_string(), ends.to_string());
    assert_eq!(lots, [row(5, i64::MAX), row(50, ends), row(5, i64::MAX)]);
    scene.pass(DAY_US);
    assert_eq!(scene.refused(vec![scene.moving(other, shop, 6)]), Refusal::Floor { account: other });
    scene.verify();
}

/// A quota of 100 a day, and its pool.
fn daily(scene: &Scene<'_>) -> (Uuid, Uuid) {
    let pool = scene.open(account(fresh_key()));
    let nature = Nature::Quota { pool, allowance: 100, period: Period::Day, calendar: Calendar::Rome };
    (scene.open(NewAccount { floor: Some(0), nature, ..account(fresh_key()) }), pool)
}

#[test]
fn a_quota_is_enforced_in_the_posting_and_begins_anew_with_its_period() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(1_000), scene.wallet(0));
    let (quota, pool) = daily(&scene);
    let pay = |scene: &Scene<'_>, minor| vec![scene.moving(payer, shop, minor), scene.moving(quota, pool, minor)];
    let first = scene.post(pay(&scene, 80));
    assert_eq!(scene.refused(pay(&scene, 21)), Refusal::Floor { account: quota });
    assert_eq!(scene.stands(payer).0, 920, "and nothing was paid");
    let scene = scene.take_over();
    scene.post(pay(&scene, 20));
    assert_eq!(scene.refused(pay(&scene, 1)), Refusal::Floor { account: quota });
    scene.pass(DAY_US);
    assert_eq!(scene.stands(quota).0, 100, "read as of the new day");
    scene.post(pay(&scene, 70));
    let scene = scene.take_over();
    assert_eq!(scene.refused(pay(&scene, 31)), Refusal::Floor { account: quota });
    // What was used on a day that is over comes back to nobody; the money does.
    let back = |leg, debit, credit| refunding(LegRef { seq: first, leg }, scene.moving(debit, credit, 80));
    scene.post(vec![back(0, shop, payer), back(1, pool, quota)]);
    assert_eq!((scene.stands(quota).0, scene.stands(payer).0), (30, 910));
    scene.verify();
}

#[test]
fn a_changed_allowance_counts_at_once_by_its_difference() {
    let scene = Scene::new();
    let (quota, pool) = daily(&scene);
    scene.post(vec![scene.moving(quota, pool, 80)]);
    scene.ask(Command::Change { account: quota, change: Change::Allowance { minor: 150 } });
    assert_eq!(scene.stands(quota).0, 70);
    scene.ask(Command::Change { account: quota, change: Change::Allowance { minor: 50 } });
    assert_eq!(scene.refused(vec![scene.moving(quota, pool, 1)]), Refusal::Floor { account: quota });
    scene.pass(DAY_US);
    let scene = scene.take_over();
    assert_eq!(scene.stands(quota).0, 50);
    scene.post(vec![scene.moving(quota, pool, 50)]);
    scene.verify();
}

#[test]
fn case_25_an_account_with_something_on_it_does_not_close_and_a_closed_one_takes_nothing() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(10), scene.wallet(0));
    let close = |account, closed| scene.ask(Command::Change { account, change: Change::Closed { closed } }).record;
    let refused = Body::Refused { refusal: Refusal::NotEmpty { account: payer } };
    assert_eq!(close(payer, true).body, refused);
    scene.post(vec![scene.moving(payer, shop, 10)]);
    close(payer, true);
    assert_eq!(scene.refused(vec![scene.moving(shop, payer, 1)]), Refusal::Closed { account: payer });
    let scene = scene.take_over();
    assert_eq!(scene.refused(vec![scene.moving(shop, payer, 1)]), Refusal::Closed { account: payer });
    scene.ask(Command::Change { account: payer, change: Change::Closed { closed: false } });
    scene.post(vec![scene.moving(shop, payer, 1)]);
    scene.verify();
}

#[test]
fn case_34_a_floor_moves_with_its_record_and_not_above_what_is_there() {
    let scene = Scene::new();
    let (payer, shop) = (scene.wallet(10), scene.wallet(0));
    let floor = |scene: &Scene<'_>, floor| {
        let change = Change::Limits { floor: Some(floor), ceiling: None };
        scene.ask(Command::Change { account: payer, change }).record.body.clone()
    };
    assert_eq!(floor(&scene, 11), Body::Refused { refusal: Refusal::Floor { account: payer } });
    floor(&scene, -20);
    let scene = scene.take_over();
    scene.post(vec![scene.moving(payer, shop, 30)]);
    assert_eq!(scene.refused(vec![scene.moving(payer, shop, 1)]), Refusal::Floor { account: payer });
    scene.verify();
}

#[test]
fn case_44_what_nobody_touches_is_swept_once_also_after_days_without_a_leader() {
    let scene = Scene::new();
    let ((club, breakage), shop) = (scene.club(0), scene.wallet(0));
    scene.post(vec![scene.earning(club, 50, Some(scene.now_us() + DAY_US))]);
    let payer = scene.wallet(10);
    scene.hold(payer, shop, 10, Some(scene.now_us() + DAY_US));
    scene.pass(3 * DAY_US);
    let scene = scene.take_over();
    let expired = "SELECT count(*) FROM journal.record WHERE kind = 7";
    tessera_tests::eventually("both are swept", std::time::Duration::from_secs(30), || {
        (rows(&scene.db.url(), expired)[0][0].as_deref() == Some("2")).then_some(())
    });
    for account in [club, payer] {
        let again = request(fresh_key(), Command::Sweep { account });
        let nothing = scene.journal.submit_blocking(again, std::time::Duration::from_secs(9)).unwrap_err();
        assert_eq!(nothing, ledger::Invalid::NothingDue { account }.into());
    }
    assert_eq!((scene.stands(breakage).0, scene.stands(payer)), (50, (10, 0, 10)));
    scene.verify();
}

/// What falls due within a batch is written down in it, whatever else was asked of the account before.
#[test]
fn lots_captured_after_they_expired_are_due_to_the_next_request_of_the_same_batch() {
    let scene = Scene::new();
    let ((payer, _), (payee, _)) = (scene.club(0), scene.club(0));
    scene.post(vec![scene.earning(payer, 10, Some(scene.now_us() + DAY_US))]);
    let hold = scene.hold(payer, payee, 10, None);
    scene.pass(2 * DAY_US);
    let capture = capturing(hold, scene.moving(payer, payee, 10));
    let asked = [capture, scene.earning(payee, 5, None)].map(|one| request(fresh_key(), transact(vec![one])));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let answers = runtime.block_on(scene.journal.submit_all(asked.into(), Instant::now() + Duration::from_secs(20)));
    let [captured, earned] = answers.as_slice() else { panic!("{answers:?}") };
    let [captured, earned] = [captured, earned].map(|answer| answer.as_ref().unwrap().record.seq);
    assert_eq!(earned, captured + 2, "between them stands what had expired");
    assert_eq!(scene.stands(payee), (5, 0, 5));
    scene.verify();
}
