//! SQL of the tables `passkey` and `challenge`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as SqlError;
use diesel::sql_types::{BigInt, Binary, Bool, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::challenge::{Asked, Purpose};
use super::model::{Holder, HolderKind, Passkey};
use crate::platform::db::{Arg, Columns, statement};
use crate::platform::webauthn::{PublicKey, Verified};

diesel::table! {
    passkey (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        holder_kind -> Text,
        holder -> Uuid,
        credential_id -> Binary,
        public_key -> Binary,
        counter -> BigInt,
        backup_eligible -> Bool,
        backed_up -> Bool,
        aaguid -> Uuid,
        name -> Text,
        created_at -> Timestamptz,
        last_used_at -> Nullable<Timestamptz>,
        locked_at -> Nullable<Timestamptz>,
        revoked_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    challenge (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        purpose -> Text,
        holder_kind -> Text,
        holder -> Nullable<Uuid>,
        nonce -> Binary,
        state -> Text,
        expires_at -> Timestamptz,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = passkey)]
struct Row {
    id: Uuid,
    holder_kind: String,
    holder: Uuid,
    credential_id: Vec<u8>,
    public_key: Vec<u8>,
    counter: i64,
    backup_eligible: bool,
    backed_up: bool,
    aaguid: Uuid,
    name: String,
    created_at: DateTime<Utc>,
    last_used_at: Option<DateTime<Utc>>,
    locked_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

/// False when the credential's id is on file.
pub(super) fn insert(conn: &mut PgConnection, tenant: i64, new: &Passkey) -> QueryResult<bool> {
    let added = diesel::insert_into(passkey::table)
        .values((
            passkey::tenant.eq(tenant),
            passkey::id.eq(new.id),
            passkey::holder_kind.eq(new.holder.kind.word()),
            passkey::holder.eq(new.holder.id),
            passkey::credential_id.eq(&new.credential_id),
            passkey::public_key.eq(new.key.to_cose()),
            passkey::counter.eq(i64::from(new.counter)),
            passkey::backup_eligible.eq(new.backup_eligible),
            passkey::backed_up.eq(new.backed_up),
            passkey::aaguid.eq(new.aaguid),
            passkey::name.eq(&new.name),
            passkey::created_at.eq(new.created_at),
        ))
        .on_conflict((passkey::tenant, passkey::credential_id))
        .do_nothing()
        .execute(conn)?;
    Ok(added == 1)
}

/// The credential of this id, kept from others until the transaction ends: its counter is read and written as one.
pub(super) fn find_locked(conn: &mut PgConnection, tenant: i64, credential_id: &[u8]) -> QueryResult<Option<Passkey>> {
    let row: Option<Row> = passkey::table
        .filter(passkey::tenant.eq(tenant).and(passkey::credential_id.eq(credential_id)))
        .select(Row::as_select())
        .for_update()
        .first(conn)
        .optional()?;
    row.map(Row::read).transpose()
}

/// The credentials of these ids that are these holders', kept from others until the transaction ends: in the order of their
/// keys, so that two never wait for each other.
pub(super) fn find_all_locked(
    conn: &mut PgConnection,
    tenant: i64,
    kind: HolderKind,
    (credentials, holders): (&[&[u8]], &[Uuid]),
) -> QueryResult<Vec<Passkey>> {
    let rows: Vec<Row> = passkey::table
        .filter(passkey::tenant.eq(tenant).and(passkey::credential_id.eq_any(credentials)))
        .filter(passkey::holder_kind.eq(kind.word()).and(passkey::holder.eq_any(holders)))
        .order(passkey::id)
        .select(Row::as_select())
        .for_update()
        .load(conn)?;
    rows.into_iter().map(Row::read).collect()
}

pub(super) fn holder_of(
    conn: &mut PgConnection,
    tenant: i64,
    kind: HolderKind,
    credential_id: &[u8],
) -> QueryResult<Option<Uuid>> {
    passkey::table
        .filter(passkey::tenant.eq(tenant).and(passkey::credential_id.eq(credential_id)))
        .filter(passkey::holder_kind.eq(kind.word()))
        .select(passkey::holder)
        .first(conn)
        .optional()
}

pub(super) fn all(conn: &mut PgConnection, tenant: i64, holder: Holder) -> QueryResult<Vec<Passkey>> {
    let rows: Vec<Row> = passkey::table
        .filter(passkey::tenant.eq(tenant))
        .filter(passkey::holder_kind.eq(holder.kind.word()).and(passkey::holder.eq(holder.id)))
        .order((passkey::created_at, passkey::id))
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::read).collect()
}

/// In the order of their keys, so that two never wait for each other.
pub(super) fn all_locked(conn: &mut PgConnection, tenant: i64, holder: Holder) -> QueryResult<Vec<Passkey>> {
    let theirs = passkey::holder_kind.eq(holder.kind.word()).and(passkey::holder.eq(holder.id));
    let rows = passkey::table.filter(passkey::tenant.eq(tenant).and(theirs)).order(passkey::id);
    let rows: Vec<Row> = rows.select(Row::as_select()).for_update().load(conn)?;
    rows.into_iter().map(Row::read).collect()
}

pub(super) fn live(conn: &mut PgConnection, tenant: i64, holder: Holder) -> QueryResult<Vec<Passkey>> {
    Ok(all(conn, tenant, holder)?.into_iter().filter(Passkey::is_live).collect())
}

/// Notes of passkeys, whose rows are locked, what they said when they were used.
pub(super) fn used(
    conn: &mut PgConnection,
    tenant: i64,
    uses: &[(Uuid, Verified)],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    const TEXT: &str = "UPDATE passkey SET counter = used.counter, backed_up = used.backed_up, last_used_at = ? \
        FROM (SELECT ?) AS used (id, counter, backed_up) WHERE passkey.tenant = ? AND passkey.id = used.id";
    let columns = Columns::of(uses)
        .with::<SqlUuid, _>(|(id, _)| *id)
        .with::<BigInt, _>(|(_, verified)| i64::from(verified.counter))
        .with::<Bool, _>(|(_, verified)| verified.backed_up);
    let args: [Arg<'_>; 3] = [&now.into_sql::<Timestamptz>(), &columns, &tenant.into_sql::<BigInt>()];
    statement::<()>(TEXT, &args).execute(conn).map(drop)
}

pub(super) fn lock(conn: &mut PgConnection, tenant: i64, id: Uuid, now: DateTime<Utc>) -> QueryResult<()> {
    diesel::update(passkey::table.find((tenant, id)).filter(passkey::locked_at.is_null()))
        .set(passkey::locked_at.eq(now))
        .execute(conn)
        .map(drop)
}

/// False when the holder has none of this id.
pub(super) fn rename(conn: &mut PgConnection, tenant: i64, holder: Holder, id: Uuid, name: &str) -> QueryResult<bool> {
    let theirs = passkey::table
        .find((tenant, id))
        .filter(passkey::holder_kind.eq(holder.kind.word()).and(passkey::holder.eq(holder.id)));
    Ok(diesel::update(theirs).set(passkey::name.eq(name)).execute(conn)? == 1)
}

/// False when the holder has none of this id. The first end stays on record.
pub(super) fn revoke(
    conn: &mut PgConnection,
    tenant: i64,
    holder: Holder,
    id: Uuid,
    now: DateTime<Utc>,
) -> QueryResult<bool> {
    let theirs = passkey::table
        .find((tenant, id))
        .filter(passkey::holder_kind.eq(holder.kind.word()).and(passkey::holder.eq(holder.id)));
    let ended =
        diesel::update(theirs.filter(passkey::revoked_at.is_null())).set(passkey::revoked_at.eq(now)).execute(conn)?;
    if ended > 0 {
        return Ok(true);
    }
    diesel::select(diesel::dsl::exists(theirs)).get_result(conn)
}

pub(super) fn keep(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    (purpose, kind): (Purpose, HolderKind),
    asked: &Asked,
    expires_at: DateTime<Utc>,
) -> QueryResult<()> {
    diesel::insert_into(challenge::table)
        .values((
            challenge::tenant.eq(tenant),
            challenge::id.eq(id),
            challenge::purpose.eq(purpose.word()),
            challenge::holder_kind.eq(kind.word()),
            challenge::holder.eq(asked.holder),
            challenge::nonce.eq(asked.nonce.as_slice()),
            challenge::state.eq(&asked.state),
            challenge::expires_at.eq(expires_at),
        ))
        .execute(conn)
        .map(drop)
}

/// One statement, so that of answers at once the second waits for the first and finds nothing.
pub(super) fn spend(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    (purpose, kind, holder): (Purpose, HolderKind, Option<Uuid>),
    now: DateTime<Utc>,
) -> QueryResult<Option<Asked>> {
    let open = challenge::table
        .find((tenant, id))
        .filter(challenge::purpose.eq(purpose.word()).and(challenge::holder_kind.eq(kind.word())))
        .filter(challenge::expires_at.gt(now));
    let returned = (challenge::holder, challenge::nonce, challenge::state);
    let row: Option<(Option<Uuid>, Vec<u8>, String)> = match holder {
        Some(holder) => {
            diesel::delete(open.filter(challenge::holder.eq(holder))).returning(returned).get_result(conn).optional()?
        }
        None => diesel::delete(open).returning(returned).get_result(conn).optional()?,
    };
    row.map(|(holder, nonce, state)| {
        let nonce = <[u8; 32]>::try_from(nonce).map_err(|_length| unreadable("a nonce"))?;
        Ok(Asked { holder, nonce, state })
    })
    .transpose()
}

/// Spends challenges, each of its holder, in one statement: those that were open, by their ids.
pub(super) fn spend_all(
    conn: &mut PgConnection,
    tenant: i64,
    (purpose, kind): (Purpose, HolderKind),
    asked: &[(Uuid, Uuid)],
    now: DateTime<Utc>,
) -> QueryResult<Vec<(Uuid, Asked)>> {
    const TEXT: &str = "DELETE FROM challenge USING (SELECT ?) AS asked (id, holder) \
        WHERE challenge.tenant = ? AND challenge.id = asked.id AND challenge.holder = asked.holder \
        AND purpose = ? AND holder_kind = ? AND expires_at > ? RETURNING challenge.id, challenge.holder, nonce, state";
    let columns = Columns::of(asked).with::<SqlUuid, _>(|(id, _)| *id).with::<SqlUuid, _>(|(_, holder)| *holder);
    let args: [Arg<'_>; 5] = [
        &columns,
        &tenant.into_sql::<BigInt>(),
        &purpose.word().into_sql::<Text>(),
        &kind.word().into_sql::<Text>(),
        &now.into_sql::<Timestamptz>(),
    ];
    let rows: Vec<(Uuid, Uuid, Vec<u8>, String)> =
        statement::<(SqlUuid, SqlUuid, Binary, Text)>(TEXT, &args).load(conn)?;
    let read = |(id, holder, nonce, state)| {
        let nonce = <[u8; 32]>::try_from(nonce).map_err(|_length: Vec<u8>| unreadable("a nonce"))?;
        Ok((id, Asked { holder: Some(holder), nonce, state }))
    };
    rows.into_iter().map(read).collect()
}

/// A challenge of a holder that can still be answered, and until when.
pub(super) fn open(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    (purpose, kind, holder): (Purpose, HolderKind, Uuid),
    now: DateTime<Utc>,
) -> QueryResult<Option<(Asked, DateTime<Utc>)>> {
    let row: Option<(Vec<u8>, String, DateTime<Utc>)> = challenge::table
        .find((tenant, id))
        .filter(challenge::purpose.eq(purpose.word()).and(challenge::holder_kind.eq(kind.word())))
        .filter(challenge::holder.eq(holder).and(challenge::expires_at.gt(now)))
        .select((challenge::nonce, challenge::state, challenge::expires_at))
        .first(conn)
        .optional()?;
    row.map(|(nonce, state, expires_at)| {
        let nonce = <[u8; 32]>::try_from(nonce).map_err(|_length| unreadable("a nonce"))?;
        Ok((Asked { holder: Some(holder), nonce, state }, expires_at))
    })
    .transpose()
}

pub(super) fn forget_expired(
    conn: &mut PgConnection,
    tenant: i64,
    limit: i64,
    now: DateTime<Utc>,
) -> QueryResult<usize> {
    const DELETE: &str = "DELETE FROM challenge WHERE tenant = $1 AND id IN (SELECT id FROM challenge \
        WHERE tenant = $1 AND expires_at <= $2 ORDER BY expires_at LIMIT $3)";
    diesel::sql_query(DELETE)
        .bind::<BigInt, _>(tenant)
        .bind::<Timestamptz, _>(now)
        .bind::<BigInt, _>(limit)
        .execute(conn)
}

impl Row {
    fn read(self) -> QueryResult<Passkey> {
        let kind = HolderKind::from_word(&self.holder_kind).ok_or_else(|| unreadable("a kind of holder"))?;
        Ok(Passkey {
            id: self.id,
            holder: Holder { kind, id: self.holder },
            credential_id: self.credential_id,
            key: PublicKey::from_cose(&self.public_key).map_err(|_fault| unreadable("a public key"))?,
            counter: u32::try_from(self.counter).map_err(|_range| unreadable("a counter"))?,
            backup_eligible: self.backup_eligible,
            backed_up: self.backed_up,
            aaguid: self.aaguid,
            name: self.name,
            created_at: self.created_at,
            last_used_at: self.last_used_at,
            locked_at: self.locked_at,
            revoked_at: self.revoked_at,
        })
    }
}

/// A column that holds what its table's checks do not allow.
fn unreadable(what: &'static str) -> SqlError {
    SqlError::DeserializationError(what.into())
}
