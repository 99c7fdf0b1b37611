//! A line of a journal's file: what it says, and the request it becomes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use ledger::{
    Amount, Asset, AssetId, Claim, Command, Companion, Invalid, JournalId, Key, Limits, MAX_AMOUNT, Nature, NewAccount,
    Posted, Record, Request, Scope, Transfer,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use uuid::Uuid;

use crate::books::{Keeps, Normal, TermsBody};
use crate::platform::ids::derived;

/// Idempotency scope of imported lines.
const IMPORT: Scope = Scope(-3);

/// What an export calls a transfer's place in its record.
const NUMBER: &str = "leg";
/// What a line says that only a whole import keeps.
pub(super) const NEEDS_WHOLE: &str = "needs_whole";

/// Why a line is set aside: a stable name, and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) &'static str, pub(super) Cow<'static, str>);

/// One line.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    /// An export begins.
    Journal { format: u32 },
    /// A commit of an export ends.
    Batch,
    /// An export ends.
    End { seq: i64 },
    /// An asset to define.
    Asset { code: String, scale: i16 },
    /// An account to open.
    Account(NewAccountLine),
    /// An account that was opened.
    Opened(OpenedLine),
    /// A transaction.
    Transaction(Box<TransactionLine>),
    /// An account that was frozen or thawed.
    Frozen(FrozenLine),
    /// What changed no balance.
    Refused(Placed),
    /// The same.
    Abandoned(Placed),
    /// The same.
    ClockMoved(Placed),
    /// What only an import of the whole reads: expiries, new limits, periods that ended.
    #[serde(other)]
    Other,
}

/// Where a record of an export stood.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Placed {
    pub(super) seq: i64,
    pub(super) fork: Uuid,
    pub(super) recorded_at: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccountLine {
    id: Uuid,
    pub(super) asset: String,
    #[serde(default)]
    normal_side: Normal,
    #[serde(default)]
    owner: Option<Uuid>,
    #[serde(default)]
    floor: Option<String>,
    #[serde(default)]
    ceiling: Option<String>,
    #[serde(default)]
    keeps: Option<Keeps>,
}

