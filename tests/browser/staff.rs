//! An operator at a real browser: their invitation, their sign-in, and what they decide.

use diesel::{Connection as _, PgConnection};
use serde_json::{Value, json};
use tessera_tests::{Api, Staff, eur, fresh_key, staff};
use uuid::Uuid;
use wallet_api::identity::four_eyes;
use wallet_api::platform::clock::Clock;
use wallet_api::platform::keyring::{Role, Scope};

use super::Desk;

/// What somebody asked for that waits for another pair of eyes: a refund of 40.00.
struct Waiting {
    customer: Uuid,
    clerk: Staff,
    refund: String,
}

impl Desk {
    /// Goes to a page of the tenant's operators.
    async fn go_staff(&self, page: &str) {
        self.browser.go(&format!("{}/staff/acme{page}", self.app.origin())).await;
    }

    /// Invites somebody for the books and for the tenant's rules; their id and their invitation.
    fn invite(&self, email: &str) -> (Uuid, String) {
        let world = &self.app.world;
        let invited = staff::invite(world, &self.app.vault(), email, Some(staff::role(Role::Finance, None)));
        staff::grant(world, invited.operator, &staff::role(Role::Admin, None));
        (invited.operator, invited.invitation.reveal().to_owned())
    }

    /// Makes the passkey that an invitation is for.
    async fn accept(&self, invitation: &str) {
        self.go_staff("/invitation").await;
        self.browser.write("#invitation", &format!("{invitation}\n")).await;
        self.browser.wait_for("form[data-passkey=create]").await;
        self.browser.press("button.main").await;
        self.browser.wait_for_path("/staff/acme").await;
    }

    /// Has a clerk ask for a refund that is above the tenant's amount.
    async fn wait_for_eyes(&self) -> Waiting {
        let world = &self.app.world;
        let mut conn = PgConnection::establish(&world.url).unwrap();
        four_eyes::set_refunds_above(&mut conn, Clock::System.now(), world.tenant, Some(1_000)).unwrap();
        let (shop, customer) = (world.merchant("shop-of-eyes").await, world.customer(&fresh_key().to_string()).await);
        world.top_up(customer, 5_000).await;
        let wish =
            json!({"customer": customer, "merchant": shop, "amount": eur(5_000), "instrument": {"kind": "wallet"}});
        let paid = self.app.api().post("/v1/payments", &wish).await.expect(201);
        let refund = format!("/v1/payments/{}/refund", paid["id"].as_str().unwrap());
        let clerk = Staff::with(&self.app, &[staff::role(Role::Merchant, Some(shop))]).await;
        clerk.api.post(&refund, &json!({"amount": eur(4_000)})).await.expect(202);
        Waiting { customer, clerk, refund }
    }
}

async fn propose_correction(by: &Api) {
    let cash = by.post("/v1/ledger/accounts", &json!({"asset": "EUR", "normal_side": "debit"})).await.expect(201);
    let wallet = by.post("/v1/ledger/accounts", &json!({"asset": "EUR", "floor": "0"})).await.expect(201);
    let moved = json!({"debit": cash["id"], "credit": wallet["id"], "amount": "500", "asset": "EUR"});
    let wish = json!({"reason": "error", "text": "Order 1042 was captured twice", "transfers": [moved]});
    by.post("/v1/ledger/adjustments", &wish).await.expect(201);
}

async fn ask_limits(by: &Api) {
    let law = json!({"stored_minor": 15_000, "payment_minor": 5_000, "month_minor": 15_000});
    let levels = json!({"T0": law, "T1": law, "T2": {"stored_minor": 1_000_000, "day_minor": 500_000}, "T3": {}});
    by.post("/v1/limit-tables", &json!({"levels": levels})).await.expect(202);
}

