//! A real browser on our pages: Chromium, with an authenticator of its own, against a node that sends mail.
//!
//! Where there is no Chromium or no mail server these tests say that they were skipped.

mod staff;

use std::fs;
use std::path::Path;

use diesel::{Connection as _, PgConnection, RunQueryDsl as _};
use serde_json::{Value, json};
use tessera_tests::{Browser, MailServer, Rewards, Speech, TestApp, code_in, mails_for, nth_mail, run_sql};
use uuid::Uuid;
use wallet_api::consents;
use wallet_api::platform::audit::Actor;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::text::Lang;

/// A browser before a node, and the mail of whoever sits at it.
struct Desk {
    browser: Browser,
    app: TestApp,
    mails: MailServer,
}

impl Desk {
    /// None, and a line that says so, where something of it cannot be had.
    async fn set(lang: &str) -> Option<Self> {
        Self::with(Browser::start(lang).await?)
    }

    fn with(browser: Browser) -> Option<Self> {
        let mails = MailServer::start(Speech::Plain)?;
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

    /// Asks everybody for a consent.
    fn ask_consent(&self) {
        let mut conn = PgConnection::establish(&self.app.db().super_url()).unwrap();
        let english = "We may write to you about offers that fit what you buy. Not more than once a week.";
        let italian = "Possiamo scriverti di offerte adatte ai tuoi acquisti. Non più di una volta a settimana.";
        let words = [(Lang::En, english.to_owned()), (Lang::It, italian.to_owned())];
        let (now, tenant) = (Clock::System.now(), self.app.world.tenant);
        consents::publish(&mut conn, now, Actor::Operator, tenant, "marketing", &words).unwrap();
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

/// A shop's link leads into the wallet, though the strict cookie stays behind at first.
#[tokio::test]
async fn a_link_on_another_site_leads_in_without_a_second_sign_in() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    let link = format!("data:text/html,<a href={}/my/acme/devices>Pay</a>", desk.app.origin());
    browser.go(&link).await;
    browser.press("a").await;
    browser.wait_for_path("/my/acme/devices").await;
    browser.wait_for_text("this device").await;
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
    browser
        .run("window.answer = () => JSON.stringify({id: 'AA', rawId: 'AA', type: 'public-key', response: {}})")
        .await;
    browser.press("button.main").await;
    browser.wait_for_text("Il pagamento non è stato confermato").await;
    assert_eq!(desk.app.world.balance(customer, "available").await, 10_000);
    browser.press("button.main").await;
    browser.wait_for("form[data-passkey=get]").await;
    browser.press("button.main").await;
    browser.wait_for_text("È nei libri").await;
    assert_eq!(desk.app.world.balance(customer, "available").await, 7_450);
}

/// T17, T18: a synced passkey approves beside the key of the browser it was made in, and its copy elsewhere does not.
#[tokio::test]
async fn t17_a_synced_passkey_approves_with_this_browsers_key_and_its_copy_elsewhere_does_not() {
    let Some(browser) = Browser::start_synced("en").await else { return };
    let Some(desk) = Desk::with(browser) else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    desk.go("/devices").await;
    assert!(browser.text().await.contains("may be on several of your devices"), "the passkey is a synced one");
    let shop = desk.app.world.shop("shop", Rewards::PLENTY).await;
    let customer = desk.person();
    desk.app.world.top_up(customer, 10_000).await;
    let pay = format!("{}/my/acme/pay?merchant={}&amount=2550", desk.app.origin(), shop.merchant);
    approve(browser, &pay).await;
    browser.wait_for_text("It is in the books").await;
    assert_eq!(desk.app.world.balance(customer, "available").await, 7_450);

    // The same device comes in again, and is known.
    browser.press("nav button").await;
    browser.wait_for_path("/my/acme/sign-in").await;
    browser.press("button.main").await;
    browser.wait_for_path("/my/acme").await;
    desk.go("/devices").await;
    assert_eq!(count(browser, "[id^=device-]").await, 1);

    // Its key cannot be taken out of it.
    let keys = "const open = indexedDB.open('tessera'); \
        await new Promise((done) => { open.onsuccess = done; }); \
        const all = open.result.transaction('device').objectStore('device').getAll(); \
        await new Promise((done) => { all.onsuccess = done; }); \
        const own = all.result[0].privateKey; \
        return [own.extractable, await crypto.subtle.exportKey('jwk', own).then(() => 'out', (error) => error.name)];";
    let script = format!("return (async () => {{ {keys} }})()");
    assert_eq!(browser.run(&script).await, json!([false, "InvalidAccessError"]));
    // Without it this browser is as good as any other.
    desk.go("/devices").await;
    let forget = "return new Promise((done) => { indexedDB.deleteDatabase('tessera').onsuccess = () => done(true); })";
    browser.run(forget).await;
    approve(browser, &pay).await;
    browser.wait_for_text("device that is registered as yours").await;
    assert_eq!(desk.app.world.balance(customer, "available").await, 7_450);

    // Somebody has the person's cloud, and a browser of their own.
    let thief = Browser::start_synced("en").await.unwrap();
    browser.sync_passkeys_to(&thief).await;
    thief.go(&pay).await;
    thief.press("button.main").await;
    thief.wait_for_text("To be paid").await;
    approve(&thief, &pay).await;
    thief.wait_for_text("device that is registered as yours").await;
    assert_eq!(desk.app.world.balance(customer, "available").await, 7_450, "nothing moves");
    desk.app.world.assert_whole();
}

/// Asks for a payment and approves it, as far as the passkey goes.
async fn approve(browser: &Browser, pay: &str) {
    browser.go(pay).await;
    browser.press("button.main").await;
    browser.wait_for("form[data-passkey=get]").await;
    browser.press("button.main").await;
}

/// A device that was removed does not come back under its key; whoever shows the passkey there makes another.
#[tokio::test]
async fn t18_a_browser_that_was_removed_comes_back_as_a_new_device_only() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    desk.go("/devices").await;
    let old = browser.run("return document.querySelector('[id^=device-]').id").await;
    browser.press("[action*='/devices/'][action$='/remove'] button").await;
    browser.wait_for_text("The device was removed, and you are signed out.").await;
    browser.press("button.main").await;
    browser.wait_for_text("it then counts as a new device").await;
    assert!(desk.session().await.is_none());
    browser.press("button.main").await;
    browser.wait_for_path("/my/acme").await;
    desk.go("/devices").await;
    assert_ne!(browser.run("return document.querySelector('[id^=device-]').id").await, old);
    assert!(browser.text().await.contains("after a passkey of yours"));
}

#[tokio::test]
async fn a_contact_is_added_by_its_code_and_removed_and_the_last_one_stays() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    desk.go("/contacts").await;
    let text = browser.text().await;
    assert!(text.contains("anna@example.com") && text.contains("The last one stays"), "{text}");
    browser.write("#email", "anna at work\n").await;
    browser.wait_for("#email[aria-invalid=true]").await;
    browser.write("#email", "anna@work.example\n").await;
    browser.wait_for("#code").await;
    browser.write("#code", "00000000\n").await;
    browser.wait_for("#code[aria-invalid=true]").await;
    let code = code_in(&nth_mail(&desk.mails, "anna@work.example", 0).await);
    browser.write("#code", &format!("{code}\n")).await;
    browser.wait_for_text("The contact was added.").await;
    assert_eq!(count(browser, "[id^=contact-]").await, 2);
    browser.press("[action$='/remove'] button").await;
    browser.wait_for_text("The contact was removed.").await;
    let text = browser.text().await;
    assert!(text.contains("anna@work.example") && !text.contains("anna@example.com"), "{text}");
    assert_eq!(count(browser, "[action$='/remove']").await, 0, "the last one stays");
}

