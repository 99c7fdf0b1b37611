//! What the API told, as the checker compares it: records are those of the journal at the seq that was told, if every
//! member that was told says the same of them.

use std::collections::BTreeMap;

use ledger::read::{At, BalanceAt, Entry, Statement, Window};
use ledger::{Body, LegRef, Posted, Record, Request, RowKind, Side};
use serde_json::{Value, json};
use uuid::Uuid;
use wallet_api::platform::books::refusal_code;

use super::super::history::{Fault, History, Look, Seen, Span, Told, Write};
use super::super::town;
use super::asking::{digits, moment};
use super::reading::{Or, balance, hold, int, micros, money, totals, trial, uuid};

/// What was asked.
#[derive(Debug, Clone)]
pub enum Asked {
    One(Request),
    /// Several, each by itself.
    Each(Vec<Request>),
    /// Several, all or none.
    Together(Vec<Request>),
    Account(Uuid),
    BalanceAt(Uuid, At),
    Entries(Uuid, usize),
    Statement {
        account: Uuid,
        from_us: i64,
        until_us: Option<i64>,
        size: usize,
    },
    Hold(LegRef),
    Trial(At),
    Totals,
}

/// An answer as it came.
#[derive(Debug, Clone)]
pub struct Heard {
    pub status: u16,
    /// It said that it was given before.
    pub replayed: bool,
    pub body: Value,
}

/// Something asked, and what came: nothing, an answer, or the pages of one.
#[derive(Debug, Clone)]
pub struct Call {
    pub span: Span,
    pub asked: Asked,
    pub heard: Vec<Heard>,
}

/// The journal as it was in the end.
#[derive(Clone)]
pub struct Journal {
    pub records: Vec<Record>,
    pub keys: BTreeMap<Uuid, i64>,
}

/// The calls as a history, or what in them cannot be so.
pub fn history(calls: &[Call], journal: Journal) -> Result<History, String> {
    let (mut writes, mut looks) = (Vec::new(), Vec::new());
    for call in calls {
        let wrong = |why: String| format!("{why}: {call:?}");
        let span = call.span;
        let write = |(request, told): (&Request, Told), batch| Write { span, request: request.clone(), told, batch };
        match &call.asked {
            Asked::One(request) => {
                writes.push(write((request, journal.one(call.heard.first()).map_err(wrong)?), None));
            }
            Asked::Each(requests) => {
                let told = journal.each(requests, call.heard.first()).map_err(wrong)?;
                writes.extend(requests.iter().zip(told).map(|one| write(one, None)));
            }
            Asked::Together(requests) => {
                let told = journal.together(requests, call.heard.first()).map_err(wrong)?;
                writes.extend(requests.iter().zip(told).map(|one| write(one, Some(span.began))));
            }
            _ => looks.extend(journal.seen(call).map_err(wrong)?.into_iter().map(|seen| Look { span, seen })),
        }
    }
    let Journal { records, keys } = journal;
    Ok(History { writes, looks, records, keys })
}

impl Journal {
    /// What a request by itself was told.
    fn one(&self, heard: Option<&Heard>) -> Or<Told> {
        let Some(Heard { status, replayed, body }) = heard else { return Ok(Told::Unknown) };
        match (*status, seq_of(body)) {
            (201, Some(seq)) => self.answered(seq, body, *replayed),
            // A refusal does not say whether it is told again.
            (409 | 422, Some(seq)) => self.answered(seq, body, true),
            _ => Ok(without_record(*status, code_of(body)?)),
        }
    }

    /// What each of several was told.
    fn each(&self, requests: &[Request], heard: Option<&Heard>) -> Or<Vec<Told>> {
        let Some(Heard { status, body, .. }) = heard else { return Ok(vec![Told::Unknown; requests.len()]) };
        if *status >= 400 {
            return Ok(vec![without_record(*status, code_of(body)?); requests.len()]);
        }
        let results = body["results"].as_array().filter(|results| results.len() == requests.len()).ok_or("results")?;
        let told = |(request, result): (&Request, &Value)| {
            if result["id"] != json!(request.key.key) {
                return Err("another id".to_owned());
            }
            match result["status"].as_str() {
                Some(status @ ("posted" | "replayed" | "refused")) => {
                    let record = self.answered(seq_of(result).ok_or("no seq")?, result, status != "posted")?;
                    let refused = matches!(&record, Told::Answered { record, .. } if is_refused(record));
                    if refused == (status == "refused") { Ok(record) } else { Err(format!("told {status}")) }
                }
                Some("invalid") => Ok(without_record(422, code_of(result)?)),
                Some("not_done") => Ok(Told::NotDone),
                Some("unknown") => Ok(Told::Unknown),
                other => Err(format!("status {other:?}")),
            }
        };
        requests.iter().zip(results).map(told).collect()
    }

