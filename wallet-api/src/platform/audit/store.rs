//! SQL of the tables `audit_entry`, `audit_head` and `audit_signed`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as SqlError;
use ledger::proof::{KeyId, PublicKey};
use uuid::Uuid;

use super::form::{Hash, Last, Row};
use super::head::{AuditHead, SignedAuditHead};
use super::model::{Action, ActorKind, Entry};

diesel::table! {
    audit_entry (tenant, seq) {
        tenant -> BigInt,
        seq -> BigInt,
        form -> SmallInt,
        at -> Timestamptz,
        actor_kind -> Text,
        actor_id -> Text,
        action -> Text,
        object_kind -> Text,
        object_id -> Text,
        subject -> Nullable<Uuid>,
        outcome -> Text,
        detail -> Text,
        hash -> Binary,
    }
}

diesel::table! {
    audit_head (tenant) {
        tenant -> BigInt,
        seq -> BigInt,
        hash -> Binary,
    }
}

diesel::table! {
    audit_signed (tenant, seq) {
        tenant -> BigInt,
        seq -> BigInt,
        hash -> Binary,
        signed_at -> Timestamptz,
        key -> Binary,
        next_key -> Nullable<Binary>,
        signature -> Binary,
        next_signature -> Nullable<Binary>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(audit_head, audit_signed);

/// Which entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only by this sort of actor.
    pub actor_kind: Option<&'static str>,
    /// Only by the one with this id.
    pub actor_id: Option<String>,
    /// Only this.
    pub action: Option<&'static str>,
    /// Only about this person.
    pub subject: Option<Uuid>,
    /// Only at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Only before this time.
    pub until: Option<DateTime<Utc>>,
}

/// Locks the end of a tenant's chain until the transaction ends.
pub(super) fn lock(conn: &mut PgConnection, tenant: i64) -> QueryResult<Last> {
    if let Some(last) = try_lock(conn, tenant)? {
        return Ok(last);
    }
    let none = Last::none(tenant);
    diesel::insert_into(audit_head::table)
        .values((
            audit_head::tenant.eq(tenant),
            audit_head::seq.eq(none.seq),
            audit_head::hash.eq(none.hash.as_slice()),
        ))
        .on_conflict(audit_head::tenant)
        .do_nothing()
        .execute(conn)?;
    try_lock(conn, tenant)?.ok_or(SqlError::NotFound)
}

fn try_lock(conn: &mut PgConnection, tenant: i64) -> QueryResult<Option<Last>> {
    let head = audit_head::table.find(tenant).select((audit_head::tenant, audit_head::seq, audit_head::hash));
    let found = head.for_update().first::<(i64, i64, Vec<u8>)>(conn).optional()?;
    found.map(|(tenant, seq, hash)| Ok(Last { tenant, seq, hash: hash_of(hash)? })).transpose()
}

/// Adds a row at the end of a chain that is locked.
pub(super) fn insert(conn: &mut PgConnection, row: &Row) -> QueryResult<()> {
    diesel::insert_into(audit_entry::table).values(row).execute(conn)?;
    diesel::update(audit_head::table.find(row.tenant))
        .set((audit_head::seq.eq(row.seq), audit_head::hash.eq(&row.hash)))
        .execute(conn)
        .map(drop)
}

/// Whether there is an entry of this action on this object.
pub(super) fn is_written(conn: &mut PgConnection, entry: &Entry) -> QueryResult<bool> {
    let same = audit_entry::table
        .filter(audit_entry::tenant.eq(entry.tenant))
        .filter(audit_entry::object_kind.eq(entry.object.kind()).and(audit_entry::object_id.eq(entry.object.id())))
        .filter(audit_entry::action.eq(entry.action.word()));
    diesel::select(diesel::dsl::exists(same)).get_result(conn)
}

/// A page of a tenant's entries before a seq, newest first.
pub(super) fn page(
    conn: &mut PgConnection,
    tenant: i64,
    filter: Filter,
    before: i64,
    limit: i64,
) -> QueryResult<Vec<Row>> {
    let Filter { actor_kind, actor_id, action, subject, from, until } = filter;
    let mut query = audit_entry::table
        .filter(audit_entry::tenant.eq(tenant).and(audit_entry::seq.lt(before)))
        .order(audit_entry::seq.desc())
        .limit(limit)
        .select(Row::as_select())
        .into_boxed();
    if let Some(kind) = actor_kind {
        query = query.filter(audit_entry::actor_kind.eq(kind));
    }
    if let Some(id) = actor_id {
        query = query.filter(audit_entry::actor_id.eq(id));
    }
    if let Some(action) = action {
        query = query.filter(audit_entry::action.eq(action));
    }
    if let Some(subject) = subject {
        query = query.filter(audit_entry::subject.eq(subject));
    }
    if let Some(from) = from {
        query = query.filter(audit_entry::at.ge(from));
    }
    if let Some(until) = until {
        query = query.filter(audit_entry::at.lt(until));
    }
    query.load(conn)
}

/// What staff did about a person before a seq, newest first, and looks by keys of theirs.
pub(super) fn by_staff_about(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    before: i64,
    limit: i64,
) -> QueryResult<Vec<Row>> {
    let by_staff = audit_entry::actor_kind.eq(ActorKind::Staff.word());
    audit_entry::table
        .filter(audit_entry::tenant.eq(tenant).and(audit_entry::subject.eq(person)))
        .filter(audit_entry::seq.lt(before))
        .filter(by_staff.or(audit_entry::action.eq(Action::CustomerLookedAt.word())))
        .order(audit_entry::seq.desc())
        .limit(limit)
        .select(Row::as_select())
        .load(conn)
}

/// Rows of a chain after a seq, in order.
pub(super) fn rows(conn: &mut PgConnection, tenant: i64, after: i64, limit: i64) -> QueryResult<Vec<Row>> {
    audit_entry::table
        .filter(audit_entry::tenant.eq(tenant).and(audit_entry::seq.gt(after)))
        .order(audit_entry::seq)
        .limit(limit)
        .select(Row::as_select())
        .load(conn)
}

/// Where a tenant's chain ends, as its head has it.
pub(super) fn head(conn: &mut PgConnection, tenant: i64) -> QueryResult<Option<(i64, Vec<u8>)>> {
    audit_head::table.find(tenant).select((audit_head::seq, audit_head::hash)).first(conn).optional()
}

/// Tenants whose heads nobody has signed yet.
pub(super) fn unsigned(conn: &mut PgConnection) -> QueryResult<Vec<i64>> {
    let same = audit_signed::tenant.eq(audit_head::tenant).and(audit_signed::seq.eq(audit_head::seq));
    audit_head::table
        .filter(audit_head::seq.gt(0))
        .filter(diesel::dsl::not(diesel::dsl::exists(audit_signed::table.filter(same))))
        .order(audit_head::tenant)
        .select(audit_head::tenant)
        .load(conn)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_signed)]
