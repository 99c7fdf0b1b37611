//! Out-of-band codes: eight digits sent to a contact, said again by whoever can read what arrives there.
//!
//! [`ask`] makes a code, [`prove`] takes it, once, within [`LIFE`]. The caller gives the contact as a blind index, sends the
//! code (or something else, or nothing), and answers the same in each case: neither function knows whether anybody has that contact,
//! so neither can tell (T59). Not a factor for payments: [`ask`] proves a contact, at sign-up and recovery.
//!
//! Promise: of 10^8 codes each is as likely as another; the fifth wrong one ends it, also where a thousand come at once;
//! it is used by one transaction alone; whatever is wrong (another code, purpose or contact, no such id, too late, used) the answer
//! is the same and takes the same statement. Kept is an HMAC under the tenant's secret, so that who reads the table has no code.
//! Limits: [`PER_CONTACT`] codes an hour to a contact and [`PER_ADDRESS`] from an address: who knows a contact can use up its
//! hour, and then nobody is sent a code there. Both functions, given a connection, write: they need a transaction that is committed.
//! Not here: sending ([`platform::post`](crate::platform::post)), and what a proven contact is good for.
//! Source: OWASP ASVS 5.0, 6.5.2, 6.5.5, 6.6.2.

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::result::Error as SqlError;
use diesel::{Connection, PgConnection, QueryResult};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::platform::ids::Ids;
use crate::platform::keyring::Tenant;
use crate::platform::problem::{Describe, Problem};

/// How long a code can be used.
pub const LIFE: TimeDelta = TimeDelta::minutes(10);
/// Wrong tries that end a code.
pub const TRIES: i16 = 5;
/// Codes an hour for one contact.
pub const PER_CONTACT: i32 = 5;
/// Codes an hour from one address: a shop's customers come from one.
pub const PER_ADDRESS: i32 = 30;
/// The hour.
const WINDOW: TimeDelta = TimeDelta::hours(1);
/// Rows that are over, taken away with each code that is made: more than come, so they never pile up.
const SWEPT: i64 = 16;

/// A blind index: what stands for a contact or an address, and tells neither.
pub type Blind = [u8; 32];

/// What a code proves a contact for. One for one thing is none for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To become a customer.
    SignUp,
    /// To get back in.
    Recovery,
    /// To have it as one's own from now on.
    Contact,
}

impl Purpose {
    /// Its word in the table.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::Recovery => "recovery",
            Self::Contact => "contact",
        }
    }
}

/// For whom a code is, and who asks for it.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// What for.
    pub purpose: Purpose,
    /// The contact that proves itself.
    pub contact: Blind,
    /// Where the request comes from.
    pub address: Blind,
}

/// Eight digits. They are shown by [`reveal`](Self::reveal) alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// Each of the 10^8 as likely as another.
    fn draw(ids: &Ids) -> Self {
        const CODES: u32 = 100_000_000;
        // What lies above the last whole round is drawn again, or the lower codes would come more often.
        const FAIR: u32 = u32::MAX / CODES * CODES;
        loop {
            let mut bytes = [0; 4];
            ids.fill(&mut bytes);
            let drawn = u32::from_be_bytes(bytes);
            if drawn < FAIR {
                return Self(format!("{:08}", drawn % CODES));
            }
        }
    }

    /// The digits, for the letter that they go out in.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code(..)")
    }
}

/// A code that was made.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What it is said again under; no secret.
    pub id: Uuid,
    /// The code, for the contact alone.
    pub code: Code,
    /// Until when it can be used.
    pub expires_at: DateTime<Utc>,
}

/// Why no code was made.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// The contact, or the address, has had its codes of this hour; which one is not said.
    #[error("too many codes were asked for")]
    TooMany,
    /// The database failed.
    #[error("database call failed")]
    Database(#[from] SqlError),
}

impl Describe for CodeError {
    fn describe(&self) -> Problem {
        match self {
            Self::TooMany => {
                let remedy = "Look for one that was sent already, or wait an hour and ask again.";
                Problem::new(429, "codes-too-many", "Too many codes were asked for", remedy).retry_after(3_600)
            }
            Self::Database(error) => error.describe(),
        }
    }
}

/// Whether a contact was proved. A value and no error, since a try that failed counts: its transaction must be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a code that was not looked at proves nothing"]
pub enum Proven {
    /// It was; the code is used up.
    Yes,
    /// It was not, and why is nobody's to know.
    No,
}

/// What is said to prove a contact.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    /// Which code.
    pub id: Uuid,
    /// What for.
    pub purpose: Purpose,
    /// Whose contact.
    pub contact: Blind,
    /// The digits, as they came.
    pub code: &'a str,
}

/// Makes a code for a contact, whether or not anybody is known to have it.
///
/// # Errors
/// [`CodeError::TooMany`], with nothing changed.
pub fn ask(
    conn: &mut PgConnection,
    tenant: &Tenant,
    ids: &Ids,
    now: DateTime<Utc>,
    ask: &Ask,
) -> Result<Asked, CodeError> {
    let (id, code) = (ids.uuid_v7(now), Code::draw(ids));
    let expires_at = now.checked_add_signed(LIFE).unwrap_or(now);
    let mac = mac(tenant, id, ask.purpose, &ask.contact, code.reveal());
    conn.transaction(|conn| {
        sweep(conn, tenant.id, now, SWEPT)?;
        // In this order always, so that two never wait for each other.
        for (kind, who, most) in [("contact", ask.contact, PER_CONTACT), ("address", ask.address, PER_ADDRESS)] {
            if !store::count(conn, tenant.id, (kind, &who), now, (since(now), most))? {
                return Err(CodeError::TooMany);
            }
        }
        store::insert(conn, tenant.id, (id, ask.purpose.word()), (&ask.contact, &mac), (now, expires_at))?;
        Ok(Asked { id, code, expires_at })
    })
}

/// Takes a code, once. Every answer but the right one costs a try, and is the same.
///
/// # Errors
/// The database's.
pub fn prove(conn: &mut PgConnection, tenant: &Tenant, now: DateTime<Utc>, said: &Said<'_>) -> QueryResult<Proven> {
    let given = mac(tenant, said.id, said.purpose, &said.contact, said.code);
    conn.transaction(|conn| {
        // The try is counted before anything is compared: of a thousand at once, five are looked at, one after the other,
        // and the row stays theirs until they are done with it.
        let kept = store::take_try(conn, tenant.id, (said.id, said.purpose.word()), &said.contact, (now, TRIES))?;
        // Where there is none the comparison is made all the same.
        let is_right: bool = kept.as_deref().unwrap_or(&[0; 32]).ct_eq(&given).into();
        if is_right && kept.is_some() && store::use_up(conn, tenant.id, said.id)? {
            Ok(Proven::Yes)
        } else {
            Ok(Proven::No)
        }
    })
}

/// Takes away what is over, at most so many rows of each sort; tells how many codes it were.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    store::sweep_asked(conn, tenant, since(now), most)?;
    store::sweep_codes(conn, tenant, now, most)
}

fn since(now: DateTime<Utc>) -> DateTime<Utc> {
    now.checked_sub_signed(WINDOW).unwrap_or(now)
}

fn mac(tenant: &Tenant, id: Uuid, purpose: Purpose, contact: &Blind, code: &str) -> Blind {
    let parts: [&[u8]; 4] = [id.as_bytes(), purpose.word().as_bytes(), contact, code.as_bytes()];
    // HMAC-SHA-256 is 32 bytes by definition.
    Blind::try_from(tenant.secret.sign("contact-code", &parts).as_ref()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
