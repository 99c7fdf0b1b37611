//! A real browser on our pages: Chromium, with an authenticator of its own, against a node that sends mail.
//!
//! Where there is no Chromium or no mail server these tests say that they were skipped.

use diesel::{Connection as _, PgConnection, RunQueryDsl as _};
use serde_json::Value;
use tessera_tests::{Browser, MailServer, Rewards, Speech, TestApp, code_in, nth_mail};
use uuid::Uuid;

/// A browser before a node, and the mail of whoever sits at it.
struct Desk {
    browser: Browser,
    app: TestApp,
    mails: MailServer,
}

impl Desk {
    /// None, and a line that says so, where something of it cannot be had.
    async fn set(lang: &str) -> Option<Self> {
        let (mails, browser) = (MailServer::start(Speech::Plain)?, Browser::start(lang).await?);
        let app = TestApp::with_mail(&mails);
        Some(Self { browser, app, mails })
    }

    /// Goes to a page of the tenant.
    async fn go(&self, page: &str) {
        self.browser.go(&format!("{}/my/acme{page}", self.app.origin())).await;
    }

    /// Signs up, by keys alone where keys do.
    async fn sign_up(&self, email: &str) {
        let browser = &self.browser;
        self.go("/sign-up").await;
        browser.write("#email", &format!("{email}\n")).await;
        browser.wait_for("#code").await;
        let code = code_in(&nth_mail(&self.mails, email, 0).await);
        browser.write("#code", &format!("{code}\n")).await;
        browser.wait_for("form[data-passkey=create]").await;
        browser.write("#name", "Laptop").await;
        browser.press("button.main").await;
        browser.wait_for_path("/my/acme").await;
    }

    /// Who signed up.
    fn person(&self) -> Uuid {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = diesel::sql_types::Uuid)]
            id: Uuid,
        }
        let mut conn = PgConnection::establish(&self.app.db().super_url()).unwrap();
        let row: Row = diesel::sql_query("SELECT id FROM person").get_result(&mut conn).unwrap();
        row.id
    }

    /// The session's cookie.
    async fn session(&self) -> Option<Value> {
        self.browser.cookies().await.into_iter().find(|cookie| cookie["name"] == "__Host-tessera-acme")
    }
}

#[tokio::test]
async fn a_browser_signs_up_signs_in_and_out_and_no_script_reads_its_session() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    assert_eq!(browser.passkeys().await, 1);
    let cookie = desk.session().await.expect("a session is kept");
    assert_eq!((&cookie["httpOnly"], &cookie["secure"]), (&true.into(), &true.into()), "{cookie}");
    assert_eq!((&cookie["sameSite"], &cookie["path"]), (&"Strict".into(), &"/".into()), "{cookie}");
    assert_eq!(browser.run("return document.cookie").await, "", "no script reads it");

    browser.press("nav button").await;
    browser.wait_for_text("You are signed out.").await;
    assert!(desk.session().await.is_none(), "nothing is kept");
    desk.go("/devices").await;
    assert_eq!(browser.at().await, "/my/acme/sign-in?next=%2Fmy%2Facme%2Fdevices", "a stranger is led to the sign-in");
    assert!(browser.title().await.starts_with("Sign in"), "{}", browser.title().await);
    browser.press("button.main").await;
    browser.wait_for_path("/my/acme/devices").await;
    let text = browser.text().await;
    assert!(text.contains("this device") && text.contains("Laptop") && text.contains("Linux"), "{text}");
    desk.go("/looks").await;
    let text = browser.text().await;
    for act in ["Wallet opened", "Device added", "Signed in"] {
        assert!(text.contains(act), "{act}: {text}");
    }
}

#[tokio::test]
async fn a_browser_removes_its_device_and_is_outside_at_once() {
    let Some(desk) = Desk::set("it").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    let before = desk.session().await.expect("a session is kept");
    desk.go("/devices").await;
    browser.press("[action$='/remove'] button").await;
    browser.wait_for_text("Il dispositivo è stato rimosso").await;
    assert!(desk.session().await.is_none());
    // Its token is nothing any more, wherever it was copied to.
    let api = desk.app.api().with_key("");
    let cookie = format!("{}={}", before["name"].as_str().unwrap(), before["value"].as_str().unwrap());
    let reply = api.send(hyper::Method::GET, "/my/acme", &[("cookie", &cookie)], "".into()).await.unwrap();
    assert_eq!((reply.status, reply.headers["location"].to_str().unwrap()), (303, "/my/acme/sign-in"));
}

