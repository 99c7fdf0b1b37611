//! SQL of the table `adjustment`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use diesel::result::Error as SqlError;
use uuid::Uuid;

use super::model::{Adjustment, Reason, Status};

diesel::table! {
    adjustment (tenant, id) {
        tenant -> BigInt,
        id -> Uuid,
        status -> Text,
        reason -> Text,
        words -> Text,
        salt -> Binary,
        transfers -> Text,
        effective_at -> Nullable<Timestamptz>,
        fingerprint -> Uuid,
        proposed_by -> BigInt,
        proposed_at -> Timestamptz,
        expires_at -> Timestamptz,
        decided_by -> Nullable<BigInt>,
        decided_at -> Nullable<Timestamptz>,
        decision -> Nullable<Text>,
        seq -> Nullable<BigInt>,
        code -> Nullable<Text>,
        proposed_eyes -> BigInt,
        decided_eyes -> Nullable<BigInt>,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = adjustment)]
struct Row {
    id: Uuid,
    status: String,
    reason: String,
    words: String,
    salt: Vec<u8>,
    transfers: String,
    effective_at: Option<DateTime<Utc>>,
    fingerprint: Uuid,
    proposed_by: i64,
    proposed_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    decided_by: Option<i64>,
    decided_at: Option<DateTime<Utc>>,
    decision: Option<String>,
    seq: Option<i64>,
    code: Option<String>,
    proposed_eyes: i64,
}

/// Which adjustments to list.
#[derive(Debug, Clone, Copy)]
pub struct Filter {
    /// Only these.
    pub status: Option<Status>,
    /// Of proposals, those whose time is over at this moment, or those whose is not.
    pub expired: Option<(bool, DateTime<Utc>)>,
    /// Only for this reason.
    pub reason: Option<Reason>,
}

/// Adds a proposal; false when there is one of its id.
pub(super) fn insert(conn: &mut PgConnection, tenant: i64, new: &Adjustment, fingerprint: Uuid) -> QueryResult<bool> {
    let transfers =
        serde_json::to_string(&new.transfers).map_err(|error| SqlError::SerializationError(error.into()))?;
    diesel::insert_into(adjustment::table)
        .values((
            adjustment::tenant.eq(tenant),
            adjustment::id.eq(new.id),
            adjustment::reason.eq(new.reason.word()),
            adjustment::words.eq(&new.words),
            adjustment::salt.eq(new.salt.as_slice()),
            adjustment::transfers.eq(transfers),
            adjustment::effective_at.eq(new.effective_at),
            adjustment::fingerprint.eq(fingerprint),
            adjustment::proposed_by.eq(new.proposed_by),
            adjustment::proposed_eyes.eq(new.proposed_eyes),
            adjustment::proposed_at.eq(new.proposed_at),
            adjustment::expires_at.eq(new.expires_at),
        ))
        .on_conflict((adjustment::tenant, adjustment::id))
        .do_nothing()
        .execute(conn)
        .map(|added| added == 1)
}

/// An adjustment, and the fingerprint of the request that proposed it.
pub(super) fn find(conn: &mut PgConnection, tenant: i64, id: Uuid) -> QueryResult<Option<(Adjustment, Uuid)>> {
    let row = adjustment::table.find((tenant, id)).select(Row::as_select()).first(conn).optional()?;
    row.map(|row| Ok((row.fingerprint, row.read()?))).transpose().map(|found| found.map(|(print, it)| (it, print)))
}

/// Decides a proposal of somebody else whose time is not over; nothing else is touched. Tells whether it was decided.
pub(super) fn decide(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    decided: Status,
    words: Option<&str>,
    (client, eyes, now): (i64, i64, DateTime<Utc>),
) -> QueryResult<bool> {
    let open = adjustment::table
        .find((tenant, id))
        .filter(adjustment::status.eq(Status::Proposed.word()))
        .filter(adjustment::expires_at.gt(now).and(adjustment::proposed_eyes.ne(eyes)));
    diesel::update(open)
        .set((
            adjustment::status.eq(decided.word()),
            adjustment::decided_by.eq(client),
            adjustment::decided_eyes.eq(eyes),
            adjustment::decided_at.eq(now),
            adjustment::decision.eq(words),
        ))
        .execute(conn)
        .map(|decided| decided == 1)
}

/// Notes the record that an approved one came to, and why it was refused, if it was. Again changes nothing.
pub(super) fn settle(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    seq: i64,
    code: Option<&str>,
) -> QueryResult<Option<Adjustment>> {
    let settled = if code.is_some() { Status::Refused } else { Status::Posted };
    let approved = adjustment::table.find((tenant, id)).filter(adjustment::status.eq(Status::Approved.word()));
    diesel::update(approved)
        .set((adjustment::status.eq(settled.word()), adjustment::seq.eq(seq), adjustment::code.eq(code)))
        .execute(conn)?;
    Ok(find(conn, tenant, id)?.map(|(adjustment, _)| adjustment))
}

/// The next adjustments before one, newest first.
pub(super) fn page(
    conn: &mut PgConnection,
    tenant: i64,
    filter: Filter,
    before: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> QueryResult<Vec<Adjustment>> {
    let mut query = adjustment::table
        .filter(adjustment::tenant.eq(tenant))
        .order((adjustment::proposed_at.desc(), adjustment::id.desc()))
        .limit(limit)
        .select(Row::as_select())
        .into_boxed();
    if let Some(status) = filter.status {
        query = query.filter(adjustment::status.eq(status.word()));
    }
    query = match filter.expired {
        Some((true, now)) => query.filter(adjustment::expires_at.le(now)),
        Some((false, now)) => query.filter(adjustment::expires_at.gt(now)),
        None => query,
    };
    if let Some(reason) = filter.reason {
        query = query.filter(adjustment::reason.eq(reason.word()));
    }
    if let Some((at, id)) = before {
        let earlier = adjustment::proposed_at.lt(at);
        query = query.filter(earlier.or(adjustment::proposed_at.eq(at).and(adjustment::id.lt(id))));
    }
    query.load::<Row>(conn)?.into_iter().map(Row::read).collect()
}

impl Row {
    fn read(self) -> QueryResult<Adjustment> {
        let unreadable = |what: &'static str| SqlError::DeserializationError(what.into());
        Ok(Adjustment {
            id: self.id,
            status: Status::from_word(&self.status).ok_or_else(|| unreadable("a status"))?,
            reason: Reason::from_word(&self.reason).ok_or_else(|| unreadable("a reason"))?,
            words: self.words,
            salt: self.salt.try_into().map_err(|_length| unreadable("a salt"))?,
            transfers: serde_json::from_str(&self.transfers).map_err(|_form| unreadable("transfers"))?,
            effective_at: self.effective_at,
            proposed_by: self.proposed_by,
            proposed_eyes: self.proposed_eyes,
            proposed_at: self.proposed_at,
            expires_at: self.expires_at,
            decided_by: self.decided_by,
            decided_at: self.decided_at,
            decision: self.decision,
            seq: self.seq,
            code: self.code,
        })
    }
}
