//! What the clients ask for, as the API takes it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use chrono::{DateTime, SecondsFormat};
use ledger::read::At;
use ledger::{Calendar, Change, Command, How, LegRef, Nature, NewAccount, NormalSide, Period, Request, Transfer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::super::town;
use super::telling::Asked;

/// The metadata of what comes over HTTP and has none.
const META: &[u8] = br#"{"kind":"ledger"}"#;

/// The same request with what the API has words for: transfers without groups, claims and accounts to open; accounts to
/// open and to change. None for anything else.
pub fn over_http(request: Request) -> Option<Request> {
    let key = request.key.key;
    let command = match request.command {
        Command::Transact { transfers, .. } => {
            Command::Transact { id: key, open: Vec::new(), transfers, groups: Vec::new(), claim: None }
        }
        Command::Open(terms) => Command::Open(in_whole_seconds(terms)),
        command @ (Command::Change { .. } | Command::Freeze { .. }) => command,
        Command::Sweep { .. } | Command::MoveClock { .. } | Command::Abandon => return None,
    };
    let effective_us = request.effective_us.filter(|_| matches!(command, Command::Transact { .. }));
    let mut request = Request { command, effective_us, meta: META.to_vec(), companions: Vec::new(), ..request };
    request.key.fingerprint = fingerprint(&request);
    Some(request)
}

/// The API has no shorter grace.
fn in_whole_seconds(terms: NewAccount) -> NewAccount {
    let nature = match terms.nature {
        Nature::Lots { breakage, grace_us: 1.. } => Nature::Lots { breakage, grace_us: 1_000_000 },
        nature => nature,
    };
    NewAccount { nature, ..terms }
}

/// The same for what is asked the same: the API tells by it whether a key is used for another request.
fn fingerprint(request: &Request) -> Uuid {
    let half = |salt: u8| {
        let mut hash = DefaultHasher::new();
        (salt, path(request), body(request).to_string()).hash(&mut hash);
        hash.finish()
    };
    Uuid::from_u64_pair(half(0), half(1))
}

/// Where a request goes.
pub fn path(request: &Request) -> String {
    match &request.command {
        Command::Open(_) => "/v1/ledger/accounts".to_owned(),
        Command::Change { account, .. } | Command::Freeze { account, .. } => {
            format!("/v1/ledger/accounts/{account}/changes")
        }
        _ => "/v1/ledger/transactions".to_owned(),
    }
}

/// A request by itself.
pub fn body(request: &Request) -> Value {
    match &request.command {
        Command::Transact { transfers, .. } => {
            let mut body = json!({"transfers": transfers.iter().map(leg).collect::<Vec<_>>()});
            if let Some(us) = request.effective_us {
                body["effective_at"] = moment(us);
            }
            body
        }
        Command::Open(terms) => account(terms),
        Command::Freeze { debits, credits, .. } => json!({"frozen": {"debits": debits, "credits": credits}}),
        Command::Change { change, .. } => match change {
            Change::Limits { floor, ceiling } => {
                json!({"limits": {"floor": digits(*floor), "ceiling": digits(*ceiling)}})
            }
            Change::Allowance { minor } => json!({"allowance": minor.to_string()}),
            Change::Closed { closed } => json!({"closed": closed}),
        },
        other => unreachable!("{other:?}"),
    }
}

/// Several transactions.
pub fn several(mode: &str, requests: &[Request]) -> Value {
    let items = requests.iter().map(|request| {
        let mut item = body(request);
        item["id"] = json!(request.key.key);
        item
    });
    json!({"mode": mode, "transactions": items.collect::<Vec<_>>()})
}

/// A moment as the API writes it.
pub fn moment(us: i64) -> Value {
    json!(DateTime::from_timestamp_micros(us).unwrap())
}

pub fn digits(minor: Option<i64>) -> Option<String> {
    minor.map(|minor| minor.to_string())
}

fn code(asset: ledger::AssetId) -> &'static str {
    town::assets()[&asset].0
}