#[tokio::test]
async fn a_browser_without_the_passkey_is_told_so_and_stays_outside() {
    let Some(desk) = Desk::set("it").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    browser.press("nav button").await;
    browser.wait_for_path("/my/acme/sign-in").await;
    browser.forget_passkeys().await;
    assert_eq!(browser.run("return document.documentElement.lang").await, "it");
    browser.press("button.main").await;
    browser.wait_for_text("Non è stata mostrata nessuna passkey").await;
    assert!(desk.session().await.is_none());
}

#[tokio::test]
async fn a_mistake_stands_at_its_field_and_is_said_aloud() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.go("/sign-up").await;
    browser.write("#email", "anna at example\n").await;
    browser.wait_for("#email[aria-invalid=true][aria-describedby=email-wrong]").await;
    assert!(browser.title().await.starts_with("Error: "), "{}", browser.title().await);
    assert_eq!(browser.run("return document.getElementById('email-wrong').getAttribute('role')").await, "alert");
    assert_eq!(browser.run("return document.activeElement.id").await, "email");
    browser.write("#email", "anna@example.com\n").await;
    browser.wait_for("#code").await;
    browser.write("#code", "00000000\n").await;
    browser.wait_for("#code[aria-invalid=true]").await;
    assert!(browser.text().await.contains("This is not the code"));
}

#[tokio::test]
async fn a_browser_shows_a_payment_and_its_payee_and_pays_it_by_passkey_once() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    let shop = desk.app.world.shop("shop", Rewards::PLENTY).await;
    let customer = desk.person();
    desk.app.world.top_up(customer, 10_000).await;
    desk.go(&format!("/pay?merchant={}&amount=2550&reference=R-7", shop.merchant)).await;
    let text = browser.text().await;
    assert!(text.contains("€25.50") && text.contains("to Emporio") && text.contains("R-7"), "{text}");
    browser.press("button.main").await;
    browser.wait_for("form[data-passkey=get]").await;
    let text = browser.text().await;
    for part in ["€25.50", "to Emporio", "your wallet at acme", "€0.51 + 25 points", "Approve by"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(desk.app.world.balance(customer, "available").await, 10_000, "nothing moves before it is approved");
    browser.press("button.main").await;
    browser.wait_for_text("It is in the books").await;
    let at = browser.at().await;
    assert_eq!(desk.app.world.balance(customer, "available").await, 7_450);
    // Back, and once more: the same payment.
    browser.run("history.back()").await;
    browser.wait_for("form[action$='/pay'], form[action$='/approval']").await;
    desk.go("/payments").await;
    let text = browser.text().await;
    assert_eq!(text.matches("€25.50").count(), 1, "{text}");
    browser.go(&format!("{}{at}", desk.app.origin())).await;
    assert!(browser.text().await.contains("Paid"));
    desk.app.world.assert_whole();
}

#[tokio::test]
async fn a_payment_that_is_not_approved_is_not_paid_and_can_be_looked_at_again() {
    let Some(desk) = Desk::set("it").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    let shop = desk.app.world.shop("shop", Rewards::PLENTY).await;
    let customer = desk.person();
    desk.app.world.top_up(customer, 10_000).await;
    desk.go(&format!("/pay?merchant={}&amount=2550", shop.merchant)).await;
    browser.press("button.main").await;
    browser.wait_for("form[data-passkey=get]").await;
    // The browser answers, and somebody alters the answer on its way.
    browser.run("window.answer = () => JSON.stringify({id: 'AA', rawId: 'AA', type: 'public-key', response: {}})").await;
    browser.press("button.main").await;
    browser.wait_for_text("Il pagamento non è stato confermato").await;
    assert_eq!(desk.app.world.balance(customer, "available").await, 10_000);
    browser.press("button.main").await;
    browser.wait_for("form[data-passkey=get]").await;
    browser.press("button.main").await;
    browser.wait_for_text("È nei libri").await;
    assert_eq!(desk.app.world.balance(customer, "available").await, 7_450);
}
