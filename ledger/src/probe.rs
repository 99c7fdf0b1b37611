//! What a batch needs to know before it is decided: accounts into memory, and beside it whatever else the requests refer to.
//!
//! A batch of plain transfers between accounts in memory asks the database nothing here. Reads ask here too, for what is
//! due on the accounts they show.

use std::collections::BTreeMap;

use diesel::PgConnection;
use uuid::Uuid;

use crate::apply::{Found, LOTS, Map, Standing, State, batch_time, counting_dues, due_lots};
use crate::store::{self, StoreError, found};
use crate::{
    Account, AccountId, Command, Hold, How, JournalId, LegRef, Lot, NEVER, NewAccount, Original, Posted, Request,
};

/// Brings into memory what the requests name and memory does not hold, and tells what else the database holds of it.
pub(crate) fn probe(
    conn: &mut PgConnection,
    journal: JournalId,
    state: &mut State,
    fresh: &[&Request],
    now_us: i64,
) -> Result<Found, StoreError> {
    let mut probe = Probe { conn, journal, state, found: Found::default(), most: LOTS };
    let asked = Asked::of(fresh, probe.state);
    if asked.new_asset {
        probe.state.assets = store::assets(probe.conn, journal)?;
    }
    probe.load(asked.unknown)?;
    if !asked.claims.is_empty() {
        probe.found.claims = store::spent_claims(probe.conn, journal, &asked.claims)?;
    }
    probe.holds(asked.holds)?;
    probe.rows(asked.rows)?;
    probe.due(fresh, batch_time(probe.state, now_us))?;
    Ok(probe.found)
}

/// Whether these requests would have [`probe`] ask for more than accounts and claims.
pub(crate) fn needs_rows<'a>(state: &State, requests: impl Iterator<Item = &'a Request>, now_us: i64) -> bool {
    let now_us = batch_time(state, now_us);
    let plain = |id: Uuid| {
        let account = state.account(id);
        account.is_none_or(|account| account.next_due_us > now_us && !account.nature.keeps_lots())
    };
    requests.map(|request| &request.command).any(|command| {
        let moves =
            || command.transfers().all(|one| one.refers_to().is_none() && plain(one.debit) && plain(one.credit));
        match command {
            Command::Transact { .. } => !moves(),
            Command::Open(_) | Command::MoveClock { .. } => false,
            Command::Freeze { .. } | Command::Change { .. } | Command::Sweep { .. } | Command::Abandon => true,
        }
    })
}

/// Accounts, given as their newest rows left them, as they stand once what is due on them counts. `now_us` is the journal's
/// time.
pub(crate) fn count_dues(
    conn: &mut PgConnection,
    journal: JournalId,
    accounts: Vec<Account>,
    now_us: i64,
) -> Result<Vec<Account>, StoreError> {
    let ids: Vec<Uuid> = accounts.iter().map(|account| account.public_id).collect();
    let (state, found) = dues(conn, journal, accounts, now_us)?;
    Ok(counting_dues(&state, &found, &ids, now_us))
}

/// By how much what is due on an account, given as its newest row left it, changes its lots.
pub(crate) fn count_due_lots(
    conn: &mut PgConnection,
    journal: JournalId,
    account: Account,
    now_us: i64,
) -> Result<BTreeMap<Lot, Standing>, StoreError> {
    let id = account.public_id;
    let (state, found) = dues(conn, journal, vec![account], now_us)?;
    Ok(due_lots(&state, &found, id, now_us))
}

/// Holds and lots of an account that a read looks at, at most: the first thousand nearly always are all that is due.
const MOST_READ: usize = 1_000_000;

/// Accounts, given as their newest rows left them, with all that is due on them.
fn dues(
    conn: &mut PgConnection,
    journal: JournalId,
    accounts: Vec<Account>,
    now_us: i64,
) -> Result<(State, Found), StoreError> {
    let touched: Vec<(Uuid, bool)> = accounts.iter().map(|account| (account.public_id, false)).collect();
    let mut state = State::default();
    let mut probe = Probe { conn, journal, state: &mut state, found: Found::default(), most: LOTS };
    probe.put(accounts)?;
    probe.due_of(&touched, now_us)?;
    while probe.found.is_behind(now_us) && probe.most < MOST_READ {
        probe.most = probe.most.saturating_mul(10);
        probe.found = Found::default();
        probe.due_of(&touched, now_us)?;
    }
    let found = probe.found;
    Ok((state, found))
}

/// What requests name.
#[derive(Default)]
struct Asked {
    unknown: Vec<Uuid>,
    claims: Vec<crate::Claim>,
    holds: Vec<LegRef>,
    rows: Vec<LegRef>,
    new_asset: bool,
}