    /// What those were told of which all happen or none: of a batch that was not done, only why.
    fn together(&self, requests: &[Request], heard: Option<&Heard>) -> Or<Vec<Told>> {
        let Some(Heard { status, body, .. }) = heard else { return Ok(vec![Told::Unknown; requests.len()]) };
        let why = if *status == 201 { return self.each(requests, heard) } else { code_of(body)? };
        if *status != 422 {
            return Ok(vec![without_record(*status, why); requests.len()]);
        }
        let (place, reason) = match why {
            "batch-refused" => (body["item"].as_u64(), body["reason"].as_str()),
            // What is seen to be no request is told as of one by itself, with its place.
            _ => (place_of(body), Some(why)),
        };
        let place = place.and_then(|place| usize::try_from(place).ok()).ok_or("no place")?;
        let request = requests.get(place).ok_or("a place beyond the last")?;
        let reason = reason.ok_or("no reason")?;
        if reason == "linked-not-done" {
            // Of a key that was used, what became of it is not told here.
            let is_used = |request: &Request| self.keys.contains_key(&request.key.key);
            let told = |request| if is_used(request) { Told::Silent } else { Told::Linked(place) };
            return Ok(requests.iter().map(told).collect());
        }
        let mut told = vec![Told::Silent; requests.len()];
        told[place] = self.stood_in_the_way(request, reason)?;
        Ok(told)
    }

    fn stood_in_the_way(&self, request: &Request, reason: &str) -> Or<Told> {
        let record = self.keys.get(&request.key.key).map(|seq| self.record(*seq)).transpose()?;
        Ok(match record.map(|record| (record, &record.body)) {
            Some((record, Body::Refused { refusal })) if refusal_code(refusal) == reason => {
                Told::Answered { record: std::sync::Arc::new(record.clone()), replayed: true }
            }
            _ => without_record(422, reason),
        })
    }

    fn record(&self, seq: i64) -> Or<&Record> {
        let record = usize::try_from(seq).ok().and_then(|seq| self.records.get(seq.checked_sub(1)?));
        record.ok_or_else(|| format!("{seq} is told and is not there"))
    }

    fn answered(&self, seq: i64, told: &Value, replayed: bool) -> Or<Told> {
        let record = self.record(seq)?;
        agrees(&shown(record), told)?;
        Ok(Told::Answered { record: std::sync::Arc::new(record.clone()), replayed })
    }

    /// What was read; nothing of what failed.
    fn seen(&self, call: &Call) -> Or<Vec<Seen>> {
        let Some(Heard { status, body, .. }) = call.heard.first() else { return Ok(Vec::new()) };
        let found = match *status {
            200 => true,
            404 => false,
            _ => return Ok(Vec::new()),
        };
        Ok(match call.asked {
            Asked::Account(account) if found => {
                let balance = balance(account, body)?;
                let terms = Seen::Terms { account, floor: balance.floor, debits_frozen: balance.debits_frozen };
                vec![terms, Seen::Balance(account, Some(balance))]
            }
            Asked::Account(account) => vec![Seen::Balance(account, None)],
            Asked::BalanceAt(account, at) => {
                let told = |body: &Value| {
                    let (balance, asset) = money(&body["balance"])?;
                    Ok::<_, String>(BalanceAt { asset, balance, seq: int(&body["seq"])? })
                };
                vec![Seen::BalanceAt(account, at, found.then(|| told(body)).transpose()?)]
            }
            Asked::Entries(account, limit) => vec![Seen::Entries(account, limit, self.entries(&body["items"])?)],
            Asked::Statement { account, from_us, until_us, size } => {
                let window = Window { after: int(&body["window"][0])?, upto: int(&body["window"][1])? };
                let pages = call.heard.iter().map(|page| self.page(&page.body)).collect::<Or<_>>()?;
                vec![Seen::Statement { account, from_us, until_us, window, pages, size }]
            }
            Asked::Hold(place) => vec![Seen::Standing(place, found.then(|| hold(place, body)).transpose()?)],
            Asked::Trial(at) => vec![Seen::Trial(at, trial(body)?)],
            Asked::Totals => vec![Seen::Totals(totals(body)?)],
            Asked::One(_) | Asked::Each(_) | Asked::Together(_) => Vec::new(),
        })
    }

