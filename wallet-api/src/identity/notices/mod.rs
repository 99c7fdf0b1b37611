//! Notices: what was done at somebody's doors is told to every contact of theirs, in their language.
//!
//! [`tell`] writes a row for each contact into the caller's transaction, so that what was done is told and what was not is not;
//! [`Housekeeper`](super::Housekeeper) sends them afterwards ([`send_due`]). Promise: at least once, also when a node dies in between:
//! a row goes when its mail server has taken the letter, or has said that it never will, or after [`GIVEN_UP`]. Twice is possible, and harmless.
//! Limits: a notice that is sent is not read. Not here: the words (catalogue `locales/`, ids `mail-notice-…`).

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::contacts::{self, ContactError};
use super::{people, sca};
use crate::platform::clock::Clock;
use crate::platform::db::{DbError, HouseDb};
use crate::platform::ids::Ids;
use crate::platform::keyring::Tenant;
use crate::platform::post::{Letter, Mail, Post, Tried};
use crate::platform::text::{Arg, Lang};
use crate::platform::vault::{Vault, VaultError};

/// How long a notice is tried.
pub const GIVEN_UP: TimeDelta = TimeDelta::days(7);
/// How long whoever took a notice has for it, before others may take it.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// The first wait after a try that failed; each next one is twice as long, up to an hour.
const FIRST_WAIT_S: i64 = 10;
const LONGEST_WAIT_S: i64 = 3_600;
/// Notices of a tenant that are sent in one go.
const AT_ONCE: i64 = 20;

/// What was done, and has to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// A passkey was added.
    PasskeyAdded,
    /// A passkey was ended.
    PasskeyRevoked,
    /// A device was bound beside the first.
    DeviceBound,
    /// A device was revoked.
    DeviceRevoked,
    /// Somebody proved a contact to come back without a passkey.
    RecoveryBegun,
    /// They came back.
    RecoveryDone,
    /// A contact was added.
    ContactAdded,
    /// A contact was ended.
    ContactEnded,
    /// Approvals are blocked.
    Approvals(sca::Notice),
}

impl Notice {
    /// Its word in the table, and of its letter.
    const fn word(self) -> &'static str {
        match self {
            Self::PasskeyAdded => "passkey-added",
            Self::PasskeyRevoked => "passkey-revoked",
            Self::DeviceBound => "device-bound",
            Self::DeviceRevoked => "device-revoked",
            Self::RecoveryBegun => "recovery-begun",
            Self::RecoveryDone => "recovery-done",
            Self::ContactAdded => "contact-added",
            Self::ContactEnded => "contact-ended",
            Self::Approvals(sca::Notice::Blocked { is_last: false, .. }) => "approvals-blocked",
            Self::Approvals(sca::Notice::Blocked { is_last: true, .. }) => "approvals-last",
            Self::Approvals(sca::Notice::Barred) => "approvals-barred",
        }
    }

    const fn until(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Approvals(sca::Notice::Blocked { until, .. }) => Some(until),
            Self::PasskeyAdded
            | Self::PasskeyRevoked
            | Self::DeviceBound
            | Self::DeviceRevoked
            | Self::RecoveryBegun
            | Self::RecoveryDone
            | Self::ContactAdded
            | Self::ContactEnded
            | Self::Approvals(sca::Notice::Barred) => None,
        }
    }
}

/// Notes what has to be told to a person, at each contact they have now: of a contact that ends, before it does.
///
/// # Errors
/// What the database says.
pub fn tell(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    (tenant, person): (i64, Uuid),
    notice: Notice,
) -> QueryResult<()> {
    for contact in contacts::ids_of(conn, tenant, person)? {
        store::insert(conn, tenant, (ids.uuid_v7(now), contact), (notice.word(), notice.until()), now)?;
    }
    Ok(())
}

/// A notice that is due, with its letter.
struct Due {
    id: Uuid,
    at: DateTime<Utc>,
    tries: i32,
    /// None when there is nobody left to tell.
    mail: Option<Mail>,
}