impl Asked {
    fn of(fresh: &[&Request], state: &State) -> Self {
        let mut asked = Self::default();
        for request in fresh {
            named_accounts(&request.command, |id| {
                if !state.by_public_id.contains_key(&id) {
                    asked.unknown.push(id);
                }
            });
            if let Command::Transact { claim: Some(claim), .. } = request.command {
                asked.claims.push(claim);
            }
            for transfer in request.command.transfers() {
                match transfer.how {
                    How::Capture { hold } | How::Void { hold } => asked.holds.push(hold),
                    How::Refund { of, .. } => asked.rows.push(of),
                    How::Move | How::UpTo | How::Owing | How::Hold { .. } => {}
                }
            }
            let unknown_asset = |account: &NewAccount| !state.assets.contains_key(&account.asset);
            asked.new_asset |= opened(&request.command).iter().any(unknown_asset);
        }
        asked
    }
}

struct Probe<'a> {
    conn: &'a mut PgConnection,
    journal: JournalId,
    state: &'a mut State,
    found: Found,
    /// Holds and lots of an account that are looked up at once.
    most: usize,
}

impl Probe<'_> {
    /// Brings accounts into memory, by public id.
    fn load(&mut self, mut unknown: Vec<Uuid>) -> Result<(), StoreError> {
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let accounts = store::accounts_by_public_id(self.conn, self.journal, &unknown)?;
        self.put(accounts)
    }

    /// Brings accounts into memory, by number.
    fn load_numbered(&mut self, ids: impl Iterator<Item = AccountId>) -> Result<(), StoreError> {
        let mut unknown: Vec<i64> = ids.filter(|id| !self.state.accounts.contains_key(id)).map(|id| id.0).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let accounts = store::accounts_by_id(self.conn, self.journal, &unknown)?;
        self.put(accounts)
    }

    fn put(&mut self, accounts: Vec<Account>) -> Result<(), StoreError> {
        let ids: Vec<AccountId> = accounts.iter().map(|account| account.id).collect();
        for account in accounts {
            self.state.by_public_id.insert(account.public_id, account.id);
            self.state.accounts.insert(account.id, account);
        }
        learn_dues(self.conn, self.journal, self.state, &ids)
    }

    /// The holds to be captured or voided.
    fn holds(&mut self, mut places: Vec<LegRef>) -> Result<(), StoreError> {
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            return Ok(());
        }
        let holds = found::holds_at(self.conn, self.journal, &places)?;
        self.put_holds(holds)
    }

    /// Keeps holds, with the lots they pinned if their account keeps lots.
    fn put_holds(&mut self, mut holds: Vec<(LegRef, Hold)>) -> Result<(), StoreError> {
        self.load_numbered(
            holds.iter().flat_map(|(_, hold)| [hold.debit, hold.credit]).collect::<Vec<_>>().into_iter(),
        )?;
        let keeps_lots = |hold: &Hold| self.state.accounts.get(&hold.debit).is_some_and(|one| one.nature.keeps_lots());
        let pinning: Vec<LegRef> = holds.iter().filter(|(_, hold)| keeps_lots(hold)).map(|(place, _)| *place).collect();
        let mut pinned = store::rows::pinned(self.conn, self.journal, &pinning)?;
        for (place, hold) in &mut holds {
            hold.lots = pinned.remove(place).unwrap_or_default();
        }
        self.found.holds.extend(holds);
        Ok(())
    }

    /// The rows to be moved back.
    fn rows(&mut self, mut places: Vec<LegRef>) -> Result<(), StoreError> {
        places.sort_unstable();
        places.dedup();
        if places.is_empty() {
            return Ok(());
        }
        let refunded = found::refunded(self.conn, self.journal, &places)?;
        let rows = self.posted(&places)?;
        self.found.rows = rows
            .into_iter()
            .map(|(place, (posted, recorded_us))| {
                let refunded = refunded.get(&place).copied().unwrap_or(0);
                (place, Original { posted, recorded_us, refunded })
            })
            .collect();
        Ok(())
    }

    /// Posted rows of transactions, with the time they were recorded at.
    fn posted(&mut self, places: &[LegRef]) -> Result<Map<LegRef, (Posted, i64)>, StoreError> {
        let mut seqs: Vec<i64> = places.iter().map(|place| place.seq).collect();
        seqs.dedup();
        if seqs.is_empty() {
            return Ok(Map::default());
        }
        let found = store::rows::records_found(self.conn, self.journal, &seqs)?;
        self.found.away = found.away;
        let mut rows = Map::default();
        for record in found.records {
            let crate::Body::Transaction { transfers, .. } = record.body else { continue };
            for posted in transfers {
                let place = LegRef { seq: record.seq, leg: posted.leg };
                if places.binary_search(&place).is_ok() {
                    rows.insert(place, (posted, record.recorded_us));
                }
            }
        }
        Ok(rows)
    }

    /// What is due on the accounts touched, and the lots of those that are debited.
    fn due(&mut self, fresh: &[&Request], now_us: i64) -> Result<(), StoreError> {
        let mut touched: Vec<(Uuid, bool)> = Vec::new();
        for request in fresh {
            for transfer in request.command.transfers() {
                // What arrives may have expired already: then its lots are looked at too.
                let old = transfer.lot.is_some_and(|lot| lot.expires_us.is_some_and(|us| us <= now_us));
                let old = old || matches!(transfer.how, How::Refund { .. } | How::Capture { .. });
                touched.extend([(transfer.debit, true), (transfer.credit, old)]);
            }
            if let Command::Change { account, .. } | Command::Sweep { account } = request.command {
                touched.push((account, true));
            }
        }
        self.due_of(&touched, now_us)
    }

    /// The same of these accounts, each with whether its lots are needed whatever is due.
    fn due_of(&mut self, touched: &[(Uuid, bool)], now_us: i64) -> Result<(), StoreError> {
        let (mut due, mut lots, mut counterparts) = (Vec::new(), Vec::new(), Vec::new());
        for (account, needed) in touched {
            let Some(account) = self.state.account(*account) else { continue };
            let is_due = account.next_due_us <= now_us;
            if is_due {
                due.push(account.id.0);
            }
            if account.nature.keeps_lots() && (is_due || *needed) {
                lots.push(account.id.0);
            }
            if is_due || *needed {
                counterparts.extend(account.nature.counterpart());
            }
        }
        counterparts.retain(|id| !self.state.by_public_id.contains_key(id));
        self.load(counterparts)?;
        if !due.is_empty() {
            due.sort_unstable();
            due.dedup();
            self.open_holds(&due)?;
        }
        if !lots.is_empty() {
            lots.sort_unstable();
            lots.dedup();
            self.found.lots = found::lots(self.conn, self.journal, &lots, self.most)?;
        }
        Ok(())
    }

    fn open_holds(&mut self, due: &[i64]) -> Result<(), StoreError> {
        let mut holds = found::open_holds(self.conn, self.journal, due, self.most)?;
        holds.sort_unstable_by_key(|(place, _)| *place);
        let mut pages: Map<AccountId, (usize, i64)> = due.iter().map(|id| (AccountId(*id), (0, 0))).collect();
        for (_, hold) in &holds {
            let (count, last_us) = pages.entry(hold.debit).or_default();
            (*count, *last_us) = (count.saturating_add(1), hold.expires_us.max(*last_us));
        }
        self.put_holds(holds)?;
        // A full page may have more behind it.
        let until = |(count, last_us): (usize, i64)| if count < self.most { NEVER } else { last_us };
        self.found.holds_until = pages.into_iter().map(|(id, page)| (id, until(page))).collect();
        Ok(())
    }
}

