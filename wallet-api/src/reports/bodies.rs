//! Reports as JSON: sums as digits, because they may not fit 64 bits.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::flow::What;
use super::groups::{Group, Units};
use super::liability::{Check, Liability};
use super::roll_forward::{DebtLine, Line, RollForward};
use super::value::Value;
use crate::books::Assets;

/// Unspent units at some time.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiabilityBody {
    /// The last record that counts.
    seq: i64,
    /// Every asset's units are what its accounts have; if not, run `tessera verify`.
    agrees: bool,
    /// By month earned, those that never end last.
    groups: Vec<GroupBody>,
    /// Asset by asset.
    checks: Vec<CheckBody>,
}

/// Units that nothing here tells apart.
#[derive(Debug, Serialize, ToSchema)]
struct GroupBody {
    #[schema(example = "PTS:club")]
    asset: String,
    /// The month they were earned in, by UTC.
    #[schema(example = "2026-03")]
    earned: String,
    /// The last month they can be spent in, by Italy's calendar, or `never`.
    #[schema(example = "2027-12")]
    ends: String,
    /// What they were earned by; all zeros for nothing in particular.
    campaign: Uuid,
    /// Minor units.
    #[schema(example = "12500")]
    units: String,
    /// What they cost whoever gave them, in millionths of the cost currency's minor unit.
    cost_millionths: String,
}

/// Units against the accounts they lie on: `units` less `debt` is `balance`.
#[derive(Debug, Serialize, ToSchema)]
struct CheckBody {
    #[schema(example = "PTS:club")]
    asset: String,
    /// What the lots add up to.
    units: String,
    /// Accounts that keep lots.
    accounts: u64,
    /// What those accounts owe out of what they earn next.
    debt: String,
    /// What they stand at, by the rows that the trial balance adds up.
    balance: String,
    /// It is so.
    agrees: bool,
}

impl LiabilityBody {
    /// As it was found.
    #[must_use]
    pub fn of(found: &Liability, assets: &Assets) -> Self {
        let group = |(group, units): (&Group, &Units)| GroupBody {
            asset: assets.code(group.asset).to_owned(),
            earned: group.earned.to_string(),
            ends: group.ends.to_string(),
            campaign: group.campaign,
            units: units.minor.to_string(),
            cost_millionths: units.cost_millionths.to_string(),
        };
        let groups = found.groups.iter().map(group).collect();
        Self { seq: found.seq, agrees: found.agrees(), groups, checks: checks(found, assets) }
    }
}

fn checks(found: &Liability, assets: &Assets) -> Vec<CheckBody> {
    let check = |(asset, check): (&ledger::AssetId, &Check)| CheckBody {
        asset: assets.code(*asset).to_owned(),
        units: check.units.to_string(),
        accounts: check.accounts.accounts,
        debt: check.accounts.debt.to_string(),
        balance: check.accounts.balance.to_string(),
        agrees: check.agrees(),
    };
    found.checks.iter().map(check).collect()
}

/// What became of unspent units.
#[derive(Debug, Serialize, ToSchema)]
pub struct RollForwardBody {
    /// The last seq before it, and its last.
    window: [i64; 2],
    /// Every line adds up to the unit, and both ends are what the accounts had.
    agrees: bool,
    /// By asset and campaign.
    lines: Vec<LineBody>,
    /// By asset.
    totals: Vec<LineBody>,
    /// What accounts owed, by asset.
    debts: Vec<DebtBody>,
    /// The opening units against the accounts.
    opening_checks: Vec<CheckBody>,
    /// The closing units against the accounts.
    closing_checks: Vec<CheckBody>,
    /// What they are worth, if terms were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<ValueBody>,
}

/// Opening + earned + restored + received − burned − expired − clawed back − sent − offset = closing.
#[derive(Debug, Serialize, ToSchema)]
struct LineBody {
    #[schema(example = "PTS:club")]
    asset: String,
    /// All zeros for nothing in particular; absent in totals.
    #[serde(skip_serializing_if = "Option::is_none")]
    campaign: Option<Uuid>,
    /// Unspent before.
    opening: String,
    /// Made lots.
    earned: String,
    /// Given back by refunds of what was spent.
    restored: String,
    /// Came from other accounts that keep lots.
    received: String,
    /// Spent.
    burned: String,
    /// Went to breakage by time.
    expired: String,
    /// Taken back.
    clawed_back: String,
    /// Went to other accounts that keep lots.
    sent: String,
    /// Given back by holds, into debt.
    offset: String,
    /// Unspent after.
    closing: String,
}

