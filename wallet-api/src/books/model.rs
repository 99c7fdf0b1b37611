//! What a client asks of the books, as it stands in its JSON, and how it becomes a request to the journal.
//!
//! Everything is borrowed from the body. What JSON cannot say right is refused with the place of the mistake and a
//! stable code, before the journal is asked and without spending the key.

mod key;
pub(super) mod schema;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use ledger::{Amount, Command, LegRef, Limits, LotTerms, MAX_AMOUNT, Rate, Refusal, Request, Transfer};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use self::key::key_of;
use super::Assets;
use crate::platform::books::{describe_refusal, journal_of};
use crate::platform::http::{IdempotencyKey, read_object};
use crate::platform::keyring::Caller;
use crate::platform::problem::{Describe, FieldError, Problem};

/// The metadata of a transaction that was posted here and came with none.
const NO_META: &[u8] = br#"{"kind":"ledger"}"#;

/// One transaction, or several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked<'a> {
    #[serde(default)]
    pub(super) mode: Option<Mode>,
    #[serde(default, borrow)]
    pub(super) transactions: Option<Vec<Item<'a>>>,
    #[serde(default, borrow)]
    pub(super) transfers: Option<Vec<Leg<'a>>>,
    #[serde(default, borrow)]
    pub(super) effective_at: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) meta: Option<&'a RawValue>,
}

/// Whether several transactions stand or fall together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Mode {
    /// Each by itself.
    Independent,
    /// All or none.
    Atomic,
}

/// One of several transactions.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) transfers: Vec<Leg<'a>>,
    #[serde(default, borrow)]
    pub(super) effective_at: Option<Cow<'a, str>>,
    #[serde(default, borrow)]
    pub(super) meta: Option<&'a RawValue>,
}

/// One transfer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Leg<'a> {
    #[serde(default)]
    pub(super) how: How,
    #[serde(borrow)]
    pub(super) debit: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) credit: Cow<'a, str>,
    /// Absent for a void: it gives back all there is.
    #[serde(default, borrow)]
    pub(super) amount: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) asset: Cow<'a, str>,
    /// The row that a capture, void or refund is about.
    #[serde(default)]
    pub(super) of: Option<RowBody>,
    /// When a hold ends by itself.
    #[serde(default)]
    pub(super) expires_at: Option<DateTime<Utc>>,
    /// Whether a refund may leave its payee in debt.
    #[serde(default)]
    pub(super) owing: bool,
    #[serde(default)]
    pub(super) lot: Option<LotBody>,
    #[serde(default)]
    pub(super) rate: Option<RateBody>,
}

/// What a transfer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// Moves the amount.
    #[default]
    Move,
    /// Moves as much as both accounts allow, up to the amount.
    UpTo,
    /// Moves the amount, and what the debit account lacks, it owes.
    Owing,
    /// Sets the amount aside until it is captured, voided or expires.
    Hold,
    /// Moves part of a hold.
    Capture,
    /// Gives back all that is left of a hold.
    Void,
    /// Moves back what an earlier row moved, or part of it.
    Refund,
}

/// A posted row, by its record and its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RowBody {
    /// The record.
    pub(super) seq: i64,
    /// The transfer inside it.
    #[serde(default)]
    pub(super) leg: i32,
}

/// The dates and the cost of what is earned, on an account that keeps lots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LotBody {
    /// Not to be spent before; absent is at once.
    #[serde(default)]
    activates_at: Option<DateTime<Utc>>,
    /// Worth nothing from then on; absent is never.
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
    /// What it was earned by.
    #[serde(default)]
    campaign: Uuid,
    /// What one unit costs, in millionths of the cost currency's minor unit.
    #[serde(default)]
    unit_cost: i64,
}

/// The rate a transfer's amount was made by: `numerator / denominator` of another's, rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RateBody {
    /// Of which transfer before it, from zero.
    pub(super) of: i32,
    /// Positive.
    pub(super) numerator: i64,
    /// Positive.
    pub(super) denominator: i64,
}

/// One transaction, wherever it stood in the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a, 'b> {
    pub(super) transfers: &'b [Leg<'a>],
    pub(super) effective_at: Option<&'b str>,
    pub(super) meta: Option<&'a RawValue>,
}

impl<'a> Item<'a> {
    pub(super) fn wish(&self) -> Wish<'a, '_> {
        Wish { transfers: &self.transfers, effective_at: self.effective_at.as_deref(), meta: self.meta }
    }
}