/// How many elements of the page there are.
async fn count(browser: &Browser, css: &str) -> u64 {
    browser.run_with("return document.querySelectorAll(arguments[0]).length", &json!(css)).await.as_u64().unwrap()
}

/// T18: the cookie alone, copied from wherever, changes no way in: the browser's key is not in it.
#[tokio::test]
async fn t18_a_copied_cookie_changes_no_way_in() {
    let Some(desk) = Desk::set("en").await else { return };
    desk.sign_up("anna@example.com").await;
    let cookie = desk.session().await.expect("a session is kept");
    let cookie = format!("{}={}", cookie["name"].as_str().unwrap(), cookie["value"].as_str().unwrap());
    let (api, origin) = (desk.app.api().with_key(""), desk.app.origin());
    let form = ("content-type", "application/x-www-form-urlencoded");
    let headers = [("cookie", cookie.as_str()), ("origin", origin.as_str()), form];
    for (path, body) in [("/contacts", "email=thief%40example.com"), ("/passkeys", "")] {
        let path = format!("/my/acme{path}");
        let reply = api.send(hyper::Method::POST, &path, &headers, body.into()).await.unwrap();
        let to = reply.headers.get("location").and_then(|to| to.to_str().ok()).unwrap_or_default();
        assert_eq!(reply.status, 303, "{path}");
        assert!(to.starts_with("/my/acme/sign-in?next="), "{path} leads to {to}");
        let reply = api.send(hyper::Method::POST, &path, &headers, format!("{body}&proof=a.b.c").into()).await.unwrap();
        assert_eq!(reply.status, 401, "{path} with a proof that is none");
    }
    assert!(mails_for(&desk.mails, "thief@example.com").is_empty());
    // The same by the browser, which has the key.
    desk.go("/contacts").await;
    desk.browser.write("#email", "anna@work.example\n").await;
    desk.browser.wait_for("#code").await;
}

