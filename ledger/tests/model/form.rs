//! What is wrong with a request whatever the books say. Such a request never reaches a batch.

use std::collections::BTreeSet;

use ledger::{
    Change, Command, Companion, How, Invalid, Limits, LotTerms, MAX_AMOUNT, Nature, NewAccount, Rate, Request, Transfer,
};
use uuid::Uuid;

/// Every fault of form.
pub fn faults_of_form(request: &Request) -> Vec<Invalid> {
    let mut faults = Vec::new();
    let mut at_most = |count: usize, limit: usize, what: &'static str| {
        if count > limit {
            faults.push(Invalid::TooMany { what, limit });
        }
    };
    at_most(request.meta.len(), Limits::META_BYTES, "bytes of metadata");
    at_most(request.companions.len(), Limits::COMPANIONS, "companions");
    for companion in &request.companions {
        at_most(companion.body.len(), Limits::COMPANION_BYTES, "bytes in a companion");
    }
    if let Command::Transact { open, transfers, groups, .. } = &request.command {
        let grouped: usize = groups.iter().map(|group| group.transfers.len() + group.fallback.len()).sum();
        at_most(open.len(), Limits::OPENS, "accounts to open");
        at_most(groups.len(), Limits::GROUPS, "optional groups");
        at_most(transfers.len() + grouped, Limits::TRANSFERS, "transfers");
    }
    let mut named = BTreeSet::new();
    for Companion { kind, key, .. } in &request.companions {
        if !named.insert((*kind, *key)) || !matches!(request.command, Command::Transact { .. }) {
            faults.push(Invalid::Companion { key: *key });
        }
    }
    if request.effective_us.is_some_and(|us| !is_date(us)) {
        faults.push(Invalid::EffectiveDate);
    }
    faults.extend(faults_of_command(&request.command));
    faults
}

fn faults_of_command(command: &Command) -> Vec<Invalid> {
    let mut faults = Vec::new();
    match command {
        Command::Transact { open, transfers, groups, .. } => {
            if transfers.is_empty() {
                faults.push(Invalid::Empty);
            }
            faults.extend(open.iter().flat_map(faults_of_terms));
            let grouped = groups.iter().flat_map(|group| group.transfers.iter().chain(&group.fallback));
            for (leg, transfer) in (0..).zip(transfers.iter().chain(grouped)) {
                faults.extend(faults_of_transfer(transfer, leg, transfers));
            }
        }
        Command::Open(terms) => faults.extend(faults_of_terms(terms)),
        Command::Freeze { .. } | Command::Sweep { .. } | Command::Abandon => {}
        Command::Change { account, change } => faults.extend(fault_of_change(*account, *change)),
        Command::MoveClock { by_us } => {
            if *by_us < 1 {
                faults.push(Invalid::Clock);
            }
        }
    }
    faults
}

fn faults_of_transfer(transfer: &Transfer, leg: i32, mandatory: &[Transfer]) -> Vec<Invalid> {
    let Transfer { debit, credit, amount, how, lot, rate } = *transfer;
    let mut faults = Vec::new();
    let amounts = if matches!(how, How::Void { .. }) { 0..=0 } else { 1..=MAX_AMOUNT };
    if !amounts.contains(&amount.minor) {
        faults.push(Invalid::Amount { minor: amount.minor });
    }
    if debit == credit {
        faults.push(Invalid::SameAccount { account: debit });
    }
    let mut dates: Vec<i64> = Vec::new();
    if let How::Hold { expires_us } = how {
        dates.extend(expires_us);
    }
    let LotTerms { activates_us, expires_us, unit_cost, .. } = lot.unwrap_or_default();
    dates.extend([activates_us, expires_us].into_iter().flatten());
    let backwards = activates_us.zip(expires_us).is_some_and(|(begin, end)| end <= begin);
    if backwards || unit_cost < 0 || !dates.iter().all(|us| is_date(*us)) {
        faults.push(Invalid::Dates { leg });
    }
    if rate.is_some_and(|rate| !follows(transfer, leg, rate, mandatory)) {
        faults.push(Invalid::Rate { leg });
    }
    faults
}

/// Whether a plain move's amount is what the rate makes of a plain, mandatory move before it.
fn follows(transfer: &Transfer, leg: i32, rate: Rate, mandatory: &[Transfer]) -> bool {
    let Some(other) = (0..leg).zip(mandatory).find_map(|(place, other)| (place == rate.of).then_some(other)) else {
        return false;
    };
    let plain = [transfer, other].iter().all(|one| matches!(one.how, How::Move));
    plain
        && rate.numerator > 0
        && rate.denominator > 0
        && i128::from(other.amount.minor) * i128::from(rate.numerator) / i128::from(rate.denominator)
            == transfer.amount.minor.into()
}

/// An account opens at zero, which its limits have to allow, and keeps what its nature can.
fn faults_of_terms(terms: &NewAccount) -> Vec<Invalid> {
    let account = terms.public_id;
    let mut faults = Vec::new();
    if terms.floor.unwrap_or(0) > 0 || terms.ceiling.unwrap_or(0) < 0 {
        faults.push(Invalid::Limits { account });
    }
    let sound = match terms.nature {
        Nature::Plain => true,
        Nature::Lots { breakage, grace_us } => breakage != account && terms.floor == Some(0) && is_date(grace_us),
        Nature::Quota { pool, allowance, .. } => {
            let limits = (terms.floor, terms.ceiling) == (Some(0), None);
            pool != account && limits && (0..=MAX_AMOUNT).contains(&allowance)
        }
    };
    if !sound {
        faults.push(Invalid::Nature { account });
    }
    faults
}

fn fault_of_change(account: Uuid, change: Change) -> Option<Invalid> {
    match change {
        Change::Limits { floor: Some(floor), ceiling: Some(ceiling) } if ceiling < floor => {
            Some(Invalid::Limits { account })
        }
        Change::Allowance { minor } if !(0..=MAX_AMOUNT).contains(&minor) => Some(Invalid::Nature { account }),
        Change::Limits { .. } | Change::Allowance { .. } | Change::Closed { .. } => None,
    }
}

fn is_date(us: i64) -> bool {
    (0..=Limits::LATEST_US).contains(&us)
}