/// Learns when something next falls due on accounts that were read from their rows.
pub(crate) fn learn_dues(
    conn: &mut PgConnection,
    journal: JournalId,
    state: &mut State,
    ids: &[AccountId],
) -> Result<(), StoreError> {
    let accounts = ids.iter().filter_map(|id| state.accounts.get(id));
    let may_be_due = |account: &&Account| account.held != 0 || account.nature.keeps_lots();
    let asked: Vec<i64> = accounts.filter(may_be_due).map(|account| account.id.0).collect();
    if asked.is_empty() {
        return Ok(());
    }
    for (id, next_us) in found::next_expiries(conn, journal, &asked)? {
        if let Some(account) = state.accounts.get_mut(&id) {
            *account = account.due_at(next_us);
        }
    }
    Ok(())
}

fn opened(command: &Command) -> &[NewAccount] {
    match command {
        Command::Transact { open, .. } => open,
        Command::Open(account) => std::slice::from_ref(account),
        Command::Freeze { .. }
        | Command::Change { .. }
        | Command::Sweep { .. }
        | Command::MoveClock { .. }
        | Command::Abandon => &[],
    }
}

fn named_accounts(command: &Command, mut name: impl FnMut(Uuid)) {
    for account in opened(command) {
        name(account.public_id);
        account.nature.counterpart().into_iter().for_each(&mut name);
    }
    for transfer in command.transfers() {
        name(transfer.debit);
        name(transfer.credit);
    }
    if let Command::Freeze { account, .. } | Command::Change { account, .. } | Command::Sweep { account } = command {
        name(*account);
    }
}
