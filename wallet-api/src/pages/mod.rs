//! Pages: what people see of us in a browser, written by the server, in Italian and English.
//!
//! Each tenant's pages for its people lie below `/my/<slug>`, those for who works for it ([`staff`]) below `/staff/<slug>`: a
//! session of one side is none of the other. Promise: they work without script but for passkeys and the device's key,
//! which a browser only gives to one; nothing is loaded from elsewhere and nothing stands inline ([`frame`] has the policy);
//! every POST comes from a page of ours (its `Origin`, compared to the letter, beside `SameSite=Strict`); a session is a
//! cookie that no script reads; whoever is not signed in is led to the sign-in and learns nothing else. Refusals are pages too.
//! Not here: what happens (the other slices' public functions, never their tables), and the machine API, which knows no cookie.
//! Meant for: WCAG 2.2 AA.

mod ask;
mod by_mail;
mod consents;
mod contacts;
mod cookies;
mod device;
mod devices;
mod files;
mod frame;
mod home;
mod looks;
mod passkeys;
mod pay;
mod sign_in;
mod staff;
mod words;

use actix_web::middleware::from_fn;
use actix_web::web;

pub use frame::FACES;

use crate::platform::problem::Problem;

/// Most bytes of a form: a passkey's answer and a few words.
const FORM_BYTES: usize = 32 * 1024;

/// Who may open a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Anybody.
    All,
    /// Whoever is signed in; others are led to the sign-in.
    Me,
    /// An operator who is signed in; others are led to the operators' sign-in.
    Staff,
}

/// Every page: method, address, for whom. The tests go through all of them.
pub const PAGES: &[(&str, &str, For)] = &[
    ("GET", "/my/{tenant}", For::Me),
    ("GET", "/my/{tenant}/sign-in", For::All),
    ("POST", "/my/{tenant}/sign-in", For::All),
    ("GET", "/my/{tenant}/sign-up", For::All),
    ("POST", "/my/{tenant}/sign-up", For::All),
    ("GET", "/my/{tenant}/sign-up/{id}", For::All),
    ("POST", "/my/{tenant}/sign-up/{id}", For::All),
    ("POST", "/my/{tenant}/sign-up/{id}/passkey", For::All),
    ("GET", "/my/{tenant}/recovery", For::All),
    ("POST", "/my/{tenant}/recovery", For::All),
    ("GET", "/my/{tenant}/recovery/{id}", For::All),
    ("POST", "/my/{tenant}/recovery/{id}", For::All),
    ("POST", "/my/{tenant}/recovery/{id}/passkey", For::All),
    ("POST", "/my/{tenant}/sign-out", For::Me),
    ("GET", "/my/{tenant}/devices", For::Me),
    ("POST", "/my/{tenant}/devices/others", For::Me),
    ("POST", "/my/{tenant}/devices/{id}/rename", For::Me),
    ("POST", "/my/{tenant}/devices/{id}/remove", For::Me),
    ("POST", "/my/{tenant}/passkeys", For::Me),
    ("POST", "/my/{tenant}/passkeys/new", For::Me),
    ("POST", "/my/{tenant}/passkeys/{id}/rename", For::Me),
    ("POST", "/my/{tenant}/passkeys/{id}/remove", For::Me),
    ("GET", "/my/{tenant}/contacts", For::Me),
    ("POST", "/my/{tenant}/contacts", For::Me),
    ("GET", "/my/{tenant}/contacts/{id}", For::Me),
    ("POST", "/my/{tenant}/contacts/{id}", For::Me),
    ("POST", "/my/{tenant}/contacts/{id}/remove", For::Me),
    ("GET", "/my/{tenant}/consents", For::Me),
    ("POST", "/my/{tenant}/consents/{purpose}", For::Me),
    ("POST", "/my/{tenant}/consents/{purpose}/withdrawal", For::Me),
    ("GET", "/my/{tenant}/looks", For::Me),
    ("GET", "/my/{tenant}/pay", For::Me),
    ("POST", "/my/{tenant}/pay", For::Me),
    ("GET", "/my/{tenant}/payments", For::Me),
    ("GET", "/my/{tenant}/payments/{id}", For::Me),
    ("POST", "/my/{tenant}/payments/{id}/approval", For::Me),
    ("GET", "/staff/{tenant}", For::Staff),
    ("GET", "/staff/{tenant}/invitation", For::All),
    ("POST", "/staff/{tenant}/invitation", For::All),
    ("POST", "/staff/{tenant}/invitation/passkey", For::All),
    ("GET", "/staff/{tenant}/sign-in", For::All),
    ("POST", "/staff/{tenant}/sign-in", For::All),
    ("GET", "/staff/{tenant}/sign-in/password", For::All),
    ("POST", "/staff/{tenant}/sign-in/password", For::All),
    ("POST", "/staff/{tenant}/sign-out", For::Staff),
    ("POST", "/staff/{tenant}/approvals/{id}/approve", For::Staff),
    ("POST", "/staff/{tenant}/approvals/{id}/reject", For::Staff),
    ("POST", "/staff/{tenant}/corrections/{id}/approve", For::Staff),
    ("POST", "/staff/{tenant}/corrections/{id}/reject", For::Staff),
    ("GET", "/staff/{tenant}/password", For::Staff),
    ("POST", "/staff/{tenant}/password", For::Staff),
    ("POST", "/staff/{tenant}/password/end", For::Staff),
];