impl LineBody {
    fn of(line: &Line, campaign: Option<Uuid>, assets: &Assets) -> Self {
        let flow = |wanted: What| {
            let found = What::ALL.iter().zip(line.flows).find(|(what, _)| **what == wanted);
            found.map_or(0, |(_, minor)| minor).to_string()
        };
        Self {
            asset: assets.code(line.asset).to_owned(),
            campaign,
            opening: line.opening.to_string(),
            earned: flow(What::Earned),
            restored: flow(What::Restored),
            received: flow(What::Received),
            burned: flow(What::Burned),
            expired: flow(What::Expired),
            clawed_back: flow(What::ClawedBack),
            sent: flow(What::Sent),
            offset: flow(What::Offset),
            closing: line.closing.to_string(),
        }
    }
}

/// Opening + incurred − repaid = closing.
#[derive(Debug, Serialize, ToSchema)]
struct DebtBody {
    #[schema(example = "PTS:club")]
    asset: String,
    /// Owed before.
    opening: String,
    /// Came to be owed.
    incurred: String,
    /// Paid back out of what came.
    repaid: String,
    /// Owed after.
    closing: String,
}

/// By IFRS 15, in minor units of what was paid, each rounded once, half away from zero.
#[derive(Debug, Serialize, ToSchema)]
struct ValueBody {
    /// Units earned less clawed back, since the beginning.
    issued_units: String,
    /// Units burned less restored, since the beginning.
    used_units: String,
    /// Units expected to be used in all.
    expected_units: String,
    /// The points' stand-alone price.
    points_price: String,
    /// What was paid for the goods.
    goods_share: String,
    /// What was paid for the points.
    points_share: String,
    /// Of that, revenue by now.
    recognised: String,
    /// Of that, not of earlier periods.
    revenue: String,
    /// Of the points' share, still put off.
    liability: String,
}

/// What an asset's points are worth at some time.
#[derive(Debug, Serialize, ToSchema)]
pub struct ValueReportBody {
    /// After the record of this seq.
    seq: i64,
    #[schema(example = "PTS:club")]
    asset: String,
    /// By IFRS 15.
    value: ValueBody,
}

impl ValueReportBody {
    /// As it was found.
    #[must_use]
    pub fn of(seq: i64, asset: &str, value: &Value) -> Self {
        Self { seq, asset: asset.to_owned(), value: ValueBody::of(value) }
    }
}

impl ValueBody {
    fn of(value: &Value) -> Self {
        Self {
            issued_units: value.issued.to_string(),
            used_units: value.used.to_string(),
            expected_units: value.expected.to_string(),
            points_price: value.points_price.to_string(),
            goods_share: value.shares.goods.to_string(),
            points_share: value.shares.points.to_string(),
            recognised: value.recognised.to_string(),
            revenue: value.revenue.to_string(),
            liability: value.liability.to_string(),
        }
    }
}

impl RollForwardBody {
    /// As it was found, with its value.
    #[must_use]
    pub fn of(found: &RollForward, value: Option<&Value>, assets: &Assets) -> Self {
        let debt = |line: &DebtLine| DebtBody {
            asset: assets.code(line.asset).to_owned(),
            opening: line.opening.to_string(),
            incurred: line.incurred.to_string(),
            repaid: line.repaid.to_string(),
            closing: line.closing.to_string(),
        };
        Self {
            window: [found.opening.seq, found.closing.seq],
            agrees: found.agrees(),
            lines: found.lines.iter().map(|line| LineBody::of(line, Some(line.campaign), assets)).collect(),
            totals: found.totals().iter().map(|line| LineBody::of(line, None, assets)).collect(),
            debts: found.debts.iter().map(debt).collect(),
            opening_checks: checks(&found.opening, assets),
            closing_checks: checks(&found.closing, assets),
            value: value.map(ValueBody::of),
        }
    }
}