    fn page(&self, body: &Value) -> Or<Statement> {
        let ((opening, asset), (closing, _)) = (money(&body["opening"])?, money(&body["closing"])?);
        let entries = self.entries(&body["entries"]["items"])?;
        Ok(Statement { asset, opening, closing, entries, has_more: body["entries"]["has_more"] == true })
    }

    fn entries(&self, items: &Value) -> Or<Vec<Entry>> {
        let entry = |one: &Value| {
            let seq = int(&one["seq"])?;
            Ok(Entry {
                seq,
                leg: i32::try_from(int(&one["leg"])?).map_err(|error| error.to_string())?,
                transaction: uuid(&one["transaction"])?,
                change: money(&one["change"])?.0,
                balance: money(&one["balance"])?.0,
                version: int(&one["version"])?,
                other: uuid(&one["other"])?,
                recorded_us: micros(&one["recorded_at"])?,
                effective_us: micros(&one["effective_at"])?,
                // Nothing is told of metadata that says nothing.
                meta: self.record(seq)?.meta.clone(),
            })
        };
        items.as_array().ok_or("no items")?.iter().map(entry).collect()
    }
}

/// What came back where no record did.
fn without_record(status: u16, code: &str) -> Told {
    match (status, code) {
        (_, "key-reused") => Told::Reused,
        (
            503 | 429,
            "not-done" | "queue-full" | "not-leader" | "books-unavailable" | "books-no-room" | "rate-limited",
        ) => Told::NotDone,
        (404 | 409 | 422, code) => Told::Invalid(Fault::Coded(code.to_owned())),
        _ => Told::Unknown,
    }
}

/// A record as the API shows it, whatever it was asked by.
fn shown(record: &Record) -> Value {
    let times = |mut body: Value| {
        (body["recorded_at"], body["effective_at"]) = (moment(record.recorded_us), moment(record.effective_us));
        body
    };
    match &record.body {
        Body::Transaction { transfers, .. } => {
            let rows: Vec<_> = transfers.iter().map(row).collect();
            times(json!({"id": record.id, "seq": record.seq, "transfers": rows}))
        }
        Body::Refused { refusal } => times(json!({"seq": record.seq, "code": refusal_code(refusal)})),
        Body::Opened { account, .. } => json!({"id": account.public_id, "opened_seq": record.seq, "balance": "0",
            "floor": digits(account.floor), "ceiling": digits(account.ceiling)}),
        Body::Frozen { account, debits, credits } => times(json!({"seq": record.seq, "id": record.id,
            "account": account, "debits_frozen": debits, "credits_frozen": credits})),
        _ => times(json!({"seq": record.seq, "id": record.id})),
    }
}

fn row(row: &Posted) -> Value {
    let kind = match row.kind {
        RowKind::Move => "move",
        RowKind::Hold => "hold",
        RowKind::Capture => "capture",
        RowKind::Void => "void",
        RowKind::Expire => "expire",
    };
    let side = |side: &Side| {
        let (balance, held) = (side.balance.to_string(), side.held.to_string());
        json!({"account": side.public_id, "balance": balance, "held": held, "version": side.version})
    };
    json!({"leg": row.leg, "kind": kind, "amount": row.amount.minor.to_string(), "asset": town::assets()[&row.amount.asset].0,
        "debit": side(&row.debit), "credit": side(&row.credit)})
}

/// Whether all that was told, of what is known, is so: an answer may leave members out, and say more.
fn agrees(known: &Value, told: &Value) -> Or<()> {
    match (known, told) {
        (Value::Object(known), Value::Object(told)) => {
            known.iter().filter_map(|(name, known)| Some((known, told.get(name)?))).try_for_each(|(k, t)| agrees(k, t))
        }
        (Value::Array(known), Value::Array(told)) if known.len() == told.len() => {
            known.iter().zip(told).try_for_each(|(known, told)| agrees(known, told))
        }
        (known, told) if known == told => Ok(()),
        (known, told) => Err(format!("{told} was told, and {known} is so")),
    }
}

fn is_refused(record: &Record) -> bool {
    matches!(record.body, Body::Refused { .. })
}

fn code_of(body: &Value) -> Or<&str> {
    body["code"].as_str().ok_or_else(|| "no code".to_owned())
}

fn seq_of(body: &Value) -> Option<i64> {
    body["seq"].as_i64().or_else(|| body["opened_seq"].as_i64())
}

/// Which of several a problem is about, by the place it names.
fn place_of(body: &Value) -> Option<u64> {
    body["errors"][0]["pointer"].as_str()?.strip_prefix("/transactions/")?.split('/').next()?.parse().ok()
}