impl Wish<'_, '_> {
    /// The request, under the client's key. `at` is where the transaction stands in the body.
    ///
    /// # Errors
    /// 422 with a stable code and the place.
    pub(super) fn request(
        &self,
        caller: &Caller,
        key: &IdempotencyKey,
        assets: &Assets,
        at: &str,
    ) -> Result<Request, Problem> {
        if self.transfers.len() > Limits::TRANSFERS {
            let invalid = ledger::Invalid::TooMany { what: "transfers", limit: Limits::TRANSFERS };
            return Err(placed(ledger::JournalError::Invalid(invalid).describe(), format!("{at}/transfers")));
        }
        let mut transfers = Vec::with_capacity(self.transfers.len());
        for (place, leg) in self.transfers.iter().enumerate() {
            transfers.push(leg.transfer(assets).map_err(|mistake| mistake.at(&format!("{at}/transfers/{place}")))?);
        }
        let effective_us = self.effective_at.map(Effective::read).transpose();
        let effective_us = effective_us.map_err(|problem| placed(problem, format!("{at}/effective_at")))?;
        let meta = self.meta.map_or_else(|| Ok(NO_META.to_vec()), |meta| meta_of(meta, at))?;
        let key = key_of(caller, key, &transfers, effective_us, &meta);
        let command = Command::Transact { id: key.key, open: Vec::new(), transfers, groups: Vec::new(), claim: None };
        let journal = journal_of(&caller.tenant);
        let request = Request { journal, key, command, effective_us, meta, companions: Vec::new() };
        request.check().map_err(|invalid| self.place(ledger::JournalError::Invalid(invalid), at))?;
        Ok(request)
    }

    /// What the journal says, with the place in the body that it is about.
    pub(super) fn place(&self, error: ledger::JournalError, at: &str) -> Problem {
        let account = if let ledger::JournalError::Invalid(
            ledger::Invalid::UnknownAccount { account }
            | ledger::Invalid::SameAccount { account }
            | ledger::Invalid::AssetMismatch { account },
        ) = &error
        {
            Some(*account)
        } else {
            None
        };
        let problem = error.describe();
        match account.and_then(|account| self.side(account)) {
            Some((leg, side)) => placed(problem, format!("{at}/transfers/{leg}/{side}")),
            None if problem.code() == "transfers-missing" => placed(problem, format!("{at}/transfers")),
            None => problem,
        }
    }

    /// A refusal, with the account that it is about and where in the body that is.
    pub(super) fn refused(&self, refusal: &Refusal, seq: i64, at: &str) -> Problem {
        let problem = describe_refusal(refusal, seq);
        let Some(account) = refusal.account() else { return problem };
        let problem = problem.with("account", account.to_string());
        let place = match refusal {
            Refusal::Floor { .. } => self.on_side(account, "debit"),
            Refusal::Ceiling { .. } => self.on_side(account, "credit"),
            Refusal::Frozen { .. }
            | Refusal::Overflow { .. }
            | Refusal::Closed { .. }
            | Refusal::NotEmpty { .. }
            | Refusal::HoldEnded { .. }
            | Refusal::HoldExceeded { .. }
            | Refusal::RefundExceeded { .. }
            | Refusal::ClaimSpent { .. } => self.side(account),
        };
        match place {
            Some((leg, side)) => placed(problem, format!("{at}/transfers/{leg}/{side}")),
            None => problem,
        }
    }

    /// Where an account is named first on a side.
    fn on_side(&self, account: Uuid, side: &'static str) -> Option<(usize, &'static str)> {
        let named =
            |leg: &Leg<'_>| Uuid::try_parse(if side == "debit" { &leg.debit } else { &leg.credit }) == Ok(account);
        self.transfers.iter().position(named).map(|place| (place, side))
    }

    /// Where an account is named first.
    fn side(&self, account: Uuid) -> Option<(usize, &'static str)> {
        let names = |text: &str| Uuid::try_parse(text) == Ok(account);
        self.transfers.iter().enumerate().find_map(|(place, leg)| {
            let side = if names(&leg.debit) { "debit" } else { "credit" };
            (names(&leg.debit) || names(&leg.credit)).then_some((place, side))
        })
    }
}

