//! What an adjustment is, and why it is not made.

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use diesel::PgConnection;
use ledger::{Amount, Command, How, JournalError, JournalId, Scope};
use ring::hmac;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::Assets;
use super::super::amount_of;
use crate::identity::four_eyes::EyesError;
use crate::platform::fields::field;
use crate::platform::problem::{Describe, Problem};

/// Idempotency scope of what is posted by approval.
pub(super) const SCOPE: Scope = Scope(-4);
/// How long a proposal waits when nobody says, and at most.
const USUAL: TimeDelta = TimeDelta::days(7);
const LONGEST_SECONDS: i64 = 30 * 24 * 60 * 60;
const SHORTEST_SECONDS: i64 = 60;
/// Transfers of one adjustment.
const MOST: usize = 100;

/// Why the books are put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Something was posted wrongly.
    Error,
    /// A customer or merchant was found to be right.
    Dispute,
    /// A gift.
    Goodwill,
    /// Value that was taken by fraud.
    Fraud,
    /// Books were brought over from elsewhere.
    Migration,
    /// None of these: the words say.
    Other,
}

impl Reason {
    /// Its word in the API and in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Dispute => "dispute",
            Self::Goodwill => "goodwill",
            Self::Fraud => "fraud",
            Self::Migration => "migration",
            Self::Other => "other",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Error, Self::Dispute, Self::Goodwill, Self::Fraud, Self::Migration, Self::Other];
        all.into_iter().find(|reason| reason.word() == word)
    }
}

/// How far an adjustment is. That a proposal's time is over is told by its date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has decided.
    Proposed,
    /// Approved, and not known to be posted.
    Approved,
    /// Rejected.
    Rejected,
    /// In the books.
    Posted,
    /// Approved, and refused by the books, for ever: by an account's state, or because they cannot take it any more.
    Refused,
}

impl Status {
    /// Its word in the API and in the table.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Posted => "posted",
            Self::Refused => "refused",
        }
    }

    pub(super) fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Proposed, Self::Approved, Self::Rejected, Self::Posted, Self::Refused];
        all.into_iter().find(|status| status.word() == word)
    }
}

/// A transfer to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Value leaves this account.
    pub debit: Uuid,
    /// Value reaches this account.
    pub credit: Uuid,
    /// Whole minor units, as digits.
    #[schema(example = "1999", pattern = "^([1-9][0-9]{0,14}|10{15})$")]
    pub amount: String,
    /// Of what.
    #[schema(example = "EUR")]
    pub asset: String,
    /// The debit account may be left in debt by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub owing: bool,
}

/// An adjustment as it is asked for.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Why.
    pub reason: Reason,
    /// Why, in words.
    pub words: String,
    /// What.
    pub transfers: Vec<Transfer>,
    /// When it counts; none is when it is posted.
    pub effective_at: Option<DateTime<Utc>>,
    /// How long it waits for approval; none is a week.
    pub expires_in_seconds: Option<i64>,
}

/// An adjustment.
#[derive(Debug, Clone)]
pub struct Adjustment {
    /// Its id, and its transaction's.
    pub id: Uuid,
    /// How far it is.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// Why, in words.
    pub words: String,
    /// What the commitment to the words is made with.
    pub salt: [u8; 32],
    /// What.
    pub transfers: Vec<Transfer>,
    /// When it counts.
    pub effective_at: Option<DateTime<Utc>>,
    /// The client that proposed it.
    pub proposed_by: i64,
    /// Whose eyes saw it then: an operator's are the same whatever they came with.
    pub proposed_eyes: i64,
    /// When.
    pub proposed_at: DateTime<Utc>,
    /// From when on nobody can decide it any more.
    pub expires_at: DateTime<Utc>,
    /// The client that decided.
    pub decided_by: Option<i64>,
    /// When.
    pub decided_at: Option<DateTime<Utc>>,
    /// Why it was rejected, in words.
    pub decision: Option<String>,
    /// The record it came to.
    pub seq: Option<i64>,
    /// Why the books refused it.
    pub code: Option<String>,
}

/// Why an adjustment is not made or decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdjustmentError {
    /// There is none of this id.
    #[error("there is no such adjustment")]
    Unknown,
    /// Who proposed it may not decide it.
    #[error("who proposed it may not decide it")]
    SameEyes,
    /// It is a key of the house that would decide: no pair of eyes.
    #[error("a key of the house is no pair of eyes")]
    Eyeless,
    /// Whoever proposed it may not any more.
    #[error("whoever proposed it may not any more")]
    Orphaned,
    /// Its time is over.
    #[error("the proposal's time is over")]
    Expired,
    /// It was decided otherwise.
    #[error("it was decided before")]
    Decided,
    /// It was approved, and the books could not take it.
    #[error("the books could not take what was approved")]
    Impossible,
}

impl Describe for AdjustmentError {
    fn describe(&self) -> Problem {
        match self {
            Self::Unknown => crate::platform::http::not_found(),
            Self::SameEyes => {
                let detail = "Four eyes: have somebody else approve or reject it.";
                Problem::new(403, "same-eyes", "Who proposed it may not decide it", detail)
            }
            Self::Eyeless => EyesError::Eyeless.describe(),
            Self::Orphaned => EyesError::Orphaned.describe(),
            Self::Expired => {
                let detail = "Nobody decided in time: propose it again.";
                Problem::new(409, "adjustment-expired", "The proposal's time is over", detail)
            }
            Self::Decided => {
                let detail = "It was decided before: look at it, and propose another one if need be.";
                Problem::new(409, "adjustment-decided", "It was decided before", detail)
            }
            Self::Impossible => {
                let detail = "For the reason given it could not be posted when it was approved, and never will be: \
                    propose another one.";
                Problem::new(422, "adjustment-impossible", "It cannot be posted any more", detail)
            }
        }
    }
}

