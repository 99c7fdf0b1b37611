//! Coming in by a passkey, until there are doors.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use uuid::Uuid;

use crate::identity::devices::{self, BoundBy, NewDevice};
use crate::identity::passkeys::{self, HolderKind, Opened, RelyingParty};
use crate::identity::people;
use crate::identity::sessions::{self, Held, Pair};
use crate::platform::ids::Ids;
use crate::platform::keyring::Tenant;
use crate::platform::problem::Problem;

/// One request at a door.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) tenant: Arc<Tenant>,
    pub(super) now: DateTime<Utc>,
    pub(super) ids: Ids,
    pub(super) party: RelyingParty,
}

/// What a browser answers with.
pub(super) struct Answer {
    pub(super) challenge: Uuid,
    pub(super) response: Vec<u8>,
    pub(super) held: Held,
}

/// Somebody who came in.
pub(super) struct Entered {
    pub(super) pair: Pair,
}

pub(super) fn begin(conn: &mut PgConnection, visit: &Visit) -> Result<Opened, Problem> {
    let kind = (HolderKind::Person, None);
    Ok(passkeys::start_sign_in(conn, &visit.ids, visit.now, &visit.party, visit.tenant.id, kind)?)
}

pub(super) fn finish(conn: &mut PgConnection, visit: &Visit, answer: &Answer) -> Result<Option<Entered>, Problem> {
    let (tenant, now) = (visit.tenant.id, visit.now);
    let kind = (tenant, HolderKind::Person);
    let judged = passkeys::finish_sign_in(conn, now, &visit.party, kind, answer.challenge, &answer.response)?;
    let Ok(signed_in) = judged else { return Ok(None) };
    let person = people::find(conn, tenant, signed_in.holder.id)?.filter(|person| !person.is_closed);
    let Some(person) = person else { return Ok(None) };
    let new = NewDevice { person: person.id, key: None, bound_by: BoundBy::OlderDevice };
    let Some(device) = devices::bind(conn, &visit.ids, now, tenant, &new)? else { return Ok(None) };
    let pair = sessions::open(conn, &visit.ids, now, tenant, (person.id, device), answer.held)?;
    Ok(Some(Entered { pair }))
}