#[tokio::test]
async fn a_further_passkey_is_added_and_named_and_the_last_one_stays() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    desk.go("/devices").await;
    assert_eq!(count(browser, "[action*='/passkeys/'][action$='/remove']").await, 0, "the only one stays");
    // It is made by another authenticator: one that has a passkey of the wallet makes no second.
    browser.forget_passkeys().await;
    browser.press("[action$='/passkeys'] button").await;
    browser.wait_for("form[data-passkey=create]").await;
    browser.write("#name", "Key ring").await;
    browser.press("button.main").await;
    browser.wait_for_text("The passkey was added.").await;
    let text = browser.text().await;
    assert!(text.contains("Laptop") && text.contains("Key ring"), "{text}");
    assert_eq!((count(browser, "[id^=passkey-]").await, count(browser, "[id^=device-]").await), (2, 1));
    browser.press("[id^=passkey-] [action$='/remove'] button").await;
    browser.wait_for_text("It was removed.").await;
    assert!(!browser.text().await.contains("Laptop"));
    assert_eq!(count(browser, "[action*='/passkeys/'][action$='/remove']").await, 0, "the last one stays");
    browser.press("nav button").await;
    browser.wait_for_path("/my/acme/sign-in").await;
    browser.press("button.main").await;
    browser.wait_for_path("/my/acme").await;
}

