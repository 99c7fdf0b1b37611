//! A real browser on our pages: Chromium, with an authenticator of its own, against a node.
//!
//! Where there is no Chromium these tests say that they were skipped.

use diesel::{Connection as _, PgConnection};
use serde_json::Value;
use tessera_tests::{Browser, TestApp};
use uuid::Uuid;
use wallet_api::identity::passkeys::{self, Holder, NewPasskey, RelyingParty};
use wallet_api::identity::people;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::ids::Ids;
use wallet_api::platform::text::Lang;

/// Makes a customer a person with a passkey of this browser's authenticator.
async fn person(app: &TestApp, browser: &Browser, customer: Uuid) {
    browser.go(&format!("{}/my/acme/sign-in", app.origin())).await;
    let (ids, now, tenant) = (Ids::system(), Clock::System.now(), app.world.tenant);
    let party = RelyingParty::new("localhost", &[app.origin()]).unwrap();
    let mut conn = PgConnection::establish(&app.db().url()).unwrap();
    people::ensure(&mut conn, now, tenant, customer, Lang::It).unwrap();
    let holder = Holder::person(customer);
    let new = NewPasskey { holder, user_name: "a@example.org", display_name: "a@example.org" };
    let opened = passkeys::start_registration(&mut conn, &ids, now, &party, tenant, &new).unwrap();
    let script = "return navigator.credentials.create(options(arguments[0])).then(answer)";
    let answer = browser.run_with(script, &opened.options).await;
    let answer = answer.as_str().unwrap().as_bytes();
    let whose = (tenant, holder);
    let made =
        passkeys::finish_registration(&mut conn, &ids, now, &party, whose, opened.challenge, answer, "Laptop").unwrap();
    assert!(made.is_ok(), "{made:?}");
}

fn session(cookies: &[Value]) -> Option<&Value> {
    cookies.iter().find(|cookie| cookie["name"] == "__Host-tessera-acme")
}

#[tokio::test]
async fn a_browser_signs_in_with_a_passkey_sees_its_devices_and_signs_out() {
    let Some(browser) = Browser::start("en").await else { return };
    let app = TestApp::start();
    let customer = app.world.customer("anna").await;
    person(&app, &browser, customer).await;

    browser.go(&format!("{}/my/acme/devices", app.origin())).await;
    assert_eq!(browser.at().await, "/my/acme/sign-in?next=/my/acme/devices", "a stranger is led to the sign-in");
    assert!(browser.title().await.starts_with("Sign in"), "{}", browser.title().await);
    browser.press("button.main").await;
    browser.wait_for_path("/my/acme/devices").await;

    let cookies = browser.cookies().await;
    let cookie = session(&cookies).expect("a session is kept");
    assert_eq!((&cookie["httpOnly"], &cookie["secure"]), (&true.into(), &true.into()), "{cookie}");
    assert_eq!((&cookie["sameSite"], &cookie["path"]), (&"Strict".into(), &"/".into()), "{cookie}");
    assert_eq!(browser.run("return document.cookie").await, "", "no script reads it");
    assert!(browser.text().await.contains("this device") && browser.text().await.contains("Laptop"));

    browser.press("nav button").await;
    browser.wait_for_path("/my/acme/sign-in").await;
    browser.wait_for_text("You are signed out.").await;
    assert!(session(&browser.cookies().await).is_none(), "nothing is kept");
    browser.go(&format!("{}/my/acme", app.origin())).await;
    assert_eq!(browser.at().await, "/my/acme/sign-in");
}

#[tokio::test]
async fn a_browser_without_the_passkey_is_told_so_and_stays_outside() {
    let Some(browser) = Browser::start("it").await else { return };
    let app = TestApp::start();
    let customer = app.world.customer("anna").await;
    person(&app, &browser, customer).await;
    browser.forget_passkeys().await;
    browser.go(&format!("{}/my/acme/sign-in", app.origin())).await;
    assert_eq!(browser.run("return document.documentElement.lang").await, "it");
    browser.press("button.main").await;
    browser.wait_for_text("Non è stata mostrata nessuna passkey").await;
    assert!(session(&browser.cookies().await).is_none());
}