fn account(terms: &NewAccount) -> Value {
    let mut body = json!({
        "id": terms.public_id, "asset": code(terms.asset), "owner": terms.owner,
        "normal_side": if terms.normal_side == NormalSide::Debit { "debit" } else { "credit" },
        "floor": digits(terms.floor), "ceiling": digits(terms.ceiling),
    });
    match terms.nature {
        Nature::Plain => {}
        Nature::Lots { breakage, grace_us } => {
            body["keeps"] = json!({"lots": {"breakage": breakage, "grace_seconds": grace_us / 1_000_000}});
        }
        Nature::Quota { pool, allowance, period, calendar } => {
            assert_eq!((period, calendar), (Period::Day, Calendar::Utc), "the town has no other");
            let allowance = allowance.to_string();
            let quota = json!({"pool": pool, "allowance": allowance, "period": "day", "calendar": "utc"});
            body["keeps"] = json!({"quota": quota});
        }
    }
    body
}

fn leg(transfer: &Transfer) -> Value {
    let Transfer { debit, credit, amount, how, lot, rate: _ } = transfer;
    let mut leg = json!({"debit": debit, "credit": credit, "asset": code(amount.asset)});
    let of = |place: &LegRef| json!({"seq": place.seq, "leg": place.leg});
    leg["how"] = json!(match how {
        How::Move => "move",
        How::UpTo => "up_to",
        How::Owing => "owing",
        How::Hold { .. } => "hold",
        How::Capture { .. } => "capture",
        How::Void { .. } => "void",
        How::Refund { .. } => "refund",
    });
    match how {
        How::Hold { expires_us: Some(us) } => leg["expires_at"] = moment(*us),
        How::Capture { hold } | How::Void { hold } => leg["of"] = of(hold),
        How::Refund { of: row, owing } => (leg["of"], leg["owing"]) = (of(row), json!(owing)),
        How::Move | How::UpTo | How::Owing | How::Hold { expires_us: None } => {}
    }
    if !matches!(how, How::Void { .. }) {
        leg["amount"] = json!(amount.minor.to_string());
    }
    if let Some(lot) = lot {
        leg["lot"] = json!({"activates_at": lot.activates_us.map(moment), "expires_at": lot.expires_us.map(moment),
            "campaign": lot.campaign, "unit_cost": lot.unit_cost});
    }
    leg
}

/// Where a question goes.
pub fn question(asked: &Asked) -> String {
    let time = |us: i64| DateTime::from_timestamp_micros(us).unwrap().to_rfc3339_opts(SecondsFormat::Micros, true);
    let at = |at: At| match at {
        At::Now => String::new(),
        At::Seq(seq) => format!("?seq={seq}"),
        At::Recorded(us) => format!("?recorded_at={}", time(us)),
        At::Effective(us) => format!("?effective_at={}", time(us)),
    };
    let of = |account: &Uuid| format!("/v1/ledger/accounts/{account}");
    match asked {
        Asked::Account(account) => of(account),
        Asked::BalanceAt(account, moment) => format!("{}/balance{}", of(account), at(*moment)),
        Asked::Entries(account, limit) => format!("{}/entries?limit={limit}", of(account)),
        Asked::Statement { account, from_us, until_us, size } => {
            let until = until_us.map_or_else(String::new, |us| format!("&until={}", time(us)));
            format!("{}/statement?limit={size}&from={}{until}", of(account), time(*from_us))
        }
        Asked::Hold(LegRef { seq, leg }) => format!("/v1/ledger/holds/{seq}/{leg}"),
        Asked::Trial(moment) => format!("/v1/ledger/trial-balance{}", at(*moment)),
        Asked::Totals => "/v1/ledger/totals".to_owned(),
        Asked::One(_) | Asked::Each(_) | Asked::Together(_) => unreachable!("{asked:?}"),
    }
}