impl Leg<'_> {
    fn transfer(&self, assets: &Assets) -> Result<Transfer, Mistake> {
        let account = |text: &str, field| Uuid::try_parse(text).map_err(|_no_uuid| Mistake::Account(field));
        let asset = assets.by_code(&self.asset).ok_or(Mistake::Asset)?;
        let whole = self.how == How::Void && self.amount.is_empty();
        let minor = if whole { 0 } else { amount(&self.amount).ok_or(Mistake::Amount)? };
        let amount = Amount::new(minor, asset.id);
        let how = self.how()?;
        let (debit, credit) = (account(&self.debit, "debit")?, account(&self.credit, "credit")?);
        let lot = self.lot.map(|lot| LotTerms {
            activates_us: lot.activates_at.map(|at| at.timestamp_micros()),
            expires_us: lot.expires_at.map(|at| at.timestamp_micros()),
            campaign: lot.campaign,
            unit_cost: lot.unit_cost,
        });
        let rate = self.rate.map(|RateBody { of, numerator, denominator }| Rate { of, numerator, denominator });
        Ok(Transfer { debit, credit, amount, how, lot, rate })
    }

    /// In what manner; a member that says nothing there is a mistake, not passed over.
    fn how(&self) -> Result<ledger::How, Mistake> {
        let row = self.of.map(|RowBody { seq, leg }| LegRef { seq, leg });
        let how = match (self.how, row, self.expires_at, self.owing) {
            (How::Move, None, None, false) => ledger::How::Move,
            (How::UpTo, None, None, false) => ledger::How::UpTo,
            (How::Owing, None, None, false) => ledger::How::Owing,
            (How::Hold, None, ends, false) => ledger::How::Hold { expires_us: ends.map(|at| at.timestamp_micros()) },
            (How::Capture, Some(hold), None, false) => ledger::How::Capture { hold },
            (How::Void, Some(hold), None, false) => ledger::How::Void { hold },
            (How::Refund, Some(of), None, owing) => ledger::How::Refund { of, owing },
            (_, _, Some(_), _) => return Err(Mistake::Stray("expires_at", "Only a hold ends by itself.")),
            (_, _, _, true) => return Err(Mistake::Stray("owing", "Only a refund says so; else use how: owing.")),
            (_, Some(_), ..) => return Err(Mistake::Stray("of", "Only a capture, void or refund is about a row.")),
            (_, None, ..) => return Err(Mistake::Stray("of", "Name the row it is about: its seq and leg.")),
        };
        Ok(how)
    }
}

/// What is wrong with a leg.
enum Mistake {
    Account(&'static str),
    Asset,
    Amount,
    /// A member that does not belong there, or is missing, and what to do.
    Stray(&'static str, &'static str),
}

impl Mistake {
    fn at(self, leg: &str) -> Problem {
        let invalid = |invalid| ledger::JournalError::Invalid(invalid).describe();
        match self {
            Self::Account(field) => {
                let invalid = invalid(ledger::Invalid::UnknownAccount { account: Uuid::nil() });
                placed(invalid, format!("{leg}/{field}"))
            }
            Self::Asset => placed(invalid(ledger::Invalid::UnknownAsset), format!("{leg}/asset")),
            Self::Stray(member, remedy) => crate::platform::fields::field(format!("{leg}/{member}"), remedy),
            Self::Amount => placed(invalid(ledger::Invalid::Amount { minor: 0 }), format!("{leg}/amount")),
        }
    }
}

/// A problem with the place it is about.
pub(super) fn placed(problem: Problem, pointer: String) -> Problem {
    let code = problem.code();
    let words = problem.body(crate::platform::text::Lang::En).detail;
    problem.errors([FieldError::new(pointer, code, words)])
}

/// The minor units of an amount to move: digits without a sign, a point or a leading zero, from 1 to 10^15.
#[must_use]
pub fn amount(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|minor| plain && (1..=MAX_AMOUNT).contains(minor))
}

/// When a transaction counts.
#[derive(Debug)]
pub enum Effective {}

impl Effective {
    /// Microseconds since 1970 of an RFC 3339 moment between 1970 and the end of 9999.
    ///
    /// # Errors
    /// 422 `date-invalid`.
    pub fn read(text: &str) -> Result<i64, Problem> {
        let moment = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.timestamp_micros());
        let within = moment.filter(|us| (0..=Limits::LATEST_US).contains(us));
        within.ok_or_else(|| ledger::JournalError::Invalid(ledger::Invalid::EffectiveDate).describe())
    }
}

/// A client's metadata as the record keeps it: an object, canonical, apart from what the house itself writes there.
fn meta_of(raw: &RawValue, at: &str) -> Result<Vec<u8>, Problem> {
    let wrong = || crate::platform::fields::field(format!("{at}/meta"), "An object of codes and opaque references.");
    let members = read_object(raw.get())?.ok_or_else(wrong)?;
    let bytes = json!({"kind": "ledger", "meta": Value::Object(members)}).to_string().into_bytes();
    if bytes.len() > Limits::META_BYTES {
        let limit = Limits::META_BYTES;
        let invalid = ledger::Invalid::TooMany { what: "bytes of metadata", limit };
        return Err(placed(ledger::JournalError::Invalid(invalid).describe(), format!("{at}/meta")));
    }
    Ok(bytes)
}
