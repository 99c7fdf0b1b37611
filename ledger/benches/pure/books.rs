//! Books to decide on and requests to decide: the same every time, a thousand transfers in each batch.

use ledger::apply::{Applied, Found, LOTS, LotPage, Standing, State, apply};
use ledger::{
    Account, AccountId, Amount, Asset, AssetId, Command, Group, JournalId, Key, Lot, LotTerms, Nature, NewAccount,
    NormalSide, Request, Scope, Transfer,
};
use uuid::Uuid;

/// The time of every batch.
pub const NOW: i64 = 1_750_000_000_000_000;
pub const JOURNAL: JournalId = JournalId(1);
const EUR: AssetId = AssetId(1);
const PTS: AssetId = AssetId(2);
const DAY_US: i64 = 86_400_000_000;
const TODAY: i32 = 20_254;

/// Wallets, and as many accounts of points.
const WALLETS: u32 = 1_000;
/// What each wallet has.
const BALANCE: i64 = 100_000;
/// Dates on which points expire, on each account of them, and how many each time.
const DATES: i64 = 12;
const LOT: i64 = 100;

const MERCHANT: Uuid = account(0, 0);
const FEES: Uuid = account(0, 1);
const BUDGET: Uuid = account(0, 2);
const ISSUE: Uuid = account(0, 3);
const BREAKAGE: Uuid = account(0, 4);

#[expect(clippy::as_conversions, reason = "wider, and `From` is not const")]
const fn account(sort: u32, number: u32) -> Uuid {
    Uuid::from_u128(((sort as u128) << 32) | number as u128)
}

const fn wallet(number: u32) -> Uuid {
    account(1, number % WALLETS)
}

const fn points(number: u32) -> Uuid {
    account(2, number % WALLETS)
}

/// Memory as the writer has it, and what its probe finds of a batch that spends points.
pub struct Books {
    pub state: State,
    lots: Found,
}

impl Books {
    pub fn new() -> Self {
        let assets = [(EUR, "EUR", 2), (PTS, "PTS:club", 0)];
        let assets = assets.map(|(id, code, scale)| (id, Asset { id, code: code.to_owned(), scale }));
        let state = State { seq: 1_000_000, last_us: NOW, assets: assets.into_iter().collect(), ..State::default() };
        let mut books = Self { state, lots: Found::default() };
        for (public_id, asset) in [(MERCHANT, EUR), (FEES, EUR), (BUDGET, EUR), (ISSUE, PTS), (BREAKAGE, PTS)] {
            books.open(public_id, asset, None, Nature::Plain, 0);
        }
        let lots: Vec<(Lot, Standing)> = (0..DATES).map(lot).collect();
        let nature = Nature::Lots { breakage: BREAKAGE, grace_us: 0 };
        for number in 0..WALLETS {
            books.open(wallet(number), EUR, Some(0), Nature::Plain, BALANCE);
            let id = books.open(points(number), PTS, Some(0), nature, DATES.saturating_mul(LOT));
            books.lots.lots.insert(id, LotPage::loaded(lots.iter().copied().collect(), LOTS));
        }
        books
    }

    fn open(&mut self, public_id: Uuid, asset: AssetId, floor: Option<i64>, nature: Nature, balance: i64) -> AccountId {
        let normal_side = NormalSide::Credit;
        let terms = NewAccount { public_id, asset, normal_side, owner: None, floor, ceiling: None, nature };
        let id = AccountId(i64::try_from(self.state.accounts.len()).unwrap_or(i64::MAX));
        self.state.by_public_id.insert(public_id, id);
        self.state.accounts.insert(id, Account { balance, version: 1, ..Account::opened(&terms, id) });
        id
    }

    /// Decides a batch. The probe finds lots of accounts that are debited, and of no others.
    pub fn decide(&self, batch: &[&Request], spends_points: bool) -> Applied {
        let nothing = Found::default();
        apply(&self.state, batch, NOW, if spends_points { &self.lots } else { &nothing })
    }
}

/// A lot of the usual size, that expires in so many months.
fn lot(months: i64) -> (Lot, Standing) {
    let lot =
        Lot { expires_us: expiry(months), earned_day: TODAY, activates_us: 0, campaign: Uuid::nil(), unit_cost: 0 };
    (lot, Standing { remaining: LOT, held: 0 })
}

fn expiry(months: i64) -> i64 {
    NOW.saturating_add(DAY_US.saturating_mul(30).saturating_mul(months.saturating_add(1)))
}

/// A thousand transactions of one transfer, from wallet to wallet.
pub fn transfers() -> Vec<Request> {
    moving(1_999)
}

/// The same, of more than any wallet has.
pub fn overdrafts() -> Vec<Request> {
    moving(BALANCE.saturating_mul(2))
}

fn moving(minor: i64) -> Vec<Request> {
    let one = |n: u32| Transfer::moving(wallet(n), wallet(n.saturating_mul(7).saturating_add(1)), euro(minor));
    (0..1_000).map(|n| transaction(n, vec![one(n)], Vec::new())).collect()
}

/// 250 payments of four transfers: the amount, a fee, cashback, points.
pub fn payments() -> Vec<Request> {
    let payment = |n: u32| {
        let paid = vec![Transfer::moving(wallet(n), MERCHANT, euro(1_999)), Transfer::moving(MERCHANT, FEES, euro(20))];
        let cashback = Transfer::moving(BUDGET, wallet(n), euro(40));
        transaction(n, paid, [cashback, earning(n)].map(|reward| Group::of(vec![reward])).to_vec())
    };
    (0..250).map(payment).collect()
}

/// A thousand earnings of points that expire.
pub fn earnings() -> Vec<Request> {
    (0..1_000).map(|n| transaction(n, vec![earning(n)], Vec::new())).collect()
}

/// A thousand burns, each of one lot and half of the next.
pub fn burns() -> Vec<Request> {
    let minor = LOT.saturating_mul(3).saturating_div(2);
    let burn = |n: u32| Transfer::moving(points(n), ISSUE, Amount::new(minor, PTS));
    (0..1_000).map(|n| transaction(n, vec![burn(n)], Vec::new())).collect()
}

fn earning(n: u32) -> Transfer {
    let terms = LotTerms { expires_us: Some(expiry(i64::from(n).wrapping_rem(DATES))), ..LotTerms::default() };
    Transfer { lot: Some(terms), ..Transfer::moving(ISSUE, points(n), Amount::new(19, PTS)) }
}

const fn euro(minor: i64) -> Amount {
    Amount::new(minor, EUR)
}

fn transaction(number: u32, transfers: Vec<Transfer>, groups: Vec<Group>) -> Request {
    let id = |sort| Uuid::from_u128((u128::from(number) << 64) | sort);
    Request {
        journal: JOURNAL,
        key: Key { scope: Scope(1), key: id(1), fingerprint: id(2) },
        command: Command::Transact { id: id(3), open: Vec::new(), transfers, groups, claim: None },
        effective_us: None,
        meta: br#"{"kind":"payment","channel":"app"}"#.to_vec(),
        companions: Vec::new(),
    }
}