struct SignedRow {
    tenant: i64,
    seq: i64,
    hash: Vec<u8>,
    signed_at: DateTime<Utc>,
    key: Vec<u8>,
    next_key: Option<Vec<u8>>,
    signature: Vec<u8>,
    next_signature: Option<Vec<u8>>,
}

impl SignedRow {
    fn read(self) -> QueryResult<SignedAuditHead> {
        let head = AuditHead {
            tenant: self.tenant,
            seq: self.seq,
            hash: hash_of(self.hash)?,
            signed_us: self.signed_at.timestamp_micros(),
            key: KeyId(array(self.key)?),
            next: self.next_key.map(array).transpose()?.map(PublicKey),
        };
        let next_signature = self.next_signature.map(array).transpose()?;
        Ok(SignedAuditHead { head, signature: array(self.signature)?, next_signature })
    }
}

/// The last head of a tenant that was signed.
pub(super) fn last_signed(conn: &mut PgConnection, tenant: i64) -> QueryResult<Option<SignedAuditHead>> {
    let newest = audit_signed::table.filter(audit_signed::tenant.eq(tenant)).order(audit_signed::seq.desc());
    let found = newest.select(SignedRow::as_select()).first(conn).optional()?;
    found.map(SignedRow::read).transpose()
}

/// Signed heads of a tenant after a seq, in order.
pub(super) fn signed_after(
    conn: &mut PgConnection,
    tenant: i64,
    after: i64,
    limit: i64,
) -> QueryResult<Vec<SignedAuditHead>> {
    let found = audit_signed::table
        .filter(audit_signed::tenant.eq(tenant).and(audit_signed::seq.gt(after)))
        .order(audit_signed::seq)
        .limit(limit)
        .select(SignedRow::as_select())
        .load(conn)?;
    found.into_iter().map(SignedRow::read).collect()
}

/// Keeps a signed head; false when another node was faster.
pub(super) fn insert_signed(conn: &mut PgConnection, signed: &SignedAuditHead) -> QueryResult<bool> {
    let SignedAuditHead { head, signature, next_signature } = signed;
    let signed_at = DateTime::from_timestamp_micros(head.signed_us).unwrap_or_default();
    diesel::insert_into(audit_signed::table)
        .values((
            audit_signed::tenant.eq(head.tenant),
            audit_signed::seq.eq(head.seq),
            audit_signed::hash.eq(head.hash.as_slice()),
            audit_signed::signed_at.eq(signed_at),
            audit_signed::key.eq(head.key.0.as_slice()),
            audit_signed::next_key.eq(head.next.as_ref().map(|next| next.0.as_slice())),
            audit_signed::signature.eq(signature.as_slice()),
            audit_signed::next_signature.eq(next_signature.as_ref().map(<[u8; 64]>::as_slice)),
        ))
        .on_conflict((audit_signed::tenant, audit_signed::seq))
        .do_nothing()
        .execute(conn)
        .map(|added| added == 1)
}

fn hash_of(bytes: Vec<u8>) -> QueryResult<Hash> {
    array(bytes)
}

/// The table's checks allow no other length: a forger took them away.
fn array<const N: usize>(bytes: Vec<u8>) -> QueryResult<[u8; N]> {
    let wrong = |bytes: Vec<u8>| format!("{} bytes instead of {N} in the audit log", bytes.len());
    bytes.try_into().map_err(|bytes| SqlError::DeserializationError(wrong(bytes).into()))
}