#[tokio::test]
async fn an_operator_takes_the_invitation_signs_in_by_passkey_and_approves_what_another_asked() {
    let Some(desk) = Desk::set("en").await else { return };
    let browser = &desk.browser;
    let waiting = desk.wait_for_eyes().await;
    let (_, invitation) = desk.invite("anna@example.org");
    desk.accept(&invitation).await;
    assert_eq!(browser.passkeys().await, 1);
    assert_eq!(browser.run("return document.cookie").await, "", "no script reads the session");
    browser.press("nav button").await;
    browser.wait_for_text("You are signed out.").await;
    desk.go_staff("").await;
    browser.wait_for_path("/staff/acme/sign-in").await;
    browser.press("button.main").await;
    browser.wait_for_path("/staff/acme").await;
    let text = browser.text().await;
    for part in ["Refund of €40.00", "Bruno Neri", "Decide by"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(desk.app.world.balance(waiting.customer, "available").await, 0, "nothing moves before it is approved");
    browser.press("[action$='/approve'] button").await;
    browser.wait_for_text("Approved, and done.").await;
    assert!(browser.text().await.contains("Nothing waits."));
    assert_eq!(desk.app.world.balance(waiting.customer, "available").await, 4_000);
    let rest = waiting.clerk.api.post(&waiting.refund, &json!({})).await.expect(202);
    assert_eq!(rest["asked"]["amount_minor"], 1_000);
    desk.app.world.assert_whole();
}

impl Desk {
    /// Goes through every page of operators, and has each seen under its name.
    pub(super) async fn staff_tour(&self, see: &mut impl AsyncFnMut(&str)) {
        let (browser, world) = (&self.browser, &self.app.world);
        browser.forget_passkeys().await;
        let (operator, invitation) = self.invite("anna@example.org");
        self.go_staff("/invitation").await;
        see("staff-invitation").await;
        browser.write("#invitation", "nothing\n").await;
        browser.wait_for(".news.bad").await;
        see("staff-invitation-mistake").await;
        browser.write("#invitation", &format!("{invitation}\n")).await;
        browser.wait_for("form[data-passkey=create]").await;
        see("staff-passkey").await;
        browser.press("button.main").await;
        browser.wait_for_path("/staff/acme").await;
        see("staff-nothing-waits").await;
        self.wait_for_eyes().await;
        ask_limits(&staff::key_of(world, operator, &[Scope::Admin])).await;
        ask_limits(&self.app.api()).await;
        propose_correction(&self.app.api()).await;
        self.go_staff("").await;
        browser.run("for (const folded of document.querySelectorAll('details')) folded.open = true").await;
        see("staff").await;
        // Somebody else was quicker.
        let other = staff::colleague(&self.app, &[Scope::Approvals, Scope::LedgerApprove]);
        let waits = other.get("/v1/approvals").await.expect(200);
        let refund = waits["items"][0]["approval"].as_str().unwrap();
        other.post(&format!("/v1/approvals/{refund}/reject"), &Value::Null).await.expect(200);
        browser.press(&format!("#request-{refund} [action$='/approve'] button")).await;
        browser.wait_for(".news.bad").await;
        see("staff-refused").await;
        self.staff_password(see).await;
        browser.press("nav button").await;
        browser.wait_for_text("✓").await;
        see("staff-sign-in").await;
    }

    async fn staff_password(&self, see: &mut impl AsyncFnMut(&str)) {
        let browser = &self.browser;
        self.go_staff("/password").await;
        browser.write("#password", "short\n").await;
        browser.wait_for("[aria-invalid]").await;
        see("staff-password-mistake").await;
        browser.write("#password", "correct horse battery staple\n").await;
        browser.wait_for(".news.good").await;
        see("staff-password").await;
        self.go_staff("/sign-in/password").await;
        browser.write("#email", "anna@example.org").await;
        browser.write("#password", "wrong\n").await;
        browser.wait_for(".news.bad").await;
        see("staff-by-password").await;
        self.go_staff("").await;
    }
}