#[derive(Debug, Deserialize)]
pub(super) struct OpenedLine {
    #[serde(flatten)]
    pub(super) placed: Placed,
    account: Uuid,
    pub(super) terms: TermsBody,
    /// The transaction that opened it on first use.
    #[serde(default)]
    pub(super) by: Option<i64>,
    #[serde(default)]
    meta_raw: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct FrozenLine {
    #[serde(flatten)]
    pub(super) placed: Placed,
    account: Uuid,
    debits_frozen: bool,
    credits_frozen: bool,
    #[serde(default)]
    meta_raw: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TransactionLine {
    pub(super) id: Uuid,
    #[serde(default)]
    pub(super) seq: Option<i64>,
    #[serde(default)]
    pub(super) fork: Option<Uuid>,
    #[serde(default)]
    pub(super) recorded_at: Option<DateTime<Utc>>,
    #[serde(default)]
    effective_at: Option<DateTime<Utc>>,
    pub(super) transfers: Vec<Leg>,
    #[serde(default)]
    meta: Option<serde_json::Map<String, serde_json::Value>>,
    #[serde(default)]
    meta_raw: Option<String>,
    #[serde(default)]
    claim: Option<Uuid>,
    #[serde(default)]
    companions: Vec<CompanionLine>,
    /// Nothing by hand; an export says more.
    #[serde(flatten)]
    more: BTreeMap<String, IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Leg {
    debit: Side,
    credit: Side,
    amount: String,
    pub(super) asset: String,
    #[serde(default)]
    kind: Option<String>,
    /// Its number, in an export ([`NUMBER`]), and what makes more of it than a move: nothing that is passed over in silence.
    #[serde(flatten)]
    more: BTreeMap<String, IgnoredAny>,
}

/// An account of a transfer: its id, or, in an export, how the transfer left it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Side {
    Id(Uuid),
    After { account: Uuid, balance: String, held: String, version: i64 },
}

#[derive(Debug, Deserialize)]
struct CompanionLine {
    kind: i32,
    key: Uuid,
    body: String,
}

/// Assets by code, as the books that are written have them.
pub(super) type AssetOf<'a> = &'a dyn Fn(&str) -> Option<AssetId>;

/// An account that a later transaction opens.
pub(super) fn opening(line: &OpenedLine, asset: AssetOf<'_>) -> Result<NewAccount, Wrong> {
    let TermsBody { asset: code, normal_side, owner, floor, ceiling, keeps, .. } = &line.terms;
    let (floor, ceiling) = (limit(floor.as_deref())?, limit(ceiling.as_deref())?);
    let asset = asset(code).ok_or_else(unknown_asset)?;
    let nature = nature_of(keeps.as_ref())?;
    let (public_id, normal_side) = (line.account, (*normal_side).into());
    Ok(NewAccount { public_id, asset, normal_side, owner: *owner, floor, ceiling, nature })
}

impl OpenedLine {
    pub(super) fn request(&self, journal: JournalId, asset: AssetOf<'_>) -> Result<Request, Wrong> {
        let (key, meta) = (self.placed.key(), meta_of(self.meta_raw.as_ref(), None));
        checked(Request::bare(journal, key, Command::Open(opening(self, asset)?), meta))
    }
}

impl NewAccountLine {
    pub(super) fn request(&self, journal: JournalId, asset: AssetOf<'_>) -> Result<Request, Wrong> {
        let account = NewAccount {
            public_id: self.id,
            asset: asset(&self.asset).ok_or_else(unknown_asset)?,
            normal_side: self.normal_side.into(),
            owner: self.owner,
            floor: limit(self.floor.as_deref())?,
            ceiling: limit(self.ceiling.as_deref())?,
            nature: nature_of(self.keeps.as_ref())?,
        };
        let terms = format!("{}{:?}{:?}{:?}", self.asset, account.owner, account.floor, account.ceiling);
        // As it was before accounts kept anything, so that an import can be taken up again.
        let terms = self.keeps.as_ref().map_or_else(|| terms.clone(), |keeps| format!("{terms}{keeps:?}"));
        let fingerprint = derived("journal-import-account", &[self.id.as_bytes(), terms.as_bytes()]);
        let key = Key { scope: IMPORT, key: derived("journal-import-account", &[self.id.as_bytes()]), fingerprint };
        checked(Request::bare(journal, key, Command::Open(account), meta_of(None, None)))
    }
}

impl FrozenLine {
    pub(super) fn request(&self, journal: JournalId) -> Result<Request, Wrong> {
        let Self { placed, account, debits_frozen: debits, credits_frozen: credits, meta_raw } = self;
        let command = Command::Freeze { account: *account, debits: *debits, credits: *credits };
        checked(Request::bare(journal, placed.key(), command, meta_of(meta_raw.as_ref(), None)))
    }
}

impl TransactionLine {
    /// Where it stood, in an export.
    pub(super) fn placed(&self) -> Option<Placed> {
        let (seq, fork, recorded_at) = (self.seq?, self.fork?, self.recorded_at?);
        Some(Placed { seq, fork, recorded_at })
    }

    /// The request, which opens these accounts first. `raw` is the line itself.
    pub(super) fn request(
        &self,
        journal: JournalId,
        open: Vec<NewAccount>,
        asset: AssetOf<'_>,
        raw: &[u8],
    ) -> Result<Request, Wrong> {
        let is_export = self.placed().is_some();
        if let Some(member) = self.more.keys().next().filter(|_| !is_export) {
            return Err(unknown_member(member));
        }
        let transfer = |leg: &Leg| leg.transfer(asset, is_export);
        let transfers = self.transfers.iter().map(transfer).collect::<Result<Vec<_>, _>>()?;
        let companions = self.companions.iter().map(CompanionLine::read).collect::<Result<Vec<_>, _>>()?;
        let key = match self.placed() {
            Some(placed) => placed.key(),
            None => Key {
                scope: IMPORT,
                key: derived("journal-import-id", &[self.id.as_bytes()]),
                fingerprint: derived("journal-import-line", &[raw]),
            },
        };
        let effective_us = self.effective_at.map(|at| at.timestamp_micros());
        let claim = self.claim.map(Claim);
        let command = Command::Transact { id: self.id, open, transfers, groups: Vec::new(), claim };
        let meta = meta_of(self.meta_raw.as_ref(), self.meta.as_ref());
        checked(Request { effective_us, companions, ..Request::bare(journal, key, command, meta) })
    }

    /// The first leg that did not leave an account as the export says, if it says so.
    pub(super) fn differs(&self, posted: &[Posted]) -> Option<Uuid> {
        self.transfers.iter().zip(posted).find_map(|(leg, posted)| {
            let wrong = |side: &Side, is: &ledger::Side| match side {
                Side::Id(_) => None,
                Side::After { account, balance, held, version } => {
                    let same = *balance == is.balance.to_string() && *held == is.held.to_string();
                    (!same || *version != is.version).then_some(*account)
                }
            };
            wrong(&leg.debit, &posted.debit).or_else(|| wrong(&leg.credit, &posted.credit))
        })
    }
}

impl Placed {
    fn key(&self) -> Key {
        let key = derived("journal-import", &[self.fork.as_bytes(), &self.seq.to_be_bytes()]);
        Key { scope: IMPORT, key, fingerprint: key }
    }
}

impl Side {
    fn account(&self) -> Uuid {
        match self {
            Self::Id(account) | Self::After { account, .. } => *account,
        }
    }
}

impl Leg {
    fn transfer(&self, asset: AssetOf<'_>, is_export: bool) -> Result<Transfer, Wrong> {
        let is_move = self.kind.as_deref().is_none_or(|kind| kind == "move");
        match self.more.keys().find(|member| *member != NUMBER) {
            Some(_) if is_export => return Err(needs_whole()),
            Some(member) => return Err(unknown_member(member)),
            None if !is_move && is_export => return Err(needs_whole()),
            None if !is_move => return Err(Wrong("kind_unsupported", "By hand, only moves can be imported".into())),
            None => {}
        }
        let asset = asset(&self.asset).ok_or_else(unknown_asset)?;
        let minor = crate::books::amount_of(&self.amount).ok_or_else(|| {
            Wrong("amount_invalid", format!("an amount is whole minor units, as digits, 1 to {MAX_AMOUNT}").into())
        })?;
        Ok(Transfer::moving(self.debit.account(), self.credit.account(), Amount::new(minor, asset)))
    }
}

impl CompanionLine {
    fn read(&self) -> Result<Companion, Wrong> {
        let body = STANDARD.decode(&self.body).map_err(|error| Wrong("not_json", error.to_string().into()))?;
        Ok(Companion { kind: self.kind, key: self.key, body })
    }
}

/// Of what the record of a line that was done says, the part that a line can be held against.
pub(super) fn posted(record: &Record) -> &[Posted] {
    let ledger::Body::Transaction { transfers, .. } = &record.body else { return &[] };
    transfers
}

fn meta_of(raw: Option<&String>, meta: Option<&serde_json::Map<String, serde_json::Value>>) -> Vec<u8> {
    match (raw, meta) {
        (Some(raw), _) => raw.clone().into_bytes(),
        (None, Some(meta)) => json!({"kind": "ledger", "meta": meta}).to_string().into_bytes(),
        (None, None) => json!({"kind": "ledger"}).to_string().into_bytes(),
    }
}

fn limit(text: Option<&str>) -> Result<Option<i64>, Wrong> {
    let wrong = || Wrong("limits_invalid", "a floor or ceiling is whole minor units, as digits".into());
    text.map(|text| text.parse().map_err(|_no_digits| wrong())).transpose()
}

fn nature_of(keeps: Option<&Keeps>) -> Result<Nature, Wrong> {
    let wrong = || Wrong("account_nature_invalid", "an allowance is whole minor units, a grace whole seconds".into());
    keeps.map_or(Some(Nature::Plain), Keeps::nature).ok_or_else(wrong)
}

/// A hold, a refund, points with a date: as a plain move it would be another thing.
pub(super) fn needs_whole() -> Wrong {
    Wrong(NEEDS_WHOLE, "only `tessera import journal --whole` keeps what this record says".into())
}

fn unknown_member(member: &str) -> Wrong {
    Wrong("member_unknown", format!("`{member}` cannot be imported, and is not passed over").into())
}

fn unknown_asset() -> Wrong {
    Wrong("asset_unknown", "an asset that no line before defines".into())
}

fn checked(request: Request) -> Result<Request, Wrong> {
    request.check().map_err(|invalid| wrong(&invalid))?;
    Ok(request)
}

/// What the journal says of a request that is none.
pub(super) fn wrong(invalid: &Invalid) -> Wrong {
    let code = match invalid {
        Invalid::Empty => "transfers_missing",
        Invalid::TooMany { .. } => "too_many",
        Invalid::Amount { .. } => "amount_invalid",
        Invalid::SameAccount { .. } => "same_account",
        Invalid::UnknownAccount { .. } => "account_unknown",
        Invalid::UnknownAsset => "asset_unknown",
        Invalid::AssetMismatch { .. } => "asset_mismatch",
        Invalid::Limits { .. } => "limits_invalid",
        Invalid::AccountExists { .. } => "account_exists",
        Invalid::Companion { .. } => "companion_invalid",
        Invalid::EffectiveDate => "date_invalid",
        Invalid::Clock => "clock_fixed",
        Invalid::NotThatRow { .. } => "row_unsuitable",
        Invalid::Dates { .. } => "dates_unsuitable",
        Invalid::Rate { .. } => "rate_wrong",
        Invalid::Nature { .. } => "account_nature_invalid",
        Invalid::TooManyLots { .. } => "too_many_lots",
        Invalid::NothingDue { .. } => "nothing_due",
        Invalid::StillDue { .. } => "still_due",
        Invalid::Archived(_) => "archived",
    };
    Wrong(code, invalid.to_string().into())
}

/// An asset's code, when a line may define it so.
pub(super) fn asset_ok(code: &str, scale: i16) -> Result<(), Wrong> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_');
    if (1..=32).contains(&code.len()) && code.bytes().all(plain) && (0..=6).contains(&scale) {
        return Ok(());
    }
    Err(Wrong("asset_invalid", "a code of 1 to 32 of A-Z, a-z, 0-9, :, -, _ and a scale of 0 to 6".into()))
}

/// Whether an asset that exists is the one a line means.
pub(super) fn same_scale(asset: &Asset, scale: i16) -> Result<(), Wrong> {
    if asset.scale == scale {
        return Ok(());
    }
    Err(Wrong("asset_invalid", format!("{} has scale {} in these books", asset.code, asset.scale).into()))
}

/// Requests of an import carry no date and no companions unless a line says so.
trait Bare {
    fn bare(journal: JournalId, key: Key, command: Command, meta: Vec<u8>) -> Self;
}

impl Bare for Request {
    fn bare(journal: JournalId, key: Key, command: Command, meta: Vec<u8>) -> Self {
        Self { journal, key, command, effective_us: None, meta, companions: Vec::new() }
    }
}

/// The longest line: a transaction of as many transfers as there may be, each with what it left on both sides.
pub(super) const LONGEST: usize = Limits::TRANSFERS.saturating_mul(1_024).saturating_add(4 * 1_024 * 1_024);