impl Adjustment {
    /// A proposal of now.
    pub(super) fn proposed(
        id: Uuid,
        (client, eyes): (i64, i64),
        now: DateTime<Utc>,
        salt: [u8; 32],
        wish: Wish,
    ) -> Result<Self, Problem> {
        let Wish { reason, words, transfers, effective_at, expires_in_seconds } = wish;
        if transfers.is_empty() || transfers.len() > MOST {
            return Err(field("/transfers", "One to a hundred."));
        }
        let lasts = match expires_in_seconds {
            None => USUAL,
            Some(seconds) if (SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&seconds) => TimeDelta::seconds(seconds),
            Some(_) => return Err(field("/expires_in_seconds", "From a minute to thirty days.")),
        };
        let expires_at = now.checked_add_signed(lasts).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let (status, proposed_by, proposed_at) = (Status::Proposed, client, now);
        let (decided_by, decided_at, decision, seq, code) = (None, None, None, None, None);
        Ok(Self {
            id,
            status,
            reason,
            words,
            salt,
            transfers,
            effective_at,
            proposed_by,
            proposed_eyes: eyes,
            proposed_at,
            expires_at,
            decided_by,
            decided_at,
            decision,
            seq,
            code,
        })
    }

    /// The transaction it is.
    ///
    /// # Errors
    /// 422 with the place of what cannot be.
    pub(super) fn command(&self, assets: &Assets) -> Result<Command, Problem> {
        let read = |(place, transfer): (usize, &Transfer)| {
            let wrong = |member: &str, remedy: &'static str| field(format!("/transfers/{place}/{member}"), remedy);
            let asset = assets.by_code(&transfer.asset).ok_or_else(|| wrong("asset", "There is no such asset."))?;
            let minor = amount_of(&transfer.amount)
                .ok_or_else(|| wrong("amount", "Whole minor units as digits, from 1 to 10^15."))?;
            let how = if transfer.owing { How::Owing } else { How::Move };
            Ok(ledger::Transfer::by(how, transfer.debit, transfer.credit, Amount::new(minor, asset.id)))
        };
        let transfers = self.transfers.iter().enumerate().map(read).collect::<Result<Vec<_>, Problem>>()?;
        Ok(Command::Transact { id: self.id, open: Vec::new(), transfers, groups: Vec::new(), claim: None })
    }

    /// What goes with it into the books: both eyes, and a commitment to the words.
    pub(super) fn meta(&self) -> Value {
        json!({
            "kind": "adjustment", "reason": self.reason, "proposed_by": self.proposed_by, "approved_by": self.decided_by,
            "words": HEXLOWER.encode(self.commitment().as_ref()),
        })
    }

    /// Binds the words for ever, and is opened only with the salt.
    fn commitment(&self) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &self.salt));
        context.update(self.id.as_bytes());
        context.update(self.words.as_bytes());
        context.sign()
    }
}

/// Every account is there and holds what is moved: a proposal that cannot be posted is told at once.
pub(super) fn check_accounts(conn: &mut PgConnection, journal: JournalId, command: &Command) -> Result<(), Problem> {
    let transfers: Vec<_> = command.transfers().collect();
    let ids: Vec<Uuid> = transfers.iter().flat_map(|transfer| [transfer.debit, transfer.credit]).collect();
    let found = ledger::read::accounts::assets_held(conn, journal, &ids)?;
    for (place, transfer) in transfers.iter().enumerate() {
        for (side, account) in [("debit", transfer.debit), ("credit", transfer.credit)] {
            let invalid = match found.iter().find(|(id, _)| *id == account) {
                None => ledger::Invalid::UnknownAccount { account },
                Some((_, asset)) if *asset != transfer.amount.asset => ledger::Invalid::AssetMismatch { account },
                Some(_) => continue,
            };
            let problem = JournalError::Invalid(invalid).describe();
            return Err(super::super::model::placed(problem, format!("/transfers/{place}/{side}")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_binds_the_words_and_does_not_tell_them() {
        let transfers = vec![Transfer {
            debit: Uuid::nil(),
            credit: Uuid::nil(),
            amount: "1".into(),
            asset: "EUR".into(),
            owing: false,
        }];
        let wish = |words: &str| Wish {
            reason: Reason::Error,
            words: words.into(),
            transfers: transfers.clone(),
            effective_at: None,
            expires_in_seconds: None,
        };
        let now = DateTime::<Utc>::MIN_UTC;
        let of = |words, salt| Adjustment::proposed(Uuid::from_u128(7), (1, 1), now, salt, wish(words)).unwrap().meta();
        assert_eq!(of("paid twice", [1; 32]), of("paid twice", [1; 32]));
        assert_ne!(of("paid twice", [1; 32]), of("paid thrice", [1; 32]));
        assert_ne!(of("paid twice", [1; 32]), of("paid twice", [2; 32]));
        assert!(!of("paid twice", [1; 32]).to_string().contains("twice"));
    }

    #[test]
    fn every_word_is_read_as_it_was_written() {
        for reason in
            [Reason::Error, Reason::Dispute, Reason::Goodwill, Reason::Fraud, Reason::Migration, Reason::Other]
        {
            assert_eq!(Reason::from_word(reason.word()), Some(reason));
            assert_eq!(json!(reason), json!(reason.word()), "the API says it so too");
        }
        for status in [Status::Proposed, Status::Approved, Status::Rejected, Status::Posted, Status::Refused] {
            assert_eq!(Status::from_word(status.word()), Some(status));
        }
    }
}
