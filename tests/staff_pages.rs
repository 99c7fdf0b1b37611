//! Operators' pages over plain HTTP: who is let in, what is told and decided there; the threats' numbers are those of
//! `docs/threats.md`.

use hyper::Method;
use serde_json::{Value, json};
use tessera_tests::{Payer, Reply, Staff, TestApp, create, staff};
use wallet_api::identity::operators::NewRole;
use wallet_api::platform::authenticator::Make;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::keyring::Role;

const RIGHT: &str = "correct horse battery staple";

/// A browser at a node's pages, with at most one cookie.
struct Tab<'a> {
    app: &'a TestApp,
    cookie: String,
}

fn html(reply: &Reply) -> String {
    assert_eq!(header(reply, "content-type"), "text/html; charset=utf-8");
    let text = String::from_utf8(reply.bytes.to_vec()).unwrap();
    let signs = [("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    signs.iter().fold(text, |text, (escaped, sign)| text.replace(escaped, sign))
}

fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// What stands between two pieces of a page.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    page.split_once(before).and_then(|(_, rest)| rest.split_once(after)).unwrap_or_else(|| panic!("{before}: {page}")).0
}

/// What a page asks a passkey for: the challenge's name, and the options.
fn asked(page: &str) -> (String, Value) {
    let options = serde_json::from_str(between(page, "data-options=\"", "\">\n")).unwrap();
    (between(page, "name=\"challenge\" value=\"", "\"").to_owned(), options)
}

impl<'a> Tab<'a> {
    fn new(app: &'a TestApp) -> Self {
        Self { app, cookie: String::new() }
    }

    fn with(app: &'a TestApp, name: &str, token: &str) -> Self {
        Self { app, cookie: format!("{name}={token}") }
    }

    /// Of somebody who signed in with their passkey.
    async fn of(app: &'a TestApp, who: &mut Staff) -> Self {
        let mut tab = Self::new(app);
        let (challenge, options) = asked(&html(&tab.get("/sign-in").await));
        let response = who.show(&options);
        let entered = tab.post("/sign-in", &[("challenge", &challenge), ("response", &response)]).await;
        assert_eq!((entered.status, header(&entered, "location")), (303, "/staff/acme"), "{}", html(&entered));
        tab.keep(&entered);
        tab
    }

    fn keep(&mut self, reply: &Reply) {
        header(reply, "set-cookie").split(';').next().unwrap().clone_into(&mut self.cookie);
    }

    async fn go(&self, path: &str) -> Reply {
        let api = self.app.api().with_key("");
        api.send(Method::GET, path, &[("cookie", &self.cookie)], "".into()).await.unwrap()
    }

    async fn get(&self, page: &str) -> Reply {
        self.go(&format!("/staff/acme{page}")).await
    }

    async fn post(&self, page: &str, fields: &[(&str, &str)]) -> Reply {
        self.post_from(&self.app.origin(), page, fields).await
    }

    async fn post_from(&self, origin: &str, page: &str, fields: &[(&str, &str)]) -> Reply {
        let form = fields.iter().map(|(name, value)| {
            let value: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            format!("{name}={value}")
        });
        let form = form.collect::<Vec<_>>().join("&");
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let headers = [("cookie", self.cookie.as_str()), ("origin", origin), kind];
        let api = self.app.api().with_key("");
        api.send(Method::POST, &format!("/staff/acme{page}"), &headers, form.into()).await.unwrap()
    }
}

fn to(asked: &Value, what: &str) -> String {
    format!("/approvals/{}/{what}", asked["approval"].as_str().unwrap())
}

#[tokio::test]
async fn an_invitation_makes_a_passkey_and_a_session_once_and_stands_in_no_address() {
    let app = TestApp::start();
    let invited = staff::invite(&app.world, &app.vault(), "anna@example.org", Some(staff::role(Role::Admin, None)));
    let (invitation, mut tab) = (invited.invitation.reveal(), Tab::new(&app));
    let wrong = tab.post("/invitation", &[("invitation", "tsi_nothing")]).await;
    assert!(wrong.status == 403 && html(&wrong).contains("You were not let in"), "{}", wrong.status);
    let page = tab.post("/invitation", &[("invitation", &format!(" {invitation}\n"))]).await;
    assert_eq!(page.status, 200);
    let (challenge, options) = asked(&html(&page));
    let (_, response) = create(&json!({"options": options}), Make::DEVICE);
    let made =
        [("invitation", invitation), ("challenge", &challenge), ("response", &response.to_string()), ("name", "Key")];
    let entered = tab.post("/invitation/passkey", &made).await;
    assert_eq!((entered.status, header(&entered, "location")), (303, "/staff/acme"));
    let cookie = header(&entered, "set-cookie");
    assert!(cookie.starts_with("__Host-tessera_staff-acme=tsa_"), "{cookie}");
    // Eight hours where a role may much, and no token to refresh: it ends when nothing is asked.
    assert!(cookie.ends_with("; Path=/; Max-Age=28800; Secure; HttpOnly; SameSite=Strict"), "{cookie}");
    assert_eq!(tab.post("/invitation", &[("invitation", invitation)]).await.status, 403, "it is used");
    assert_eq!(tab.post("/invitation/passkey", &made).await.status, 403);
    tab.keep(&entered);
    let page = html(&tab.get("").await);
    for part in ["Bruno Neri", "anna@example.org", "administration", "at any hour", "Nothing waits."] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // Signed out, the cookie's token opens nothing, wherever it was copied to.
    let out = tab.post("/sign-out", &[]).await;
    assert!(header(&out, "set-cookie").contains("=; Path=/; Max-Age=0"));
    assert_eq!(header(&tab.get("").await, "location"), "/staff/acme/sign-in");
}

/// T39: a session of one side is none of the other, under whatever name its token comes.
#[tokio::test]
async fn t39_an_operators_cookie_opens_no_persons_page_and_a_persons_no_operators() {
    let app = TestApp::start();
    let mut anna = Staff::with(&app, &[staff::role(Role::Admin, None)]).await;
    let bruno = Payer::new(&app.world, "bruno", Make::DEVICE).await;
    let hers = Tab::of(&app, &mut anna).await;
    assert_eq!(hers.get("").await.status, 200);
    let token = hers.cookie.split_once('=').unwrap().1.to_owned();
    let person = Tab::with(&app, "__Host-tessera-acme", &bruno.api.key);
    assert_eq!(person.go("/my/acme").await.status, 200);
    for (tab, path, to) in [
        (&hers, "/my/acme", "/my/acme/sign-in"),
        (&Tab::with(&app, "__Host-tessera-acme", &token), "/my/acme", "/my/acme/sign-in"),
        (&person, "/staff/acme", "/staff/acme/sign-in"),
        (&Tab::with(&app, "__Host-tessera_staff-acme", &bruno.api.key), "/staff/acme", "/staff/acme/sign-in"),
        (&Tab::with(&app, "__Host-tessera_staff-acme", &app.api().key), "/staff/acme", "/staff/acme/sign-in"),
    ] {
        let reply = tab.go(path).await;
        assert_eq!((reply.status, header(&reply, "location")), (303, to), "{path} with {}", tab.cookie);
    }
    assert_eq!(hers.go("/staff/nobody").await.status, 303, "nor another tenant's");
}

/// T41: who asked decides nothing on the page either; another does, once, and what may not be is refused in the API's words.
#[tokio::test]
async fn t41_who_asked_decides_nothing_on_the_page_and_another_does_once() {
    let app = TestApp::start();
    let admin = [staff::role(Role::Admin, None)];
    let (mut anna, mut bruno) = (Staff::with(&app, &admin).await, Staff::with(&app, &admin).await);
    let mut finance = Staff::with(&app, &[staff::role(Role::Finance, None)]).await;
    let mut clerk = Staff::with(&app, &[staff::role(Role::Marketing, None)]).await;
    let levels = json!({"T0": {"stored_minor": 15_000}, "T1": {}, "T2": {}, "T3": {}});
    let asked = anna.api.post("/v1/limit-tables", &json!({"levels": levels})).await.expect(202);
    let (hers, his) = (Tab::of(&app, &mut anna).await, Tab::of(&app, &mut bruno).await);
    let page = html(&hers.get("").await);
    assert!(page.contains("You asked for this: somebody else decides it.") && !page.contains("/approve"), "{page}");
    for what in ["approve", "reject"] {
        let refused = hers.post(&to(&asked, what), &[]).await;
        assert_eq!(refused.status, 403);
        assert!(html(&refused).contains("Who proposed it may not decide it"), "{what}");
    }
    for (who, status, words) in
        [(&mut finance, 404, "Nobody asked for this"), (&mut clerk, 403, "Your roles do not allow this")]
    {
        let tab = Tab::of(&app, who).await;
        assert!(!html(&tab.get("").await).contains("New table of limits"));
        let refused = tab.post(&to(&asked, "approve"), &[]).await;
        assert_eq!(refused.status, status);
        assert!(html(&refused).contains(words), "{words}");
    }
    assert_eq!(app.api().get("/v1/limit-tables").await.expect(200), json!([]), "nothing is decided yet");
    let page = html(&his.get("").await);
    for part in
        ["New table of limits", "Bruno Neri", "in the wallet €150.00; a payment without limit", "the approval on"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    for _ in 0..2 {
        let approved = his.post(&to(&asked, "approve"), &[]).await;
        assert_eq!((approved.status, header(&approved, "location")), (303, "/staff/acme?done=approved"));
    }
    assert_eq!(app.api().get("/v1/limit-tables").await.expect(200).as_array().unwrap().len(), 1);
    let late = his.post(&to(&asked, "reject"), &[]).await;
    assert_eq!(late.status, 409);
    assert!(html(&late).contains("There is nothing to confirm any more"));
}

/// T41: the same of corrections of the books.
#[tokio::test]
async fn t41_a_correction_of_the_books_is_decided_on_the_page_by_another_who_says_why_they_refuse() {
    let app = TestApp::start();
    let finance = [staff::role(Role::Finance, None)];
    let (mut anna, mut bruno) = (Staff::with(&app, &finance).await, Staff::with(&app, &finance).await);
    let cash =
        app.api().post("/v1/ledger/accounts", &json!({"asset": "EUR", "normal_side": "debit"})).await.expect(201);
    let wallet = app.api().post("/v1/ledger/accounts", &json!({"asset": "EUR", "floor": "0"})).await.expect(201);
    let moved = json!({"debit": cash["id"], "credit": wallet["id"], "amount": "500", "asset": "EUR"});
    let wish = json!({"reason": "error", "text": "Order 1042 was captured twice", "transfers": [moved]});
    let mut proposals = Vec::new();
    for _ in 0..2 {
        let proposed = anna.api.post("/v1/ledger/adjustments", &wish).await.expect(201);
        proposals.push(format!("/corrections/{}", proposed["id"].as_str().unwrap()));
    }
    let (hers, his) = (Tab::of(&app, &mut anna).await, Tab::of(&app, &mut bruno).await);
    let refused = hers.post(&format!("{}/approve", proposals[0]), &[]).await;
    assert!(refused.status == 403 && html(&refused).contains("Who proposed it may not decide it"));
    let page = html(&his.get("").await);
    for part in ["Correction of the books", "wrongly posted", "Order 1042 was captured twice", "€5.00 from"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let balance = async || {
        let account =
            app.api().get(&format!("/v1/ledger/accounts/{}", wallet["id"].as_str().unwrap())).await.expect(200);
        account["balance"].as_str().unwrap().to_owned()
    };
    assert_eq!(balance().await, "0", "nothing moves before");
    let approved = his.post(&format!("{}/approve", proposals[0]), &[]).await;
    assert_eq!((approved.status, header(&approved, "location")), (303, "/staff/acme?done=approved"));
    assert_eq!(balance().await, "500");
    let reject = format!("{}/reject", proposals[1]);
    let silent = his.post(&reject, &[("text", " ")]).await;
    assert!(silent.status == 422 && html(&silent).contains("1 to 500 characters"), "{}", html(&silent));
    let rejected = his.post(&reject, &[("text", "it was captured once")]).await;
    assert_eq!((rejected.status, header(&rejected, "location")), (303, "/staff/acme?done=rejected"));
    let told = app.api().get(&proposals[1].replace("/corrections", "/v1/ledger/adjustments")).await.expect(200);
    assert_eq!((&told["status"], &told["decision"]), (&json!("rejected"), &json!("it was captured once")));
    app.world.assert_whole();
}

/// A form of another site, or one that does not say where it comes from, decides nothing and signs nobody out.
#[tokio::test]
async fn a_form_from_elsewhere_decides_nothing() {
    let app = TestApp::start();
    let mut bruno = Staff::with(&app, &[staff::role(Role::Admin, None)]).await;
    let asked = app.api().post("/v1/limit-tables", &json!({})).await.expect(202);
    let tab = Tab::of(&app, &mut bruno).await;
    for origin in ["https://evil.test", "null", ""] {
        for page in [&to(&asked, "approve"), &to(&asked, "reject"), "/password/end", "/sign-out"] {
            assert_eq!(tab.post_from(origin, page, &[]).await.status, 403, "{page} from {origin:?}");
        }
    }
    let waits = bruno.api.get("/v1/approvals").await.expect(200);
    assert_eq!(waits["items"][0]["status"], "pending");
    let rejected = tab.post(&to(&asked, "reject"), &[]).await;
    assert_eq!((rejected.status, header(&rejected, "location")), (303, "/staff/acme?done=rejected"));
    assert_eq!(bruno.api.get("/v1/approvals").await.expect(200)["items"], json!([]));
}

/// T7: whatever is wrong with a password, the page is the same to the byte; T9: and the passkeys' door stays open.
#[tokio::test]
async fn t07_t09_a_wrong_password_reads_like_an_unknown_address_and_leaves_the_passkey_alone() {
    let app = TestApp::start();
    let mut anna = Staff::with(&app, &[staff::role(Role::Marketing, None)]).await;
    let bruno = Staff::with(&app, &[staff::role(Role::Marketing, None)]).await;
    anna.api.post("/v1/staff/password", &json!({"password": RIGHT})).await.expect(204);
    let tab = Tab::new(&app);
    let come = async |email: &str, password: &str| {
        tab.post("/sign-in/password", &[("email", email), ("password", password)]).await
    };
    let refused = come(&anna.email, "wrong").await;
    assert_eq!(refused.status, 403);
    let page = html(&refused);
    assert!(page.contains("You were not let in"), "{page}");
    let long = "x".repeat(129);
    for (email, password) in
        [("nobody@example.org", "wrong"), (bruno.email.as_str(), RIGHT), ("", ""), (&anna.email, long.as_str())]
    {
        let other = come(email, password).await;
        assert_eq!((other.status, html(&other)), (403, page.clone()), "{email}");
    }
    for _ in 0..4 {
        assert_eq!(come(&anna.email, "wrong").await.status, 403);
    }
    let shut = come(&anna.email, RIGHT).await;
    assert_eq!((shut.status, html(&shut)), (403, page), "five were wrong: the right one reads the same");
    Tab::of(&app, &mut anna).await;
}

#[tokio::test]
async fn a_password_is_set_where_a_passkey_was_shown_and_what_it_opens_decides_nothing() {
    let app = TestApp::start();
    let roles = [staff::role(Role::Admin, None), staff::role(Role::Marketing, None)];
    let mut anna = Staff::with(&app, &roles).await;
    let tab = Tab::of(&app, &mut anna).await;
    let weak = tab.post("/password", &[("password", "short")]).await;
    assert!(weak.status == 422 && html(&weak).contains("Choose at least fifteen characters"));
    let set = tab.post("/password", &[("password", RIGHT)]).await;
    assert_eq!((set.status, header(&set, "location")), (303, "/staff/acme/password?done=set"));
    let mut second = Tab::new(&app);
    let entered = second.post("/sign-in/password", &[("email", &anna.email), ("password", RIGHT)]).await;
    assert_eq!(entered.status, 303, "{}", html(&entered));
    second.keep(&entered);
    let page = html(&second.get("").await);
    assert!(page.contains("administration · at any hour <span class=\"tag\">not in force now</span>"), "{page}");
    assert!(page.contains("None of your roles that are in force decides"), "{page}");
    let asked = app.api().post("/v1/limit-tables", &json!({})).await.expect(202);
    assert_eq!(second.post(&to(&asked, "approve"), &[]).await.status, 403);
    let again = second.post("/password", &[("password", "another one that is long enough")]).await;
    assert_eq!(header(&again, "location"), "/staff/acme/sign-in?next=%2Fstaff%2Facme%2Fpassword", "by a passkey alone");
    let ended = tab.post("/password/end", &[]).await;
    assert_eq!(header(&ended, "location"), "/staff/acme/password?done=ended");
    assert_eq!(header(&second.get("").await, "location"), "/staff/acme/sign-in", "what it opened has ended");
}

/// T39: outside the hours of a role its holder is told who they are, and decides nothing.
#[tokio::test]
async fn t39_outside_its_hours_a_role_is_shown_and_decides_nothing_on_the_page() {
    let app = TestApp::start();
    // In three days, whatever the tenant's zone.
    let day = (Clock::System.now() + chrono::TimeDelta::days(3)).format("%a").to_string();
    let hours = Some(format!("{} 0-24", day.to_lowercase()).parse().unwrap());
    let mut anna = Staff::with(&app, &[NewRole { hours, ..staff::role(Role::Admin, None) }]).await;
    let asked = app.api().post("/v1/limit-tables", &json!({})).await.expect(202);
    let tab = Tab::of(&app, &mut anna).await;
    let page = html(&tab.get("").await);
    assert!(page.contains(&format!("{day} 0–24 <span class=\"tag\">not in force now</span>")), "{page}");
    assert!(!page.contains("New table of limits"), "{page}");
    assert_eq!(tab.post(&to(&asked, "approve"), &[]).await.status, 403);
}
