//! How a page is written: templates, the words of a language, and the headers every page has.
//!
//! Templates are embedded and escape whatever is put into them. Words come from the catalogues by `t("id", name=value)`; a
//! page without its words, or with a value that is not there, is not written at all.

use std::sync::LazyLock;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Environment, Error, ErrorKind, State, UndefinedBehavior, Value, context};

use super::ask::{Ask, Side, language};
use super::files::{SCRIPT_ADDRESS, STYLE_ADDRESS};
use crate::platform::http::{Face, Faces};
use crate::platform::keyring::Tenant;
use crate::platform::problem::Problem;
use crate::platform::text::{self, Arg, Lang};

/// Nothing is loaded but our own stylesheet and script, nothing stands inline, forms go to us alone, nobody frames us.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

const TEMPLATES: &[(&str, &str)] = &[
    ("frame.html", include_str!("templates/frame.html")),
    ("parts.html", include_str!("templates/parts.html")),
    ("message.html", include_str!("templates/message.html")),
    ("through.html", include_str!("templates/through.html")),
    ("home.html", include_str!("templates/home.html")),
    ("sign_in.html", include_str!("templates/sign_in.html")),
    ("by_mail.html", include_str!("templates/by_mail.html")),
    ("by_mail_code.html", include_str!("templates/by_mail_code.html")),
    ("by_mail_passkey.html", include_str!("templates/by_mail_passkey.html")),
    ("pay.html", include_str!("templates/pay.html")),
    ("approve.html", include_str!("templates/approve.html")),
    ("not_approved.html", include_str!("templates/not_approved.html")),
    ("payment.html", include_str!("templates/payment.html")),
    ("payments.html", include_str!("templates/payments.html")),
    ("devices.html", include_str!("templates/devices.html")),
    ("passkey_new.html", include_str!("templates/passkey_new.html")),
    ("contacts.html", include_str!("templates/contacts.html")),
    ("contact_code.html", include_str!("templates/contact_code.html")),
    ("consents.html", include_str!("templates/consents.html")),
    ("looks.html", include_str!("templates/looks.html")),
    ("staff_by_password.html", include_str!("templates/staff_by_password.html")),
    ("staff_home.html", include_str!("templates/staff_home.html")),
    ("staff_invitation.html", include_str!("templates/staff_invitation.html")),
    ("staff_passkey.html", include_str!("templates/staff_passkey.html")),
    ("staff_password.html", include_str!("templates/staff_password.html")),
    ("staff_sign_in.html", include_str!("templates/staff_sign_in.html")),
];

/// How refusals look below the pages' addresses: people read them.
pub const FACES: Faces = Faces(&[
    Face { below: Side::My.root(), language, write: |problem, lang| refusal(problem, lang, Side::My) },
    Face { below: Side::Staff.root(), language, write: |problem, lang| refusal(problem, lang, Side::Staff) },
]);

/// What stands around a page.
pub(super) struct Frame<'a> {
    /// What was asked.
    pub(super) ask: &'a Ask,
    /// Whose page it is.
    pub(super) tenant: &'a Tenant,
    /// Whether somebody is signed in.
    pub(super) is_in: bool,
    /// The status.
    pub(super) status: StatusCode,
}

impl Frame<'_> {
    /// Writes a page.
    pub(super) fn page(&self, template: &str, values: Value) -> Result<HttpResponse, Problem> {
        let Self { ask, tenant, .. } = self;
        let other = match ask.lang {
            Lang::En => Lang::It,
            Lang::It => Lang::En,
        };
        let frame = context! {
            tenant => tenant.name.clone(),
            base => ask.address(""),
            path => ask.req.path(),
            is_in => self.is_in,
            is_staff => ask.side == Side::Staff,
            other_lang => other.tag(),
            other_address => ask.in_language(other),
            ..values
        };
        write(self.status, template, ask.lang, frame)
    }
}

/// A refusal as a page. What machines are told is not what people need to know: kinds of refusals have words for them.
fn refusal(problem: &Problem, lang: Lang, side: Side) -> HttpResponse {
    let kind = match problem.status().as_u16() {
        403 => "refused",
        404 | 405 => "not-found",
        429 => "too-many",
        400..=499 => "unreadable",
        503 => "busy",
        _ => "broken",
    };
    let own = format!("page-problem-{}", problem.code());
    let id = if text::find(lang, &own, &[]).is_some() { own } else { format!("page-problem-{kind}") };
    let (title, detail) = (text::text(lang, &id, &[]), text::text(lang, &format!("{id}-detail"), &[]));
    let values = context! { title, detail, ..bare(side) };
    let written = write(problem.status(), "message.html", lang, values);
    let mut response = written.unwrap_or_else(|problem| problem.response(lang));
    if let Some(seconds) = problem.retry_after_s() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The page that leads on to itself.
pub(super) fn through(lang: Lang, side: Side) -> HttpResponse {
    write(StatusCode::OK, "through.html", lang, bare(side)).unwrap_or_else(|problem| problem.response(lang))
}

/// What stands around a page of no tenant.
fn bare(side: Side) -> Value {
    context! { is_in => false, is_staff => side == Side::Staff, tenant => "", other_lang => "", base => "" }
}

fn write(status: StatusCode, template: &str, lang: Lang, values: Value) -> Result<HttpResponse, Problem> {
    let values =
        context! { lang => lang.tag(), css => STYLE_ADDRESS.as_str(), js => SCRIPT_ADDRESS.as_str(), ..values };
    let written = ENGINE.get_template(template).and_then(|template| template.render(values));
    let html = written.map_err(|error| Problem::internal(&error))?;
    let mut answer = HttpResponseBuilder::new(status);
    answer
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CONTENT_LANGUAGE, lang.tag()))
        .insert_header((header::VARY, "accept-language, cookie"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        // With `no-referrer`, browsers would not say where a form comes from.
        .insert_header((header::REFERRER_POLICY, "same-origin"))
        .insert_header(("cross-origin-opener-policy", "same-origin"));
    Ok(answer.body(html))
}

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    match SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        Ok(syntax) => engine.set_syntax(syntax),
        Err(error) => tracing::error!(%error, "templates keep their blank lines"),
    }
    engine.add_function("t", words);
    for (name, source) in TEMPLATES {
        // A test writes every page: what cannot be read is found there.
        if let Err(error) = engine.add_template(name, source) {
            tracing::error!(%error, name, "a template cannot be read");
        }
    }
    engine
});

/// `t("id", name=value)`: the words of the page's language. Whole numbers count, everything else is text.
fn words(state: &State<'_, '_>, id: &str, args: Kwargs) -> Result<String, Error> {
    let lang = state.lookup("lang").and_then(|lang| Lang::from_tag(lang.as_str()?)).unwrap_or_default();
    let mut values = Vec::new();
    for name in args.args() {
        let value: Value = args.get(name)?;
        values.push((name, i64::try_from(value.clone()).ok().filter(|_| value.kind() == ValueKind::Number), value));
    }
    let texts: Vec<String> = values.iter().map(|(_, _, value)| value.to_string()).collect();
    let args: Vec<(&str, Arg<'_>)> = values
        .iter()
        .zip(&texts)
        .map(|((name, count, _), text)| (*name, count.map_or(Arg::Text(text.as_str()), Arg::Count)))
        .collect();
    text::find(lang, id, &args)
        .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("{} has no words {id}", lang.tag())))
}
