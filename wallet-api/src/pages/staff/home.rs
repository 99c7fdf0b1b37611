//! Who is signed in, with roles and hours, and what waits for a second pair of eyes.

use std::collections::{BTreeSet, HashMap};

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use diesel::PgConnection;
use minijinja::{Value, context};
use serde::Deserialize;
use uuid::Uuid;

use super::super::ask::Halt;
use super::super::frame::Frame;
use super::super::words::{When, hours};
use super::corrections::proposal;
use super::{Colleague, Desk, asked};
use crate::approvals;
use crate::identity::four_eyes::Proposal;
use crate::identity::operators::{self, HeldRole, Operator, OperatorError};
use crate::payments::Payments;
use crate::platform::keyring::Scope;
use crate::platform::problem::Problem;

/// Requests on the page; there are seldom more than a few.
const MOST: i64 = 100;

/// What has just happened.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wish {
    done: Option<String>,
}

/// The page.
pub(super) async fn show(colleague: Colleague, desk: Desk, wish: web::Query<Wish>) -> Result<HttpResponse, Halt> {
    let done = wish.into_inner().done.filter(|done| matches!(done.as_str(), "approved" | "rejected"));
    page(&colleague, &desk, &done.unwrap_or_default(), None).await
}

async fn page(colleague: &Colleague, desk: &Desk, news: &str, refused: Option<&Problem>) -> Result<HttpResponse, Halt> {
    let Colleague { ask, caller, me } = colleague;
    let (tenant, platform, may) = (&caller.tenant, &ask.platform, |scope| caller.require(scope).is_ok());
    let (may_decide, may_correct) = (may(Scope::Approvals), may(Scope::LedgerApprove) && may(Scope::LedgerRead));
    let asked = if may_decide { approvals::page(caller, platform, (false, None), MOST).await? } else { Vec::new() };
    let proposed = if may_correct { desk.books.waiting(caller, MOST).await? } else { Vec::new() };
    let (vault, number, id) = (platform.vault.clone(), tenant.id, me.id);
    let askers = asked.iter().map(|it| it.asked_eyes).chain(proposed.iter().map(|it| it.proposed_eyes));
    let askers: BTreeSet<i64> = askers.collect();
    let read = move |conn: &mut PgConnection| -> Result<(Operator, Names), OperatorError> {
        let mut names = Names::new();
        for eyes in askers {
            if let Some(name) = operators::name_of(conn, &vault, number, eyes)? {
                names.insert(eyes, name);
            }
        }
        Ok((operators::find(conn, &vault, number, id)?, names))
    };
    let (myself, names) = platform.db.of(number).read(read).await?;
    let mut roles = Vec::new();
    for held in &myself.roles {
        roles.push(role(colleague, &desk.hands.payments, held).await);
    }
    let requests = asked.iter().map(|it| request(colleague, it, &names));
    let proposals = proposed.iter().map(|it| proposal(colleague, it, &names));
    let status = refused.map_or(StatusCode::OK, Problem::status);
    let refused = refused.map(|problem| problem.body(ask.lang)).map(|body| {
        // Of a field there is one, and what is wrong with it says more.
        let wrong = body.errors.first().map(|wrong| wrong.detail.to_string());
        (body.title, wrong.unwrap_or(body.detail))
    });
    let values = context! {
        name => myself.name,
        email => myself.email,
        roles,
        may_decide => may_decide || may_correct,
        waiting => requests.chain(proposals).collect::<Vec<_>>(),
        news,
        refused,
    };
    Ok(Frame { ask, tenant, is_in: true, status }.page("staff_home.html", values)?)
}

/// Names of operators, by their number.
pub(super) type Names = HashMap<i64, String>;

/// A role, where and when it is in force, and whether it is now.
async fn role(Colleague { ask, caller, .. }: &Colleague, payments: &Payments, held: &HeldRole) -> Value {
    let role = held.role;
    let merchant = match role.merchant {
        // Only its name: where it cannot be had its id will do.
        Some(id) => match payments.merchants.get(&ask.platform, caller.tenant.id, id).await {
            Ok(merchant) => Some(merchant.name.clone()),
            Err(_unknown) => Some(id.to_string()),
        },
        None => None,
    };
    context! {
        word => role.role.word(),
        merchant,
        hours => role.hours.map(|its| hours(its, ask.lang)),
        is_in_force => caller.roles().contains(&(role.role, role.merchant)),
    }
}

/// A request that waits.
fn request(Colleague { ask, caller, .. }: &Colleague, it: &Proposal, names: &Names) -> Value {
    let (zone, lang) = (caller.tenant.zone, ask.lang);
    context! {
        id => it.id.to_string(),
        kind => "approvals",
        title => asked::title(it, lang),
        facts => asked::facts(it, zone, lang),
        letter => serde_json::to_string_pretty(&it.asked()).unwrap_or_default(),
        is_mine => it.asked_eyes == caller.eyes(),
        by => names.get(&it.asked_eyes).cloned(),
        number => it.asked_by.to_string(),
        at => When::of(it.asked_at, zone, lang),
        until => When::of(it.expires_at, zone, lang),
    }
}

/// Approves what somebody else asked for, and does it.
pub(super) async fn approve(
    colleague: Colleague,
    desk: Desk,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Halt> {
    let approved = desk.hands.approve(&colleague.caller, path.1).await.map(drop);
    told(&colleague, &desk, approved, "approved").await
}

/// Rejects it.
pub(super) async fn reject(
    colleague: Colleague,
    desk: Desk,
    path: web::Path<(String, Uuid)>,
) -> Result<HttpResponse, Halt> {
    let rejected = approvals::reject(&colleague.caller, &desk.hands.platform, path.1).await.map(drop);
    told(&colleague, &desk, rejected, "rejected").await
}

/// The page with what came of it: a refusal in its own words.
pub(super) async fn told(
    colleague: &Colleague,
    desk: &Desk,
    came: Result<(), Problem>,
    done: &str,
) -> Result<HttpResponse, Halt> {
    match came {
        Ok(()) => Ok(colleague.on_to(&format!("?done={done}"))),
        Err(problem) if problem.status().is_client_error() => page(colleague, desk, "", Some(&problem)).await,
        Err(problem) => Err(problem.into()),
    }
}
