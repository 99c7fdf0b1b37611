//! Consents: what is asked, in which words, and what somebody said of it. To take one back is as easy as to give it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use data_encoding::HEXLOWER;
use minijinja::{Value, context};
use serde::Deserialize;

use super::ask::{Halt, Visitor};
use super::frame::Frame;
use super::words::When;
use crate::consents::{Channel, Saying, Shown, Standing, grant, standing, withdraw};
use crate::platform::http::not_found;
use crate::platform::text::Lang;

/// What has just happened.
#[derive(Debug, Deserialize)]
pub(super) struct Wish {
    done: Option<String>,
}

/// What was agreed to: the text that was shown.
#[derive(Debug, Deserialize)]
pub(super) struct Agreed {
    version: i32,
    locale: String,
    digest: String,
}

/// The page.
pub(super) async fn show(visitor: Visitor, wish: web::Query<Wish>) -> Result<HttpResponse, Halt> {
    let done = wish.into_inner().done;
    let done = done.filter(|done| matches!(done.as_str(), "given" | "taken")).unwrap_or_default();
    page(&visitor, StatusCode::OK, &done).await
}

/// The page. `news` is what to say first: a word of ours, or nothing.
async fn page(visitor: &Visitor, status: StatusCode, news: &str) -> Result<HttpResponse, Halt> {
    let Visitor { ask, caller, .. } = visitor;
    let ((tenant, person), lang) = (visitor.who(), ask.lang);
    let asked = ask.platform.db.of(tenant).read(move |conn| standing(conn, tenant, person, lang)).await?;
    let line = |Standing { text, last }: &Standing| -> Value {
        let given = last.as_ref().filter(|last| last.is_granted);
        context! {
            purpose => text.purpose.clone(),
            words => text.words.clone(),
            version => text.version,
            locale => text.locale.tag(),
            digest => HEXLOWER.encode(&text.digest),
            is_given => given.is_some(),
            is_of_another => given.is_some_and(|given| given.version != text.version),
            since => last.as_ref().map(|last| When::of(last.at, caller.tenant.zone, lang)),
        }
    };
    let values = context! { consents => asked.iter().map(line).collect::<Vec<_>>(), news };
    Ok(Frame { ask, tenant: &caller.tenant, is_in: true, status }.page("consents.html", values)?)
}

impl Visitor {
    fn saying(&self) -> Saying {
        Saying { person: self.me.id, session: self.me.session, channel: Channel::Page }
    }
}

/// Agrees to what was shown, to the letter.
pub(super) async fn give(
    visitor: Visitor,
    path: web::Path<(String, String)>,
    form: web::Form<Agreed>,
) -> Result<HttpResponse, Halt> {
    let ((tenant, _), who, purpose) = (visitor.who(), visitor.saying(), path.into_inner().1);
    let Agreed { version, locale, digest } = form.into_inner();
    let locale = Lang::from_tag(&locale).ok_or_else(not_found)?;
    let digest = HEXLOWER.decode(digest.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    let shown = Shown { version, locale, digest: digest.ok_or_else(not_found)? };
    let now = visitor.ask.platform.clock.now();
    let give = move |conn: &mut _| grant(conn, now, tenant, who, &purpose, shown);
    match visitor.ask.platform.db.of(tenant).write(give).await {
        Ok(_act) => Ok(visitor.on_to("/consents?done=given")),
        Err(problem) if problem.code() == "consent-text-changed" => {
            page(&visitor, StatusCode::CONFLICT, "changed").await
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Takes back what was agreed to.
pub(super) async fn take_back(visitor: Visitor, path: web::Path<(String, String)>) -> Result<HttpResponse, Halt> {
    let ((tenant, _), who, purpose) = (visitor.who(), visitor.saying(), path.into_inner().1);
    let now = visitor.ask.platform.clock.now();
    let take = move |conn: &mut _| withdraw(conn, now, tenant, who, &purpose);
    visitor.ask.platform.db.of(tenant).write(take).await?;
    Ok(visitor.on_to("/consents?done=taken"))
}
