//! Who looked: every act on a person's data that the audit log has, newest first.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use minijinja::context;
use serde::Deserialize;

use super::ask::{Halt, Visitor};
use super::frame::Frame;
use super::words::When;
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
    let mut found = ask.platform.db.of(tenant).read(move |conn| audit::about(conn, tenant, me, before, most)).await?;
    let is_more = found.len() > usize::from(PER_PAGE);
    found.truncate(usize::from(PER_PAGE));
    let last = found.last().filter(|_| is_more);
    let older = last.map(|act| Cursor([act.seq]).encode(secret, LISTING));
    let look = |act: &Row| {
        context! {
            at => When::of(act.at, caller.tenant.zone, ask.lang),
            who => who(act, &me.to_string()),
            what => what(&act.action),
            is_refused => act.outcome == Outcome::Refused.word(),
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

/// The id of an action's words; a newer release may have written one that this one has no words for.
fn what(action: &str) -> String {
    let id = format!("page-act-{}", action.replace(['.', '_'], "-"));
    if find(Lang::En, &id, &[]).is_some() { id } else { "page-act-other".to_owned() }
}
