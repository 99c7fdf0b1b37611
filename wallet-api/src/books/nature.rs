//! What an account keeps beside its balance, and how its rules change, as JSON.

use ledger::{Calendar, Change, Nature, Period};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::Digits;
use crate::platform::fields::field;
use crate::platform::problem::Problem;

/// Microseconds of a second.
const SECOND_US: i64 = 1_000_000;

/// What an account keeps beside its balance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Keeps {
    /// Lots: what is earned has dates, and is spent earliest-expiring first.
    Lots {
        /// The account that what expires goes to.
        breakage: Uuid,
        /// For how long a refund of what expired meanwhile can be spent, in seconds.
        #[serde(default)]
        #[schema(minimum = 0, maximum = 253_402_300_799_i64)]
        grace_seconds: i64,
    },
    /// What is left of an allowance.
    Quota {
        /// The other side of every use and of every new period.
        pool: Uuid,
        /// What each period begins with: minor units, zero or more.
        #[schema(pattern = "^(0|[1-9][0-9]{0,17})$")]
        allowance: String,
        /// How long it lasts.
        period: PeriodBody,
        /// Where midnight is; Italy's when absent.
        #[serde(default)]
        calendar: CalendarBody,
    },
}

/// How long an allowance lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PeriodBody {
    /// From midnight to midnight.
    Day,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
    /// Once and for all.
    Ever,
}

/// Where midnight is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalendarBody {
    /// In Greenwich, all year.
    Utc,
    /// In Italy.
    #[default]
    Rome,
}

impl Keeps {
    /// As the journal has it; none for what is not whole minor units or seconds.
    #[must_use]
    pub fn nature(&self) -> Option<Nature> {
        match self {
            Self::Lots { breakage, grace_seconds } => {
                Some(Nature::Lots { breakage: *breakage, grace_us: grace_seconds.checked_mul(SECOND_US)? })
            }
            Self::Quota { pool, allowance, period, calendar } => Some(Nature::Quota {
                pool: *pool,
                allowance: digits(allowance)?,
                period: match period {
                    PeriodBody::Day => Period::Day,
                    PeriodBody::Month => Period::Month,
                    PeriodBody::Year => Period::Year,
                    PeriodBody::Ever => Period::Ever,
                },
                calendar: match calendar {
                    CalendarBody::Utc => Calendar::Utc,
                    CalendarBody::Rome => Calendar::Rome,
                },
            }),
        }
    }

    /// As it is told; none for an account that keeps nothing.
    #[must_use]
    pub fn of(nature: Nature) -> Option<Self> {
        match nature {
            Nature::Plain => None,
            Nature::Lots { breakage, grace_us } => {
                Some(Self::Lots { breakage, grace_seconds: grace_us.checked_div(SECOND_US)? })
            }
            Nature::Quota { pool, allowance, period, calendar } => Some(Self::Quota {
                pool,
                allowance: allowance.to_string(),
                period: match period {
                    Period::Day => PeriodBody::Day,
                    Period::Month => PeriodBody::Month,
                    Period::Year => PeriodBody::Year,
                    Period::Ever => PeriodBody::Ever,
                },
                calendar: match calendar {
                    Calendar::Utc => CalendarBody::Utc,
                    Calendar::Rome => CalendarBody::Rome,
                },
            }),
        }
    }
}

/// What a quota's periods begin with: minor units, zero or more.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(pattern = "^(0|[1-9][0-9]{0,17})$")]
pub(super) struct AllowanceBody(String);

/// How an account's rules change.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ChangeBody {
    /// Both limits anew; null or absent is no limit.
    Limits {
        /// Available never goes below this. Minor units.
        #[serde(default)]
        #[schema(pattern = "^(0|-?[1-9][0-9]{0,17})$")]
        floor: Option<String>,
        /// The balance never goes above this. Minor units.
        #[serde(default)]
        #[schema(pattern = "^(0|-?[1-9][0-9]{0,17})$")]
        ceiling: Option<String>,
    },
    /// What a quota's periods begin with.
    Allowance(AllowanceBody),
    /// Closes an account with nothing on it, or opens it again.
    Closed(bool),
    /// Stops or lets go what leaves and what comes in.
    Frozen {
        /// No debit passes from here on.
        debits: bool,
        /// No credit passes from here on.
        credits: bool,
    },
}

impl ChangeBody {
    /// The command for an account.
    ///
    /// # Errors
    /// 422 with the member that is no number.
    pub(super) fn command(&self, account: Uuid) -> Result<ledger::Command, Problem> {
        let number = |text: &Option<String>, pointer: &'static str| {
            text.as_deref().map(|text| digits(text).ok_or_else(|| wrong(pointer))).transpose()
        };
        let change = match self {
            Self::Limits { floor, ceiling } => {
                Change::Limits { floor: number(floor, "/limits/floor")?, ceiling: number(ceiling, "/limits/ceiling")? }
            }
            Self::Allowance(AllowanceBody(minor)) => {
                Change::Allowance { minor: digits(minor).ok_or_else(|| wrong("/allowance"))? }
            }
            Self::Closed(closed) => Change::Closed { closed: *closed },
            Self::Frozen { debits, credits } => {
                return Ok(ledger::Command::Freeze { account, debits: *debits, credits: *credits });
            }
        };
        Ok(ledger::Command::Change { account, change })
    }
}

/// A change of an account's rules, as a record tells it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ChangeTold {
    /// Both limits.
    Limits {
        /// Available never goes below this.
        #[schema(value_type = Option<String>)]
        floor: Option<Digits>,
        /// The balance never goes above this.
        #[schema(value_type = Option<String>)]
        ceiling: Option<Digits>,
    },
    /// What a quota's periods begin with.
    Allowance(String),
    /// Closed, or opened again.
    Closed(bool),
}

impl From<Change> for ChangeTold {
    fn from(change: Change) -> Self {
        match change {
            Change::Limits { floor, ceiling } => {
                Self::Limits { floor: floor.map(Digits), ceiling: ceiling.map(Digits) }
            }
            Change::Allowance { minor } => Self::Allowance(minor.to_string()),
            Change::Closed { closed } => Self::Closed(closed),
        }
    }
}

fn wrong(pointer: &'static str) -> Problem {
    field(pointer, "Whole minor units, as digits.")
}

fn digits(text: &str) -> Option<i64> {
    text.parse().ok().filter(|minor: &i64| minor.to_string() == text)
}
