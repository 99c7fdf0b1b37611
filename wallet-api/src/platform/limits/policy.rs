//! How much is allowed: the defaults, and how an operator changes them.

use std::str::FromStr;
use std::time::Duration;

use super::class::{Class, PerClass};

/// So many a second, and so many at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a second in the long run; at least 1.
    pub per_s: u32,
    /// Requests at once; at least 1.
    pub burst: u32,
}

/// The limits of one class of routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassPolicy {
    /// Of each client, which its keys share.
    pub client: Rate,
    /// Of all clients of a tenant together.
    pub tenant: Rate,
    /// Requests that a node has in hand at the same time.
    pub at_once: usize,
}

/// What is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whether anything is limited at all.
    pub on: bool,
    /// By class of route.
    pub classes: PerClass<ClassPolicy>,
    /// How long a money command may have to wait in the writer's queue before new ones are turned away; four times that
    /// if the queue does not move at all. Other routes give way at a half of it, bulk at a quarter.
    pub patience: Duration,
}

const fn class(per_s: u32, burst: u32, at_once: usize) -> ClassPolicy {
    let tenant = Rate { per_s: per_s.saturating_mul(2), burst: burst.saturating_mul(2) };
    ClassPolicy { client: Rate { per_s, burst }, tenant, at_once }
}

impl Default for Policy {
    /// Generous: keys belong to services, and a limit is there to keep one of them from taking the house down.
    fn default() -> Self {
        let classes = PerClass {
            money: class(50_000, 100_000, 4_096),
            read: class(5_000, 10_000, 512),
            setup: class(2_000, 10_000, 256),
            bulk: class(50, 200, 32),
        };
        Self { on: true, classes, patience: Duration::from_millis(500) }
    }
}

/// Why a text is no policy.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PolicyError {
    /// A part that is no `name=value`.
    #[error("{0:?} is no limit: write `off`, `default`, or name=value parts with commas between them")]
    NoPair(String),
    /// A name that is none.
    #[error("{0:?} is no name of a limit: {NAMES}")]
    UnknownName(String),
    /// A value that cannot be.
    #[error("{0:?} is no value of {1}: whole numbers from 1 to 1000000000, a rate as per-second or per-second:burst")]
    Value(String, String),
}

const NAMES: &str =
    "money, read, setup, bulk; tenant.<class>; at-once.<class>; patience-ms; as in money=500:1000,at-once.read=64";

impl FromStr for Policy {
    type Err = PolicyError;

    /// `off`, `default`, or what differs from the default: `money=500:1000,tenant.read=200,at-once.bulk=4,patience-ms=500`.
    /// A client's rate that is set without its tenant's sets the tenant's to twice that.
    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let mut policy = Self::default();
        match text.trim() {
            "off" => policy.on = false,
            "default" => {}
            parts => {
                // Tenants last, whatever the order: a client's rate says its tenant's unless that is said too.
                let (tenants, others): (Vec<_>, Vec<_>) =
                    parts.split(',').map(str::trim).partition(|part| part.starts_with("tenant."));
                others.into_iter().chain(tenants).try_for_each(|part| policy.set(part))?;
            }
        }
        Ok(policy)
    }
}

impl Policy {
    fn set(&mut self, part: &str) -> Result<(), PolicyError> {
        let (name, value) = part.split_once('=').ok_or_else(|| PolicyError::NoPair(part.to_owned()))?;
        let (name, value) = (name.trim(), value.trim());
        let wrong = || PolicyError::Value(value.to_owned(), name.to_owned());
        if name == "patience-ms" {
            self.patience = Duration::from_millis(count(value).ok_or_else(wrong)?.into());
            return Ok(());
        }
        let (what, word) = name.split_once('.').unwrap_or(("", name));
        let unknown = || PolicyError::UnknownName(name.to_owned());
        let class = Class::ALL.into_iter().find(|class| class.word() == word).ok_or_else(unknown)?;
        let class = self.classes.of_mut(class);
        match what {
            "" => {
                class.client = rate(value).ok_or_else(wrong)?;
                let Rate { per_s, burst } = class.client;
                class.tenant = Rate { per_s: per_s.saturating_mul(2), burst: burst.saturating_mul(2) };
            }
            "tenant" => class.tenant = rate(value).ok_or_else(wrong)?,
            "at-once" => class.at_once = count(value).and_then(|n| n.try_into().ok()).ok_or_else(wrong)?,
            _ => return Err(unknown()),
        }
        Ok(())
    }
}

/// `per-second` or `per-second:burst`; without a burst, what comes in a second.
fn rate(text: &str) -> Option<Rate> {
    let (per_s, burst) = text.split_once(':').unwrap_or((text, text));
    Some(Rate { per_s: count(per_s)?, burst: count(burst)? })
}

fn count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n| (1..=1_000_000_000).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_says_changes_that_and_nothing_else() {
        let default = Policy::default();
        assert_eq!("default".parse::<Policy>().unwrap(), default);
        assert!(!"off".parse::<Policy>().unwrap().on);
        let policy: Policy = "tenant.read=7, money=500:1000 ,read=3,at-once.bulk=4,patience-ms=50".parse().unwrap();
        let money = ClassPolicy {
            client: Rate { per_s: 500, burst: 1_000 },
            tenant: Rate { per_s: 1_000, burst: 2_000 },
            ..default.classes.money
        };
        assert_eq!(policy.classes.money, money);
        assert_eq!(policy.classes.read.client, Rate { per_s: 3, burst: 3 });
        assert_eq!(policy.classes.read.tenant, Rate { per_s: 7, burst: 7 });
        assert_eq!(policy.classes.setup, default.classes.setup);
        assert_eq!(policy.classes.bulk, ClassPolicy { at_once: 4, ..default.classes.bulk });
        assert_eq!(policy.patience, Duration::from_millis(50));
    }

    #[test]
    fn what_is_no_limit_is_refused_by_name() {
        let error = |text: &str| text.parse::<Policy>().unwrap_err().to_string();
        assert!(error("").contains("name=value"));
        assert!(error("of").contains("\"of\""));
        for unknown in ["monney=5", "most.money=5", "patience=5"] {
            assert!(error(unknown).contains("no name of a limit"), "{unknown}");
        }
        for bad in
            ["money=0", "money=5:0", "money=-1", "money=x", "at-once.read=1:2", "patience-ms=0", "read=9999999999"]
        {
            assert!(error(bad).contains("no value of"), "{bad}");
        }
    }
}