/// Why notices could not be taken or noted.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The pool.
    #[error(transparent)]
    Pool(#[from] DbError),
    /// A contact cannot be opened.
    #[error(transparent)]
    Contact(#[from] ContactError),
    /// The database failed.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
}

/// Sends what is due of a tenant; tells how many its servers took.
///
/// # Errors
/// [`NoticeError`]: what was taken and is not noted is sent again after a while.
pub async fn send_due(
    db: &HouseDb,
    (vault, post, clock): (&Vault, &Post, &Clock),
    tenant: std::sync::Arc<Tenant>,
) -> Result<usize, NoticeError> {
    let (vault, now, id) = (vault.clone(), clock.now(), tenant.id);
    let due = db.run(move |conn| take(conn, &vault, &tenant, now)).await??;
    let sending = due.into_iter().map(|due| async move {
        let tried = match &due.mail {
            Some(mail) => post.try_once(mail).await.unwrap_or(Tried::Later),
            None => Tried::Never,
        };
        (due.id, due.at, due.tries, tried)
    });
    let sent = futures_util::future::join_all(sending).await;
    let now = clock.now();
    db.run(move |conn| -> Result<usize, NoticeError> {
        let mut taken = 0_usize;
        for (notice, at, tries, tried) in sent {
            match tried {
                Tried::Later if now - at < GIVEN_UP => store::put_off(conn, id, notice, now + wait(tries))?,
                Tried::Later | Tried::Never => {
                    tracing::warn!(tenant = id, notice.id = %notice, tries, "a notice was given up");
                    store::delete(conn, id, notice)?;
                }
                Tried::Taken => {
                    store::delete(conn, id, notice)?;
                    taken = taken.saturating_add(1);
                }
            }
        }
        Ok(taken)
    })
    .await?
}

fn take(conn: &mut PgConnection, vault: &Vault, tenant: &Tenant, now: DateTime<Utc>) -> Result<Vec<Due>, NoticeError> {
    let rows = store::take(conn, tenant.id, now, (now + LEASE, AT_ONCE))?;
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        let mail = letter(conn, vault, tenant, &row)?;
        due.push(Due { id: row.id, at: row.at, tries: row.tries, mail });
    }
    Ok(due)
}

/// A notice as a letter to its contact; none when its person was forgotten.
fn letter(
    conn: &mut PgConnection,
    vault: &Vault,
    tenant: &Tenant,
    row: &store::Row,
) -> Result<Option<Mail>, NoticeError> {
    let found = match contacts::find(conn, vault, tenant.id, row.contact) {
        Err(ContactError::Vault(VaultError::Forgotten)) => None,
        found => found?,
    };
    let Some(found) = found else { return Ok(None) };
    let person = people::find(conn, tenant.id, found.person)?;
    let locale = person.map_or(tenant.locale, |person| person.locale);
    let (at, until) = (told(tenant, locale, row.at), told(tenant, locale, row.until.unwrap_or(row.at)));
    let values = [("name", Arg::Text(&tenant.name)), ("at", Arg::Text(&at)), ("until", Arg::Text(&until))];
    let letter = Letter::written(locale, &format!("notice-{}", row.kind), &values);
    Ok(Some(found.contact.mail(letter)?))
}

/// A moment where the tenant is, as its people read it.
fn told(tenant: &Tenant, lang: Lang, at: DateTime<Utc>) -> String {
    let form = match lang {
        Lang::It => "%d/%m/%Y, %H:%M (%Z)",
        Lang::En => "%Y-%m-%d %H:%M (%Z)",
    };
    at.with_timezone(&tenant.zone).format(form).to_string()
}

fn wait(tries: i32) -> TimeDelta {
    let doubled = (1..tries.clamp(1, 16)).fold(FIRST_WAIT_S, |wait, _| wait.saturating_mul(2));
    TimeDelta::seconds(doubled.min(LONGEST_WAIT_S))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::text;

    /// Whatever is told has words in both languages, that mention what they must.
    #[test]
    fn every_notice_has_a_letter_in_both_languages() {
        let until = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let blocked = |is_last| Notice::Approvals(sca::Notice::Blocked { until, is_last });
        let all = [
            Notice::PasskeyAdded,
            Notice::PasskeyRevoked,
            Notice::DeviceBound,
            Notice::DeviceRevoked,
            Notice::RecoveryBegun,
            Notice::RecoveryDone,
            Notice::ContactAdded,
            Notice::ContactEnded,
            blocked(false),
            blocked(true),
            Notice::Approvals(sca::Notice::Barred),
        ];
        for (notice, lang) in all.into_iter().flat_map(|notice| [(notice, Lang::En), (notice, Lang::It)]) {
            let values = [("name", Arg::Text("Club")), ("at", Arg::Text("NOW")), ("until", Arg::Text("THEN"))];
            let [subject, body] = ["subject", "body"].map(|part| {
                let id = format!("mail-notice-{}-{part}", notice.word());
                text::find(lang, &id, &values).unwrap_or_else(|| panic!("{lang:?}: no {id}"))
            });
            assert!(subject.contains("Club") && body.contains("NOW"), "{subject}: {body}");
            assert_eq!(body.contains("THEN"), notice.until().is_some(), "{body}");
        }
    }

    #[test]
    fn what_fails_is_tried_later_and_later_and_never_later_than_an_hour() {
        let waits: Vec<i64> = [0, 1, 2, 3, 10, 100].map(|tries| wait(tries).num_seconds()).into();
        assert_eq!(waits, [10, 10, 20, 40, 3_600, 3_600]);
    }
}
