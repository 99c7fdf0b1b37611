//! Notices: what was done at somebody's doors is told to every contact of theirs, in their language.
//!
//! [`tell`] writes a row for each contact into the caller's transaction, so that what was done is told and what was not is not;
//! [`Housekeeper`](super::Housekeeper) sends them afterwards ([`send_due`]). Promise: at least once, also when a node dies in between:
//! a row goes when its mail server has taken the letter, or has said that it never will, or after [`GIVEN_UP`]. Twice is possible, and harmless.
//! A contact that does not open puts its own notice off, and no other. That a person is forgotten is told without a row ([`farewells`]).
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
/// The letter to whoever is forgotten. It is never a row: nothing would open its contact any more.
const FAREWELL: &str = "erased";

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
    letter: Written,
}

/// What became of a notice's letter.
enum Written {
    /// It can go.
    Mail(Mail),
    /// There is nobody left to tell.
    Nobody,
    /// Its contact does not open: somebody may repair it.
    Unread,
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
        let tried = match &due.letter {
            Written::Mail(mail) => post.try_once(mail).await.unwrap_or(Tried::Later),
            Written::Nobody => Tried::Never,
            Written::Unread => Tried::Later,
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
        let letter = written(conn, vault, tenant, &row)?;
        due.push(Due { id: row.id, at: row.at, tries: row.tries, letter });
    }
    Ok(due)
}

/// A notice as a letter to its contact. What is wrong with this one contact holds up no other notice.
fn written(conn: &mut PgConnection, vault: &Vault, tenant: &Tenant, row: &store::Row) -> Result<Written, NoticeError> {
    let found = match contacts::find(conn, vault, tenant.id, row.contact) {
        Ok(Some(found)) => found,
        Ok(None) | Err(ContactError::Vault(VaultError::Forgotten)) => return Ok(Written::Nobody),
        Err(ContactError::Vault(VaultError::Unsealed(_) | VaultError::Kms(_))) => return Ok(unread(tenant, row)),
        Err(error) => return Err(error.into()),
    };
    let person = people::find(conn, tenant.id, found.person)?;
    let locale = person.map_or(tenant.locale, |person| person.locale);
    let letter = letter(tenant, locale, &row.kind, (row.at, row.until));
    Ok(found.contact.mail(letter).map_or_else(|_no_address| unread(tenant, row), Written::Mail))
}

fn unread(tenant: &Tenant, row: &store::Row) -> Written {
    tracing::error!(tenant = tenant.id, notice.id = %row.id, "a contact does not open: its notice is put off");
    Written::Unread
}

fn letter(tenant: &Tenant, locale: Lang, kind: &str, (at, until): (DateTime<Utc>, Option<DateTime<Utc>>)) -> Letter {
    let (at, until) = (told(tenant, locale, at), told(tenant, locale, until.unwrap_or(at)));
    let values = [("name", Arg::Text(&tenant.name)), ("at", Arg::Text(&at)), ("until", Arg::Text(&until))];
    Letter::written(locale, &format!("notice-{kind}"), &values)
}

/// The letters to a person who is about to be forgotten, at each contact they have: whose key goes cannot be written to later, so
/// the caller hands them to the post in the transaction that destroys it. A contact that does not open gets none.
///
/// # Errors
/// The vault's, and the database's.
pub fn farewells(
    conn: &mut PgConnection,
    vault: &Vault,
    now: DateTime<Utc>,
    (tenant, person): (&Tenant, Uuid),
) -> Result<Vec<Mail>, ContactError> {
    let locale = people::find(conn, tenant.id, person)?.map_or(tenant.locale, |person| person.locale);
    let mut letters = Vec::new();
    for id in contacts::ids_of(conn, tenant.id, person)? {
        match contacts::find(conn, vault, tenant.id, id) {
            Ok(found) => {
                let letter = || letter(tenant, locale, FAREWELL, (now, None));
                letters.extend(found.and_then(|found| found.contact.mail(letter()).ok()));
            }
            Err(ContactError::Vault(VaultError::Forgotten | VaultError::Unsealed(_))) => {
                tracing::error!(tenant = tenant.id, contact.id = %id, "a contact does not open: it is not told of the erasure");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(letters)
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
        let all = all.map(|notice| (notice.word(), notice.until())).into_iter().chain([(FAREWELL, None)]);
        for ((word, until), lang) in all.flat_map(|told| [(told, Lang::En), (told, Lang::It)]) {
            let values = [("name", Arg::Text("Club")), ("at", Arg::Text("NOW")), ("until", Arg::Text("THEN"))];
            let [subject, body] = ["subject", "body"].map(|part| {
                let id = format!("mail-notice-{word}-{part}");
                text::find(lang, &id, &values).unwrap_or_else(|| panic!("{lang:?}: no {id}"))
            });
            assert!(subject.contains("Club") && body.contains("NOW"), "{subject}: {body}");
            assert_eq!(body.contains("THEN"), until.is_some(), "{body}");
        }
    }

    #[test]
    fn what_fails_is_tried_later_and_later_and_never_later_than_an_hour() {
        let waits: Vec<i64> = [0, 1, 2, 3, 10, 100].map(|tries| wait(tries).num_seconds()).into();
        assert_eq!(waits, [10, 10, 20, 40, 3_600, 3_600]);
    }
}