/// Whoever reads the mail comes back in, and for a day little can be paid and nothing older be ended.
#[tokio::test]
async fn a_wallet_is_recovered_by_mail_and_a_new_passkey_and_caution_is_told() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    desk.app.world.top_up(desk.person(), 30_000).await;
    let before = desk.session().await.expect("a session is kept");
    browser.press("nav button").await;
    browser.wait_for_path("/my/acme/sign-in").await;
    browser.forget_passkeys().await;
    browser.press("[href$='/recovery']").await;
    browser.wait_for_path("/my/acme/recovery").await;
    assert!(browser.text().await.contains("For a day after it, no more than €150.00 can be paid"));
    browser.write("#email", "anna@example.com\n").await;
    browser.wait_for("#code").await;
    let code = code_in(&nth_mail(&desk.mails, "anna@example.com", 1).await);
    browser.write("#code", &format!("{code}\n")).await;
    browser.wait_for("form[data-passkey=create]").await;
    browser.press("button.main").await;
    browser.wait_for_path("/my/acme/devices").await;
    let text = browser.text().await;
    assert!(text.contains("Your wallet is yours again") && text.contains("after a recovery"), "{text}");
    assert_ne!(desk.session().await.unwrap()["value"], before["value"]);
    browser.press("[id^=passkey-] [action$='/remove'] button").await;
    browser.wait_for_text("For a day after a recovery a new device ends nothing that was there before").await;
    let shop = desk.app.world.shop("shop", Rewards::PLENTY).await;
    desk.go(&format!("/pay?merchant={}&amount=15001", shop.merchant)).await;
    browser.press("button.main").await;
    browser.wait_for_text("Until a day after it, only little can be paid").await;
    assert_eq!(desk.app.world.balance(desk.person(), "available").await, 30_000);
}

#[tokio::test]
async fn a_consent_is_given_to_the_words_shown_and_taken_back_as_easily() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    desk.sign_up("anna@example.com").await;
    desk.ask_consent();
    let holds = || {
        let mut conn = PgConnection::establish(&desk.app.db().super_url()).unwrap();
        consents::holds(&mut conn, desk.app.world.tenant, desk.person(), "marketing").unwrap()
    };
    desk.go("/consents").await;
    let text = browser.text().await;
    assert!(text.contains("Not more than once a week") && text.contains("You do not agree"), "{text}");
    browser.press("[action$='/marketing'] button").await;
    browser.wait_for_text("It is noted that you agree.").await;
    assert!(holds());
    browser.press("[action$='/withdrawal'] button").await;
    browser.wait_for_text("you agree no more").await;
    assert!(!holds());
}

/// What of WCAG 2.2 AA a machine can see.
const AUDIT: &str = include_str!("support/audit.js");

impl Desk {
    /// Goes through every page, and has each seen under its name.
    async fn tour(&self, mut see: impl AsyncFnMut(&str)) {
        let browser = &self.browser;
        let shop = self.app.world.shop("shop", Rewards::PLENTY).await;
        self.go("/nothing").await;
        see("not-found").await;
        self.go("/sign-up").await;
        see("sign-up").await;
        browser.write("#email", "anna\n").await;
        browser.wait_for("[aria-invalid]").await;
        see("sign-up-mistake").await;
        browser.write("#email", "anna@example.com\n").await;
        browser.wait_for("#code").await;
        see("sign-up-code").await;
        let code = code_in(&nth_mail(&self.mails, "anna@example.com", 0).await);
        browser.write("#code", &format!("{code}\n")).await;
        browser.wait_for("form[data-passkey=create]").await;
        see("sign-up-passkey").await;
        browser.press("button.main").await;
        browser.wait_for_path("/my/acme").await;
        see("home").await;
        self.app.world.top_up(self.person(), 10_000).await;
        self.ask_consent();
        for (amount, name) in [(9_999_999, "payment-refused"), (2_550, "payment")] {
            self.go(&format!("/pay?merchant={}&amount={amount}&reference=R-7", shop.merchant)).await;
            if name == "payment" {
                see("pay").await;
            }
            browser.press("button.main").await;
            browser.wait_for("form[data-passkey=get]").await;
            if name == "payment" {
                see("approve").await;
                browser.run("window.answer = () => '{}'").await;
                browser.press("button.main").await;
                browser.wait_for(".news.bad").await;
                see("not-approved").await;
                browser.press("button.main").await;
                browser.wait_for("form[data-passkey=get]").await;
            }
            browser.press("button.main").await;
            browser.wait_for("h1.amount").await;
            see(name).await;
        }
        self.add_contact(&mut see).await;
        for page in ["payments", "devices", "contacts", "consents", "looks"] {
            self.go(&format!("/{page}")).await;
            browser.run("for (const folded of document.querySelectorAll('details')) folded.open = true").await;
            see(page).await;
        }
        self.go("/devices").await;
        browser.press("[action$='/passkeys'] button").await;
        browser.wait_for("form[data-passkey=create]").await;
        see("passkey-new").await;
        browser.press("nav button").await;
        browser.wait_for_text("✓").await;
        see("signed-out").await;
        self.go("/sign-in").await;
        see("sign-in").await;
        browser.forget_passkeys().await;
        browser.press("button.main").await;
        browser.wait_for("[data-say=failed]:not([hidden])").await;
        see("sign-in-mistake").await;
        self.recover(&mut see).await;
        self.staff_tour(&mut see).await;
    }

