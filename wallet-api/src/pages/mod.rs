//! Pages: what people see of us in a browser, written by the server, in Italian and English.
//!
//! Each tenant's pages lie below `/my/<slug>`. Promise: they work without script but for passkeys and the device's key,
//! which a browser only gives to one; nothing is loaded from elsewhere and nothing stands inline ([`frame`] has the policy); every POST comes from
//! a page of ours (its `Origin`, compared to the letter, beside `SameSite=Strict`); a session is a cookie that no script
//! reads; whoever is not signed in is led to the sign-in and learns nothing else. Refusals are pages too.
//! Not here: what happens (the other slices' public functions, never their tables), and the machine API, which knows no cookie.
//! Meant for: WCAG 2.2 AA.

mod ask;
mod consents;
mod cookies;
mod device;
mod devices;
mod files;
mod frame;
mod home;
mod looks;
mod pay;
mod sign_in;
mod sign_up;
mod words;

use actix_web::middleware::from_fn;
use actix_web::web;

pub use frame::FACE;

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
    ("POST", "/my/{tenant}/sign-out", For::Me),
    ("GET", "/my/{tenant}/devices", For::Me),
    ("POST", "/my/{tenant}/devices/others", For::Me),
    ("POST", "/my/{tenant}/devices/{id}/rename", For::Me),
    ("POST", "/my/{tenant}/devices/{id}/remove", For::Me),
    ("POST", "/my/{tenant}/passkeys/{id}/rename", For::Me),
    ("POST", "/my/{tenant}/passkeys/{id}/remove", For::Me),
    ("GET", "/my/{tenant}/consents", For::Me),
    ("POST", "/my/{tenant}/consents/{purpose}", For::Me),
    ("POST", "/my/{tenant}/consents/{purpose}/withdrawal", For::Me),
    ("GET", "/my/{tenant}/looks", For::Me),
    ("GET", "/my/{tenant}/pay", For::Me),
    ("POST", "/my/{tenant}/pay", For::Me),
    ("GET", "/my/{tenant}/payments", For::Me),
    ("GET", "/my/{tenant}/payments/{id}", For::Me),
    ("POST", "/my/{tenant}/payments/{id}/approval", For::Me),
];

/// Adds the pages, and the two files they load.
pub fn routes(config: &mut web::ServiceConfig) {
    let form = web::FormConfig::default().limit(FORM_BYTES).error_handler(|_error, _req| {
        let remedy = "Go back to the page, load it again and send it once more.";
        Problem::new(422, "form-unreadable", "What was sent cannot be read", remedy).into()
    });
    files::routes(config);
    config.service(
        web::scope("/my/{tenant}")
            .app_data(form)
            .wrap(from_fn(ask::guard))
            .route("", web::get().to(home::show))
            .service(
                web::resource("/sign-in").route(web::get().to(sign_in::show)).route(web::post().to(sign_in::enter)),
            )
            .service(
                web::resource("/sign-up").route(web::get().to(sign_up::show)).route(web::post().to(sign_up::begin)),
            )
            .service(
                web::resource("/sign-up/{id}")
                    .route(web::get().to(sign_up::show_code))
                    .route(web::post().to(sign_up::prove)),
            )
            .route("/sign-up/{id}/passkey", web::post().to(sign_up::finish))
            .route("/sign-out", web::post().to(sign_in::leave))
            .route("/devices", web::get().to(devices::show))
            .route("/devices/others", web::post().to(devices::sign_out_others))
            .route("/devices/{id}/rename", web::post().to(devices::rename))
            .route("/devices/{id}/remove", web::post().to(devices::remove))
            .route("/passkeys/{id}/rename", web::post().to(devices::rename_passkey))
            .route("/passkeys/{id}/remove", web::post().to(devices::remove_passkey))
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