/// Adds the pages, and the two files they load.
pub fn routes(config: &mut web::ServiceConfig) {
    let form = web::FormConfig::default().limit(FORM_BYTES).error_handler(|_error, _req| {
        let remedy = "Go back to the page, load it again and send it once more.";
        Problem::new(422, "form-unreadable", "What was sent cannot be read", remedy).into()
    });
    files::routes(config);
    config.service(
        web::scope("/staff/{tenant}").app_data(form.clone()).wrap(from_fn(ask::guard)).configure(staff::routes),
    );
    config.service(
        web::scope("/my/{tenant}")
            .app_data(form)
            .wrap(from_fn(ask::guard))
            .route("", web::get().to(home::show))
            .service(
                web::resource("/sign-in").route(web::get().to(sign_in::show)).route(web::post().to(sign_in::enter)),
            )
            .configure(|config| by_mail_at(config, "/sign-up"))
            .configure(|config| by_mail_at(config, "/recovery"))
            .configure(own)
            .route("/sign-out", web::post().to(sign_in::leave))
            .route("/consents", web::get().to(consents::show))
            .route("/consents/{purpose}", web::post().to(consents::give))
            .route("/consents/{purpose}/withdrawal", web::post().to(consents::take_back))
            .route("/looks", web::get().to(looks::show))
            .service(web::resource("/pay").route(web::get().to(pay::show)).route(web::post().to(pay::intend)))
            .route("/payments", web::get().to(pay::list))
            .route("/payments/{id}", web::get().to(pay::outcome))
            .route("/payments/{id}/approval", web::post().to(pay::approve)),
    );
}

/// The three steps of coming in by a code that is mailed.
fn by_mail_at(config: &mut web::ServiceConfig, way: &str) {
    let (begin, code) = (web::resource(way), web::resource(format!("{way}/{{id}}")));
    config
        .service(begin.route(web::get().to(by_mail::show)).route(web::post().to(by_mail::begin)))
        .service(code.route(web::get().to(by_mail::show_code)).route(web::post().to(by_mail::prove)))
        .route(&format!("{way}/{{id}}/passkey"), web::post().to(by_mail::finish));
}

/// One's own ways in: devices, passkeys, contacts.
fn own(config: &mut web::ServiceConfig) {
    let (list, code) = (web::resource("/contacts"), web::resource("/contacts/{id}"));
    config
        .route("/devices", web::get().to(devices::show))
        .route("/devices/others", web::post().to(devices::sign_out_others))
        .route("/devices/{id}/rename", web::post().to(devices::rename))
        .route("/devices/{id}/remove", web::post().to(devices::remove))
        .route("/passkeys", web::post().to(passkeys::begin))
        .route("/passkeys/new", web::post().to(passkeys::add))
        .route("/passkeys/{id}/rename", web::post().to(passkeys::rename))
        .route("/passkeys/{id}/remove", web::post().to(passkeys::remove))
        .service(list.route(web::get().to(contacts::show)).route(web::post().to(contacts::begin)))
        .service(code.route(web::get().to(contacts::show_code)).route(web::post().to(contacts::add)))
        .route("/contacts/{id}/remove", web::post().to(contacts::remove));
}
