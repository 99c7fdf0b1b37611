//! A story in a few lines, for whoever has to find out what went wrong in it.

use ledger::{Command, Group, How, NewAccount, Request, Transfer};
use uuid::Uuid;

use super::NOW;

/// One line for each request.
pub fn tell(requests: &[Request], now_us: i64) -> String {
    let lines = requests.iter().map(|request| format!("  {}{}\n", command(&request.command), date(request)));
    format!("at {}\n{}", when(now_us), lines.collect::<String>())
}

fn date(request: &Request) -> String {
    request.effective_us.map(|us| format!(" effective {}", when(us))).unwrap_or_default()
}

fn command(command: &Command) -> String {
    match command {
        Command::Transact { open, transfers, groups, claim, .. } => {
            let groups = groups.iter().map(|Group { transfers, fallback }| {
                format!(" | {} else {}", listed(transfers, transfer), listed(fallback, transfer))
            });
            let claim = claim.map(|claim| format!(" claim {}", claim.0.as_u128())).unwrap_or_default();
            let groups: String = groups.collect();
            format!("open {}{claim}: {}{groups}", listed(open, opened), listed(transfers, transfer))
        }
        Command::Open(new) => format!("open {new:?}"),
        Command::Freeze { account, debits, credits } => format!("freeze {} {debits} {credits}", name(*account)),
        Command::Change { account, change } => format!("change {} {change:?}", name(*account)),
        Command::Sweep { account } => format!("sweep {}", name(*account)),
        Command::MoveClock { by_us } => format!("clock {by_us}"),
        Command::Abandon => "abandon".into(),
    }
}

fn transfer(asked: &Transfer) -> String {
    let Transfer { debit, credit, amount, how, lot, rate } = asked;
    let how = if let How::Hold { expires_us } = how {
        format!("Hold until {:?}", expires_us.map(when))
    } else {
        format!("{how:?}")
    };
    let lot = lot.map(|lot| {
        let (activates, expires) = (lot.activates_us.map(when), lot.expires_us.map(when));
        format!(" lot {activates:?}..{expires:?} {} {}", lot.campaign.as_u128(), lot.unit_cost)
    });
    let rate = rate.map(|rate| format!(" {rate:?}")).unwrap_or_default();
    let (debit, credit, lot) = (name(*debit), name(*credit), lot.unwrap_or_default());
    format!("{how} {debit}>{credit} {} of {}{lot}{rate}", amount.minor, amount.asset.0)
}

fn opened(new: &NewAccount) -> String {
    name(new.public_id)
}

fn listed<T>(all: &[T], one: impl Fn(&T) -> String) -> String {
    format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// By the number that the tests give it.
fn name(account: Uuid) -> String {
    account.as_u128().checked_sub(0xacc0_0000).map_or_else(|| account.to_string(), |number| format!("#{number}"))
}

fn when(us: i64) -> String {
    if us.abs_diff(NOW) < NOW.unsigned_abs() / 100 { format!("now{:+}", us - NOW) } else { us.to_string() }
}
