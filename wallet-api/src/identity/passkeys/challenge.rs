//! Challenges: what was asked, kept until it is answered or its time is over. One table for all ceremonies, so that none
//! can be answered twice, late, or as another.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{PgConnection, QueryResult};
use uuid::Uuid;

use super::{HolderKind, store};
use crate::platform::ids::Ids;

/// How long a challenge can be answered, seconds.
pub const CHALLENGE_SECONDS: i64 = 300;

/// What a challenge is for. An answer counts for this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::identity) enum Purpose {
    /// A new passkey.
    Register,
    /// A sign-in.
    SignIn,
    /// The approval of a payment.
    Approve,
}

impl Purpose {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign-in",
            Self::Approve => "approve",
        }
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::identity) struct Asked {
    /// Of whom; none is of anybody.
    pub(in crate::identity) holder: Option<Uuid>,
    /// What is to be signed.
    pub(in crate::identity) nonce: [u8; 32],
    /// What the answer is judged by beside it.
    pub(in crate::identity) state: String,
}

/// Keeps a challenge, under a new id, until the time given back.
pub(in crate::identity) fn keep(
    conn: &mut PgConnection,
    ids: &Ids,
    now: DateTime<Utc>,
    tenant: i64,
    (purpose, kind): (Purpose, HolderKind),
    asked: &Asked,
) -> QueryResult<(Uuid, DateTime<Utc>)> {
    let (id, expires_at) = (ids.uuid_v7(now), now + TimeDelta::seconds(CHALLENGE_SECONDS));
    store::keep(conn, tenant, id, (purpose, kind), asked, expires_at)?;
    Ok((id, expires_at))
}

/// Spends a challenge: of as many as try at once, one gets it. None when there is none of this id, purpose and holder, or
/// its time is over, or it was spent; which, nobody is told.
pub(in crate::identity) fn spend(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    (purpose, kind, holder): (Purpose, HolderKind, Option<Uuid>),
    now: DateTime<Utc>,
) -> QueryResult<Option<Asked>> {
    store::spend(conn, tenant, id, (purpose, kind, holder), now)
}

/// Spends challenges of one purpose, each of its holder: by their ids those that were open. Of as many as try at once, one
/// gets each; and nobody gets, or spends, what is another's.
pub(in crate::identity) fn spend_all(
    conn: &mut PgConnection,
    tenant: i64,
    (purpose, kind): (Purpose, HolderKind),
    asked: &[(Uuid, Uuid)],
    now: DateTime<Utc>,
) -> QueryResult<HashMap<Uuid, Asked>> {
    Ok(store::spend_all(conn, tenant, (purpose, kind), asked, now)?.into_iter().collect())
}

/// A challenge of a holder as it was asked, and until when it can be answered; none when it is spent or late. Looking spends
/// nothing.
pub(in crate::identity) fn still_open(
    conn: &mut PgConnection,
    tenant: i64,
    id: Uuid,
    (purpose, kind, holder): (Purpose, HolderKind, Uuid),
    now: DateTime<Utc>,
) -> QueryResult<Option<(Asked, DateTime<Utc>)>> {
    store::open(conn, tenant, id, (purpose, kind, holder), now)
}

/// Deletes a tenant's challenges that nobody answered in time, at most `limit`; how many they were.
///
/// # Errors
/// The database's.
pub fn forget_expired(conn: &mut PgConnection, tenant: i64, limit: i64, now: DateTime<Utc>) -> QueryResult<usize> {
    store::forget_expired(conn, tenant, limit, now)
}
