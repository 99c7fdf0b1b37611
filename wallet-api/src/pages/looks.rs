//! Who looked: every act on a person's data that the audit log has, newest first; of the company's looks what `/v1/me/looks` tells.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use diesel::{PgConnection, QueryResult};
use minijinja::context;
use serde::Deserialize;

use super::ask::{Halt, Visitor};
use super::frame::Frame;
use super::words::When;
use crate::identity::break_glass::{self, Look};
use crate::platform::audit::form::Row;
use crate::platform::audit::{self, ActorKind, Outcome};
use crate::platform::http::Cursor;
use crate::platform::text::{Lang, find};

/// Acts on a page.
const PER_PAGE: u16 = 20;
/// What a cursor of this listing is good for.
const LISTING: &str = "page/looks";

/// Which page.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    before: Option<String>,
}

/// The page.
pub(super) async fn show(visitor: Visitor, wish: web::Query<Wish>) -> Result<HttpResponse, Halt> {
    let Visitor { ask, caller, .. } = &visitor;
    let (tenant, me) = visitor.who();
    let secret = &caller.tenant.secret;
    let before = wish.before.as_deref().map(|cursor| Cursor::<1>::decode(secret, LISTING, cursor)).transpose()?;
    let Cursor([before]) = before.unwrap_or(Cursor([i64::MAX]));
    let most = i64::from(PER_PAGE).saturating_add(1);
    let vault = ask.platform.vault.clone();
    let read = move |conn: &mut PgConnection| -> QueryResult<Vec<(Row, Look)>> {
        let rows = audit::about(conn, tenant, me, before, most)?;
        let looks = break_glass::looks(conn, &vault, (tenant, me), &rows)?;
        Ok(rows.into_iter().zip(looks).collect())
    };
    let mut found = ask.platform.db.of(tenant).read(read).await?;
    let is_more = found.len() > usize::from(PER_PAGE);
    found.truncate(usize::from(PER_PAGE));
    let last = found.last().filter(|_| is_more);
    let older = last.map(|(act, _)| Cursor([act.seq]).encode(secret, LISTING));
    let look = |(act, look): &(Row, Look)| {
        let roles = look.roles.iter().map(|role| known(ask.lang, "page-role", role)).collect::<Vec<_>>();
        context! {
            at => When::of(act.at, caller.tenant.zone, ask.lang),
            who => who(act, &me.to_string()),
            what => what(&act.action),
            is_refused => act.outcome == Outcome::Refused.word(),
            roles => roles.join(", "),
            at_what => look.what.as_ref().map(|what| known(ask.lang, "page-look-at", what)),
            is_emergency => look.is_emergency,
            reason => &look.reason,
        }
    };
    let values = context! { looks => found.iter().map(look).collect::<Vec<_>>(), older };
    Ok(Frame { ask, tenant: &caller.tenant, is_in: true, status: StatusCode::OK }.page("looks.html", values)?)
}

/// `me`, or the sort of actor.
fn who(act: &Row, me: &str) -> &'static str {
    let is = |kind: ActorKind| act.actor_kind == kind.word();
    if is(ActorKind::Person) && act.actor_id == me {
        return "me";
    }
    let kind = ActorKind::ALL.iter().find(|kind| is(**kind));
    kind.map_or("other", |kind| kind.word())
}

/// A word of the log as people read it; as it stands, when a newer release wrote one that this one has no words for.
fn known(lang: Lang, about: &str, word: &str) -> String {
    find(lang, &format!("{about}-{word}"), &[]).unwrap_or_else(|| word.to_owned())
}

/// The id of an action's words; a newer release may have written one that this one has no words for.
fn what(action: &str) -> String {
    let id = format!("page-act-{}", action.replace(['.', '_'], "-"));
    if find(Lang::En, &id, &[]).is_some() { id } else { "page-act-other".to_owned() }
}
