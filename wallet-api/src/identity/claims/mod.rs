//! Claims: somebody says that a contact is theirs, is sent a code there, and says it.
//!
//! A claim is for one [`Purpose`] and good for one thing: [`open`] makes it with its code, [`prove`] takes the code, [`take`] takes
//! the claim, once. Promise: none of the three knows or tells whether anybody has the contact (T59); whatever is wrong with
//! one, the answer is the same; all of it is over within minutes, and nothing of the contact is kept in clear meanwhile.
//! What they write must be committed, refusals too. Not here: what to send, and what a proved claim is good for.

mod store;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::codes::{self, Ask, Blind, CodeError, Proven, Purpose, Said};
use super::contacts::{self, Contact, Kind};
use super::doors::Visit;
use crate::platform::problem::{Describe, Problem};
use crate::platform::text::Lang;
use crate::platform::vault::{Cell, Column, KeyType, TenantColumn, VaultError};

/// Where claimed contacts are sealed. They are nobody's yet, so they are the tenant's.
pub const SEALED: TenantColumn =
    TenantColumn { column: Column { table: "contact_claim", column: "value" }, key: "id", key_type: KeyType::Uuid };
/// How long a claim that was proved can be used: as long as the challenge that is given for it.
const USABLE: TimeDelta = TimeDelta::seconds(super::passkeys::CHALLENGE_SECONDS);

/// A contact that somebody says is theirs.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The claim's id, which is its code's.
    pub id: Uuid,
    /// The contact.
    pub contact: Contact,
    /// What it is found by.
    pub blind: Blind,
    /// The language they want to be written to in.
    pub locale: Lang,
}

/// A claim that was made.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The claim.
    pub claim: Claim,
    /// The code, for the contact alone.
    pub code: codes::Code,
    /// Until when it can be said.
    pub expires_at: DateTime<Utc>,
}

/// Why there is no claim.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Too many codes.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// The vault refuses.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The database failed.
    #[error("database call failed")]
    Database(#[from] diesel::result::Error),
}

impl Describe for ClaimError {
    fn describe(&self) -> Problem {
        match self {
            Self::Code(error) => error.describe(),
            Self::Vault(error) => error.describe(),
            Self::Database(error) => error.describe(),
        }
    }
}

/// Makes a claim and its code.
///
/// # Errors
/// [`CodeError::TooMany`], with nothing changed; the vault's.
pub fn open(
    conn: &mut PgConnection,
    visit: &Visit,
    purpose: Purpose,
    (contact, locale): (Contact, Lang),
) -> Result<Opened, ClaimError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let blind = contacts::index(conn, &visit.vault, tenant, &contact, now)?;
    let ask = Ask { purpose, contact: blind, address: visit.address };
    let asked = codes::ask(conn, &visit.tenant, &visit.ids, now, &ask)?;
    let sealed = visit.vault.seal(conn, &cell(tenant, asked.id), contact.reveal().as_bytes(), now)?;
    let claim = Claim { id: asked.id, contact, blind, locale };
    store::insert(conn, tenant, purpose, &claim, &sealed, asked.expires_at)?;
    Ok(Opened { claim, code: asked.code, expires_at: asked.expires_at })
}

/// Takes the code of a claim. None whatever is wrong, and a try is spent.
///
/// # Errors
/// The vault's; the database's.
pub fn prove(
    conn: &mut PgConnection,
    visit: &Visit,
    (id, purpose): (Uuid, Purpose),
    code: &str,
) -> Result<Option<Claim>, ClaimError> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let row = store::find(conn, tenant, (id, purpose), now)?;
    // Where there is none the code is looked for all the same.
    let contact = row.as_ref().map_or([0; 32], |row| row.blind);
    let proven = codes::prove(conn, &visit.tenant, now, &Said { id, purpose, contact, code })?;
    let (Some(row), Proven::Yes) = (row, proven) else { return Ok(None) };
    store::prove(conn, tenant, id, (now, now + USABLE))?;
    read(conn, visit, row).map(Some)
}

/// Takes a claim that was proved, once. None when there is none, or its time is over, or it was taken.
///
/// # Errors
/// The vault's; the database's.
pub fn take(
    conn: &mut PgConnection,
    visit: &Visit,
    (id, purpose): (Uuid, Purpose),
) -> Result<Option<Claim>, ClaimError> {
    let row = store::take(conn, visit.tenant.id, (id, purpose), visit.now)?;
    row.map(|row| read(conn, visit, row)).transpose()
}

/// Takes away claims that are over, at most so many; tells how many they were.
///
/// # Errors
/// The database's.
pub fn sweep(conn: &mut PgConnection, tenant: i64, now: DateTime<Utc>, most: i64) -> QueryResult<usize> {
    store::sweep(conn, tenant, now, most)
}

fn read(conn: &mut PgConnection, visit: &Visit, row: store::Row) -> Result<Claim, ClaimError> {
    let value = visit.vault.open_text(conn, &cell(visit.tenant.id, row.id), &row.value)?;
    let contact = Contact::kept(Kind::from_word(&row.kind), &value);
    Ok(Claim { id: row.id, contact, blind: row.blind, locale: Lang::from_tag(&row.locale).unwrap_or_default() })
}

fn cell(tenant: i64, id: Uuid) -> Cell {
    Cell::of_tenant(tenant, SEALED.column, id)
}