    async fn add_contact(&self, see: &mut impl AsyncFnMut(&str)) {
        let browser = &self.browser;
        self.go("/contacts").await;
        browser.write("#email", "anna at work\n").await;
        browser.wait_for("[aria-invalid]").await;
        see("contact-mistake").await;
        browser.write("#email", "anna@work.example\n").await;
        browser.wait_for("#code").await;
        see("contact-code").await;
        let code = code_in(&nth_mail(&self.mails, "anna@work.example", 0).await);
        browser.write("#code", &format!("{code}\n")).await;
        browser.wait_for(".news.good").await;
    }

    async fn recover(&self, see: &mut impl AsyncFnMut(&str)) {
        let browser = &self.browser;
        self.go("/recovery").await;
        see("recovery").await;
        browser.write("#email", "anna@work.example\n").await;
        browser.wait_for("#code").await;
        see("recovery-code").await;
        let code = code_in(&nth_mail(&self.mails, "anna@work.example", 1).await);
        browser.write("#code", &format!("{code}\n")).await;
        browser.wait_for("form[data-passkey=create]").await;
        see("recovery-passkey").await;
        browser.press("button.main").await;
        browser.wait_for(".news.good").await;
        see("recovered").await;
    }
}

/// In both languages, in light and in dark, as narrow as 320 pixels and as wide as a desk.
#[tokio::test]
async fn every_page_keeps_to_what_a_machine_can_see_of_wcag() {
    for lang in ["it", "en"] {
        let Some(desk) = Desk::set(lang).await else { return };
        let (browser, mut wrong, mut seen) = (&desk.browser, Vec::new(), 0);
        desk.tour(async |name| {
            seen += 1;
            for (scheme, width) in [("light", 320), ("dark", 320), ("light", 1280)] {
                let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
                browser.command("Emulation.setEmulatedMedia", &features).await;
                browser.resize(width, 800).await;
                let found = browser.run(AUDIT).await;
                wrong.extend(found.as_array().unwrap().iter().map(|one| format!("{name}, {scheme}, {width}: {one}")));
            }
        })
        .await;
        assert!(wrong.is_empty(), "{lang}: {wrong:#?}");
        assert!(seen >= 35, "{seen}");
    }
}

/// Pictures of every page, for `docs/screens`: `make screens`.
#[tokio::test]
#[ignore = "writes docs/screens: make screens"]
async fn screens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screens");
    fs::create_dir_all(&folder).unwrap();
    for (lang, width) in [("it", 360), ("en", 1280)] {
        let Some(desk) = Desk::set(lang).await else { return };
        let browser = &desk.browser;
        run_sql(&desk.app.db().super_url(), "UPDATE tenant SET name = 'Tessera Demo'");
        desk.tour(async |name| {
            browser.resize(width, 640).await;
            fs::write(folder.join(format!("{name}-{lang}-{width}.png")), browser.picture().await).unwrap();
        })
        .await;
    }
}
