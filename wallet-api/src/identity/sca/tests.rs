//! Approvals over a real database; the threats' numbers are those of `docs/threats.md`.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};
use diesel::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::json;
use tracing::Span;

use super::approving::refused;
use super::exemption::{self, Article, Candidate, Counter, Decision, Outcome, Rule, Used};
use super::policy::set_synced_rule;
use super::rules::RuleError;
use super::*;
use crate::identity::passkeys::tests::{ORIGIN, Stage};
use crate::platform::authenticator::{Ask, Authenticator, Cut, Make, Manners};
use crate::platform::text::Lang;
use crate::platform::webauthn::{Assertion, Fault, PublicKey};

const RP_ID: &str = "wallet.example";

/// A stage with a payer, a passkey and a payment.
struct Till {
    stage: Stage,
    authenticator: Authenticator,
    intent: Intent,
    instrument: Instrument,
}

impl Till {
    fn new(make: Make) -> Self {
        let mut stage = Stage::new();
        let (authenticator, _) = stage.register(make);
        let intent = Intent {
            payment_id: stage.ids.uuid_v7(stage.now),
            payer_account: stage.ids.uuid_v7(stage.now),
            payee_id: "IT60X0542811101000000123456".to_owned(),
            payee_name_shown: "Bar Luce".to_owned(),
            amount_minor: 1000,
            currency: "EUR".to_owned(),
            execution_date: NaiveDate::from_ymd_opt(2027, 1, 15).unwrap(),
        };
        let icon = "https://wallet.example/wallet.png".to_owned();
        Self { stage, authenticator, intent, instrument: Instrument { display_name: "Wallet".to_owned(), icon } }
    }

    fn payer(&self) -> Payer {
        Payer { tenant: self.stage.tenant, person: self.stage.holder.id }
    }

    fn offer(&mut self) -> Offer {
        let (payer, instrument) = (self.payer(), Some(&self.instrument));
        offer(&mut self.stage.conn, &self.stage.ids, self.stage.now, payer, &self.intent, instrument).unwrap()
    }

    /// The passkey's answer to an offer.
    fn sign(&mut self, offer: &Offer, method: Method, manners: &Manners) -> Assertion {
        let ask = Ask { challenge: &offer.hash, origin: ORIGIN, rp_id: RP_ID };
        let value = offer.payload.decimal().unwrap();
        let shown = evidence::payment_shown(&offer.payload, &value, &self.instrument);
        match method {
            Method::Passkey => self.authenticator.get(&ask, manners).unwrap(),
            Method::Confirmation => self.authenticator.pay(&ask, &shown, manners).unwrap(),
        }
    }

    fn submit(&mut self, offer: &Offer, method: Method, assertion: &Assertion, intent: &Intent) -> Verdict {
        self.submit_with(offer, method, assertion, intent, None)
    }

    fn submit_with(
        &mut self,
        offer: &Offer,
        method: Method,
        assertion: &Assertion,
        intent: &Intent,
        device: Option<&DeviceProof>,
    ) -> Verdict {
        let (party, span, offer) = (&self.stage.party, &Span::none(), offer.id);
        let approval = Approval { offer, intent, party, method, assertion, device, span };
        let payer = Payer { tenant: self.stage.tenant, person: self.stage.holder.id };
        approve_one(&mut self.stage.conn, self.stage.now, payer, approval)
    }

    /// One whole approval of the payment in hand.
    fn pay(&mut self, method: Method, manners: &Manners) -> Verdict {
        let offer = self.offer();
        let assertion = self.sign(&offer, method, manners);
        let intent = self.intent.clone();
        self.submit(&offer, method, &assertion, &intent)
    }

    fn check(&self, file: &[u8]) -> Result<Shown, EvidenceFault> {
        verify_evidence(file, RP_ID, &[ORIGIN.to_owned()])
    }

    fn next_payment(&mut self) {
        self.intent.payment_id = self.stage.ids.uuid_v7(self.stage.now);
    }
}

/// An approval that comes alone.
fn approve_one(conn: &mut PgConnection, now: DateTime<Utc>, payer: Payer, approval: Approval<'_>) -> Verdict {
    approve_all(conn, now, payer.tenant, BTreeMap::from([(payer.person, approval)])).remove(&payer.person).unwrap()
}

/// Approvals in a transaction of theirs.
fn approve_all(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    approvals: BTreeMap<Uuid, Approval<'_>>,
) -> BTreeMap<Uuid, Verdict> {
    let persons: Vec<_> = approvals.keys().copied().collect();
    let judge = |conn: &mut PgConnection| {
        let standings = hold(conn, tenant, &persons)?;
        approve(conn, now, &standings, &approvals, &InClear)
    };
    conn.transaction(judge).unwrap()
}

#[track_caller]
fn approved(verdict: Verdict) -> Evidence {
    match verdict {
        Verdict::Approved(evidence) => *evidence,
        other @ (Verdict::DeviceNeeded | Verdict::Refused(_)) => panic!("not approved: {other:?}"),
    }
}

#[track_caller]
fn refusal(verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Refused(refusal) => refusal,
        other @ (Verdict::DeviceNeeded | Verdict::Approved(_)) => panic!("not refused: {other:?}"),
    }
}

fn plain() -> Verdict {
    refused(None, false)
}

/// A device with a key that stays in it.
fn device() -> (EcdsaKeyPair, PublicKey) {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let public = PublicKey::Es256 { x: point[1..33].try_into().unwrap(), y: point[33..].try_into().unwrap() };
    (pair, public)
}

fn proof((pair, public): &(EcdsaKeyPair, PublicKey), hash: &[u8; 32]) -> DeviceProof {
    let signature = pair.sign(&SystemRandom::new(), &device_message(hash)).unwrap().as_ref().to_vec();
    DeviceProof { public_key: public.to_cose(), signature }
}

#[test]
fn an_approval_by_either_method_leaves_evidence_that_anyone_can_check() {
    for method in [Method::Passkey, Method::Confirmation] {
        let mut till = Till::new(Make::DEVICE);
        let evidence = approved(till.pay(method, &Manners::good()));
        let (tenant, payment) = (till.stage.tenant, till.intent.payment_id);
        let exported = export_evidence(&mut till.stage.conn, tenant, payment, &InClear).unwrap();
        assert_eq!(exported.as_ref(), Some(&evidence), "it is kept as it was given");
        let shown = till.check(&evidence.file).unwrap();
        assert!(shown.payload.is_of(tenant, &till.intent));
        assert_eq!((shown.person, shown.method, shown.digest), (till.stage.holder.id, method, evidence.digest));
        assert_eq!(shown.factors, [Factor::Possession, Factor::KnowledgeOrInherence]);
        assert_eq!(shown.public_key, till.authenticator.public_key().unwrap().to_cose());
        let elsewhere = ["https://evil.test".to_owned()];
        assert_eq!(verify_evidence(&evidence.file, RP_ID, &elsewhere), Err(Fault::Origin.into()));
        // The bytes are canonical, so the digest stands for what is said and not for how it is written.
        let value: Value = serde_json::from_slice(&evidence.file).unwrap();
        assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), evidence.file);
    }
}

/// Every member is signed, derived, or checked against one that is; the three that are only told are named.
#[test]
fn evidence_with_anything_changed_shows_nothing() {
    let mut till = Till::new(Make::DEVICE);
    let evidence = approved(till.pay(Method::Confirmation, &Manners::good()));
    let whole: Value = serde_json::from_slice(&evidence.file).unwrap();
    let other_key = Till::new(Make::DEVICE).authenticator.public_key().unwrap().to_cose();
    for (at, value) in [
        ("/payload/amount_minor", json!("1001")),
        ("/payload/amount_minor", json!("01000")),
        ("/payload/payee_id", json!("IT60X0542811101000000123457")),
        ("/payload/payee_name_shown", json!("Bar Luсe")),
        ("/payload/currency", json!("USD")),
        ("/payload/exp", json!("2030-01-01T00:00:00Z")),
        ("/payload/tenant", json!("99")),
        ("/payload/v", json!(2)),
        ("/payload/salt", json!("AA")),
        ("/payload_sha256", json!("AA")),
        ("/method", json!("webauthn.get")),
        ("/instrument/displayName", json!("Another")),
        ("/instrument", Value::Null),
        ("/approved_at", json!("2027-01-16T00:00:00Z")),
        ("/factors", json!(["possession", "knowledge_or_inherence", "device_possession"])),
        ("/factors", json!([])),
        ("/credential/public_key", json!(BASE64URL_NOPAD.encode(&other_key))),
        ("/credential/counter_before", json!(7)),
        ("/credential/backup_eligible", json!(true)),
        ("/assertion/signature", json!("MAYCAQECAQE")),
        ("/assertion/authenticator_data", json!("AAAA")),
        ("/device", json!({"public_key": BASE64URL_NOPAD.encode(&other_key), "signature": "AA"})),
        ("/format", json!("something")),
    ] {
        let mut changed = whole.clone();
        *changed.pointer_mut(at).unwrap() = value.clone();
        assert!(till.check(changed.to_string().as_bytes()).is_err(), "{at} = {value}");
    }
    let mut longer = whole.clone();
    longer.as_object_mut().unwrap().insert("more".to_owned(), json!(1));
    assert_eq!(till.check(longer.to_string().as_bytes()), Err(EvidenceFault::Malformed));
    for length in 0..evidence.file.len() {
        assert!(till.check(&evidence.file[..length]).is_err(), "cut to {length}");
    }
    assert!(till.check(whole.to_string().as_bytes()).is_ok(), "how it is written does not matter");
}

#[test]
fn t01_an_amount_changed_after_approval_is_not_paid() {
    for method in [Method::Passkey, Method::Confirmation] {
        let mut till = Till::new(Make::DEVICE);
        let offer = till.offer();
        let assertion = till.sign(&offer, method, &Manners::good());
        let other = Intent { amount_minor: 1001, ..till.intent.clone() };
        let refusal = refusal(till.submit(&offer, method, &assertion, &other));
        assert!(refusal.is_tampered, "an alert");
        // The offer is spent: the right amount is refused now too.
        let intent = till.intent.clone();
        assert_eq!(till.submit(&offer, method, &assertion, &intent), plain());
        assert_eq!(
            export_evidence(&mut till.stage.conn, till.stage.tenant, intent.payment_id, &InClear).unwrap(),
            None
        );
        approved(till.pay(method, &Manners::good()));
    }
}

#[test]
fn t02_a_payee_swapped_after_approval_is_not_paid() {
    let mut till = Till::new(Make::DEVICE);
    let changes: [fn(&mut Intent); 4] = [
        |intent| intent.payee_id = "DE89370400440532013000".to_owned(),
        |intent| intent.payee_name_shown = "Bar Buio".to_owned(),
        |intent| intent.payee_name_shown = "Bar Luсe".to_owned(), // a Cyrillic с
        |intent| intent.payer_account = Uuid::nil(),
    ];
    for change in changes {
        let offer = till.offer();
        let assertion = till.sign(&offer, Method::Passkey, &Manners::good());
        let mut other = till.intent.clone();
        change(&mut other);
        assert!(refusal(till.submit(&offer, Method::Passkey, &assertion, &other)).is_tampered);
    }
    // Shown another name by the browser than the one we keep.
    let manners = Manners {
        payment: Some([("payeeName".to_owned(), json!("Bar Luсe"))].into_iter().collect()),
        ..Manners::good()
    };
    assert_eq!(till.pay(Method::Confirmation, &manners), plain());
}

#[test]
fn t03_an_approval_counts_once_also_fifty_times_at_once() {
    let mut till = Till::new(Make::SYNCED);
    set_synced_rule(
        &mut till.stage.conn,
        till.stage.tenant,
        "EUR",
        SyncedRule { valid_from: till.stage.now, most_minor: 1000 },
    )
    .unwrap();
    let offer = till.offer();
    let assertion = till.sign(&offer, Method::Passkey, &Manners::good());
    let (payer, intent, now) = (till.payer(), till.intent.clone(), till.stage.now);
    let conns: Vec<_> = (0..50).map(|_| till.stage.connect()).collect();
    let party = &till.stage.party;
    let count = std::thread::scope(|scope| {
        let submit = |mut conn: PgConnection| {
            let (intent, assertion, offer) = (&intent, &assertion, offer.id);
            scope.spawn(move || {
                let (method, span) = (Method::Passkey, &Span::none());
                let approval = Approval { offer, intent, party, method, assertion, device: None, span };
                matches!(approve_one(&mut conn, now, payer, approval), Verdict::Approved(_))
            })
        };
        let tries: Vec<_> = conns.into_iter().map(submit).collect();
        tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum::<usize>()
    });
    assert_eq!(count, 1);
    assert_eq!(till.submit(&offer, Method::Passkey, &assertion, &intent), plain(), "and not later");
    // A payment that has its approval takes no second one.
    assert_eq!(till.pay(Method::Passkey, &Manners::good()), plain());
    // Replays are no failures: the payer is not blocked by them.
    till.next_payment();
    approved(till.pay(Method::Passkey, &Manners::good()));
}

#[test]
fn t04_an_amount_is_of_its_currency_and_its_minor_unit() {
    let mut till = Till::new(Make::DEVICE);
    for (currency, decimal) in [("EUR", "10.00"), ("JPY", "1000"), ("TND", "1.000")] {
        till.intent.currency = currency.to_owned();
        let offer = till.offer();
        assert_eq!(offer.payload.decimal().as_deref(), Some(decimal));
        let request = offer.confirmation_request(&till.stage.party, &till.instrument);
        assert_eq!(request["total"], json!({"value": decimal, "currency": currency}));
        // Approved in one currency, paid in another: the same number, another amount.
        let assertion = till.sign(&offer, Method::Confirmation, &Manners::good());
        for other in ["EUR", "JPY", "TND"].into_iter().filter(|other| *other != currency) {
            let swapped = Intent { currency: other.to_owned(), ..till.intent.clone() };
            let verdict = till.submit(&offer, Method::Confirmation, &assertion, &swapped);
            assert!(matches!(verdict, Verdict::Refused(_)), "{other}");
        }
    }
    // The browser showed 10.00 where 1000 yen were asked for.
    till.intent.currency = "JPY".to_owned();
    let total = json!({"value": "10.00", "currency": "JPY"});
    let manners = Manners { payment: Some([("total".to_owned(), total)].into_iter().collect()), ..Manners::good() };
    assert_eq!(till.pay(Method::Confirmation, &manners), plain());
    till.intent.currency = "XYZ".to_owned();
    let payer = till.payer();
    let unknown = offer(&mut till.stage.conn, &till.stage.ids, till.stage.now, payer, &till.intent, None);
    assert!(matches!(unknown, Err(OfferError::Intent(IntentFault::Currency))));
}

#[test]
fn t05_the_amount_confirmed_is_the_amount_to_the_letter() {
    let mut till = Till::new(Make::DEVICE);
    for value in [json!("0.1+0.2"), json!("1e1"), json!("10"), json!("10.0"), json!("10.000"), json!(10.0)] {
        let total = json!({"value": value, "currency": "EUR"});
        let manners = Manners { payment: Some([("total".to_owned(), total)].into_iter().collect()), ..Manners::good() };
        let verdict = till.pay(Method::Confirmation, &manners);
        assert!(matches!(verdict, Verdict::Refused(_)), "{value}");
        // Five in a row would block.
        till.next_payment();
        approved(till.pay(Method::Confirmation, &Manners::good()));
        till.next_payment();
    }
    // 9007199254740993 cents: the first whole number that a float cannot tell from its neighbour is past what can be moved.
    till.intent.amount_minor = 9_007_199_254_740_993;
    let payer = till.payer();
    let huge = offer(&mut till.stage.conn, &till.stage.ids, till.stage.now, payer, &till.intent, None);
    assert!(matches!(huge, Err(OfferError::Intent(IntentFault::Amount))));
}

#[test]
fn t07_whatever_is_wrong_the_answer_reads_the_same() {
    let mut bodies = Vec::new();
    for manners in [
        Manners { user_unverified: true, ..Manners::good() },
        Manners { signs_with_another_key: true, ..Manners::good() },
        Manners { origin: Some("https://evil.test".to_owned()), ..Manners::good() },
        Manners { challenge: Some(vec![1; 32]), ..Manners::good() },
        Manners { truncated: Some(Cut::Signature), ..Manners::good() },
        Manners { counter: Some(0), ..Manners::good() },
    ] {
        let mut till = Till::new(Make::DEVICE);
        approved(till.pay(Method::Passkey, &Manners::good()));
        till.next_payment();
        let refusal = refusal(till.pay(Method::Passkey, &manners));
        bodies.push(serde_json::to_string(&refusal.describe().body(Lang::It)).unwrap());
    }
    let until = DateTime::<Utc>::UNIX_EPOCH;
    for told in [Some(Notice::Barred), Some(Notice::Blocked { until, is_last: true })] {
        let refusal = Refusal { notice: told, is_tampered: true };
        bodies.push(serde_json::to_string(&refusal.describe().body(Lang::It)).unwrap());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[test]
fn t08_five_wrong_ones_block_and_the_right_one_is_refused() {
    let mut till = Till::new(Make::DEVICE);
    let wrong = Manners { signs_with_another_key: true, ..Manners::good() };
    for _ in 0..4 {
        assert_eq!(till.pay(Method::Passkey, &wrong), plain());
    }
    let until = till.stage.now + TimeDelta::minutes(15);
    let told = refusal(till.pay(Method::Passkey, &wrong)).notice;
    assert_eq!(told, Some(Notice::Blocked { until, is_last: false }), "the payer is told at the first block");
    assert_eq!(till.pay(Method::Passkey, &Manners::good()), plain(), "the sixth, right, is refused");
    till.stage.now = until;
    approved(till.pay(Method::Passkey, &Manners::good()));
    // A success forgets the failures, and the blocks.
    till.next_payment();
    for round in 0..3 {
        for wrong_ones in 1..=5 {
            let notice = refusal(till.pay(Method::Passkey, &wrong)).notice;
            assert_eq!(notice.is_some(), wrong_ones == 5, "{round}, {wrong_ones}");
            if let Some(Notice::Blocked { until, is_last }) = notice {
                assert_eq!((until - till.stage.now).num_minutes(), 15 << round);
                assert_eq!(is_last, round == 1, "the alert before the block that has no end");
                till.stage.now = until;
            } else if notice.is_some() {
                assert_eq!((notice, round), (Some(Notice::Barred), 2));
            }
        }
    }
    till.stage.now += TimeDelta::days(1_000);
    assert_eq!(till.pay(Method::Passkey, &Manners::good()), plain(), "for good");
    let payer = till.payer();
    readmit(&mut till.stage.conn, payer).unwrap();
    approved(till.pay(Method::Passkey, &Manners::good()));
}

#[test]
fn t08_wrong_ones_at_once_are_each_counted() {
    let mut till = Till::new(Make::DEVICE);
    let wrong = Manners { signs_with_another_key: true, ..Manners::good() };
    let tries: Vec<_> = (0..12)
        .map(|_| {
            let offer = till.offer();
            let assertion = till.sign(&offer, Method::Passkey, &wrong);
            (till.stage.connect(), offer.id, assertion)
        })
        .collect();
    let (payer, intent, now, party) = (till.payer(), till.intent.clone(), till.stage.now, &till.stage.party);
    let notices = std::thread::scope(|scope| {
        let submit = |(mut conn, offer, assertion): (PgConnection, Uuid, Assertion)| {
            let intent = &intent;
            scope.spawn(move || {
                let (method, assertion, span) = (Method::Passkey, &assertion, &Span::none());
                let approval = Approval { offer, intent, party, method, assertion, device: None, span };
                refusal(approve_one(&mut conn, now, payer, approval)).notice.is_some()
            })
        };
        let tries: Vec<_> = tries.into_iter().map(submit).collect();
        tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum::<usize>()
    });
    assert_eq!(notices, 1, "five made one block, and the seven after it none");
    let standing = store::lock_standings(&mut till.stage.conn, payer.tenant, &[payer.person]).unwrap()[&payer.person];
    assert_eq!((standing.consecutive, standing.blocks), (0, 1));
}

#[test]
fn t12_an_approval_after_301_seconds_is_refused() {
    let mut till = Till::new(Make::DEVICE);
    let offer = till.offer();
    let assertion = till.sign(&offer, Method::Passkey, &Manners::good());
    let intent = till.intent.clone();
    till.stage.now += TimeDelta::seconds(301);
    assert_eq!(till.submit(&offer, Method::Passkey, &assertion, &intent), plain());
    let offer = till.offer();
    till.stage.now += TimeDelta::seconds(299);
    let assertion = till.sign(&offer, Method::Passkey, &Manners::good());
    approved(till.submit(&offer, Method::Passkey, &assertion, &intent));
}

#[test]
fn t13_one_method_never_passes_for_the_other() {
    let mut till = Till::new(Make::DEVICE);
    for (signed, said) in [(Method::Passkey, Method::Confirmation), (Method::Confirmation, Method::Passkey)] {
        let offer = till.offer();
        let assertion = till.sign(&offer, signed, &Manners::good());
        let intent = till.intent.clone();
        assert_eq!(till.submit(&offer, said, &assertion, &intent), plain());
    }
    let create = Manners { ceremony: Some("webauthn.create"), ..Manners::good() };
    assert_eq!(till.pay(Method::Passkey, &create), plain());
    // Without an instrument there is nothing for the browser to show.
    let payer = till.payer();
    let bare = offer(&mut till.stage.conn, &till.stage.ids, till.stage.now, payer, &till.intent, None).unwrap();
    let assertion = till.sign(&bare, Method::Confirmation, &Manners::good());
    let intent = till.intent.clone();
    assert_eq!(till.submit(&bare, Method::Confirmation, &assertion, &intent), plain());
}

#[test]
fn t14_t15_t16_another_origin_no_verification_and_an_old_counter_approve_nothing() {
    let mut till = Till::new(Make::DEVICE);
    for manners in [
        Manners { origin: Some("https://wallet.example.evil.test".to_owned()), ..Manners::good() },
        Manners { rp_id: Some("evil.test".to_owned()), ..Manners::good() },
        Manners { cross_origin: true, ..Manners::good() },
        Manners { user_unverified: true, ..Manners::good() },
    ] {
        assert_eq!(till.pay(Method::Passkey, &manners), plain(), "{manners:?}");
    }
    approved(till.pay(Method::Passkey, &Manners::good()));
    till.next_payment();
    till.authenticator.set_counter(0);
    assert_eq!(till.pay(Method::Passkey, &Manners::good()), plain());
    let payer = till.payer();
    let locked = offer(&mut till.stage.conn, &till.stage.ids, till.stage.now, payer, &till.intent, None);
    assert!(matches!(locked, Err(OfferError::NoPasskey)), "the passkey is locked");
}

#[test]
fn t17_a_synced_passkey_alone_does_not_pay_above_the_tenants_amount() {
    let mut till = Till::new(Make::SYNCED);
    let mine = device();
    assert!(till.offer().synced_needs_device);
    assert_eq!(till.pay(Method::Passkey, &Manners::good()), Verdict::DeviceNeeded, "no rule: never alone");
    let offer = till.offer();
    let assertion = till.sign(&offer, Method::Passkey, &Manners::good());
    let intent = till.intent.clone();
    let verdict = till.submit_with(&offer, Method::Passkey, &assertion, &intent, Some(&proof(&mine, &offer.hash)));
    let shown = till.check(&approved(verdict).file).unwrap();
    assert!(shown.factors.contains(&Factor::DevicePossession));
    // The proof of another payload, and one by another key than it says, are no proof.
    for wrong in [proof(&mine, &[0; 32]), DeviceProof { public_key: device().1.to_cose(), ..proof(&mine, &offer.hash) }]
    {
        till.next_payment();
        let offer = till.offer();
        let assertion = till.sign(&offer, Method::Passkey, &Manners::good());
        let intent = till.intent.clone();
        assert_eq!(till.submit_with(&offer, Method::Passkey, &assertion, &intent, Some(&wrong)), plain());
    }
    // A rule of the tenant's, from a date on.
    let rule = SyncedRule { valid_from: till.stage.now + TimeDelta::days(1), most_minor: 1000 };
    set_synced_rule(&mut till.stage.conn, till.stage.tenant, "EUR", rule).unwrap();
    assert_eq!(till.pay(Method::Passkey, &Manners::good()), Verdict::DeviceNeeded, "not yet");
    till.stage.now = rule.valid_from;
    let evidence = approved(till.pay(Method::Passkey, &Manners::good()));
    till.check(&evidence.file).unwrap();
    till.next_payment();
    till.intent.amount_minor = 1001;
    assert_eq!(till.pay(Method::Passkey, &Manners::good()), Verdict::DeviceNeeded, "a cent above it");
    // Evidence of a synced passkey alone shows nothing where the rule wanted the device.
    let mut file: Value = serde_json::from_slice(&evidence.file).unwrap();
    file["rule"]["synced_max_minor"] = json!("999");
    assert_eq!(till.check(file.to_string().as_bytes()), Err(EvidenceFault::Device));
}

#[test]
fn somebody_elses_passkey_approves_nothing() {
    let mut till = Till::new(Make::DEVICE);
    let offer = till.offer();
    let owner = till.stage.holder;
    till.stage.holder = Holder::person(till.stage.ids.uuid_v7(till.stage.now));
    let (mut thief, _) = till.stage.register(Make::DEVICE);
    let ask = Ask { challenge: &offer.hash, origin: ORIGIN, rp_id: RP_ID };
    let intent = till.intent.clone();
    // Signed in as themselves they do not reach the offer; with the payer's session their passkey is not the payer's.
    let theirs = thief.get(&ask, &Manners::good()).unwrap();
    assert_eq!(till.submit(&offer, Method::Passkey, &theirs, &intent), plain());
    till.stage.holder = owner;
    assert_eq!(till.submit(&offer, Method::Passkey, &theirs, &intent), plain());
    assert_eq!(till.submit(&offer, Method::Passkey, &theirs, &intent), plain(), "and the offer is spent");
}

/// A payer's answer, as it is judged with others'.
struct Sent {
    person: Uuid,
    offer: Uuid,
    intent: Intent,
    assertion: Assertion,
}

impl Till {
    /// Another payer with a payment of theirs, who answers in this manner.
    fn another(&mut self, manners: &Manners) -> Sent {
        self.stage.holder = Holder::person(self.stage.ids.uuid_v7(self.stage.now));
        (self.authenticator, _) = self.stage.register(Make::DEVICE);
        self.next_payment();
        self.intent.payer_account = self.stage.ids.uuid_v7(self.stage.now);
        let offer = self.offer();
        let assertion = self.sign(&offer, Method::Passkey, manners);
        Sent { person: self.stage.holder.id, offer: offer.id, intent: self.intent.clone(), assertion }
    }

    fn judge_together(&mut self, sent: &[&Sent]) -> BTreeMap<Uuid, Verdict> {
        let (party, span) = (&self.stage.party, &Span::none());
        let mut approvals = BTreeMap::new();
        for Sent { person, offer, intent, assertion } in sent.iter().copied() {
            let (offer, method) = (*offer, Method::Passkey);
            approvals.insert(*person, Approval { offer, intent, party, method, assertion, device: None, span });
        }
        approve_all(&mut self.stage.conn, self.stage.now, self.stage.tenant, approvals)
    }

    fn failures(&mut self, of: &Sent) -> i32 {
        let standings = store::lock_standings(&mut self.stage.conn, self.stage.tenant, &[of.person]).unwrap();
        standings[&of.person].consecutive
    }
}

#[test]
fn approvals_judged_together_come_to_what_each_comes_to_alone() {
    let mut till = Till::new(Make::DEVICE);
    let good = [till.another(&Manners::good()), till.another(&Manners::good())];
    let forged = till.another(&Manners { signs_with_another_key: true, ..Manners::good() });
    let changed = Sent { intent: Intent { amount_minor: 1, ..till.intent.clone() }, ..till.another(&Manners::good()) };
    // Who names another's offer neither gets it nor spends it; who names another's passkey fails with their own.
    let (first, robbed) = (till.another(&Manners::good()), till.another(&Manners::good()));
    let thief = Sent { offer: robbed.offer, ..first };
    let poser = Sent { assertion: good[0].assertion.clone(), ..till.another(&Manners::good()) };
    let late = Sent { offer: Uuid::nil(), ..till.another(&Manners::good()) };
    let of = [&good[0], &good[1], &forged, &changed, &thief, &poser, &late];
    let mut verdicts = till.judge_together(&of);
    let mut of_one = |sent: &Sent| verdicts.remove(&sent.person).unwrap();
    for sent in &good {
        let evidence = approved(of_one(sent));
        assert_eq!((evidence.person, evidence.payment_id), (sent.person, sent.intent.payment_id));
        let shown = till.check(&evidence.file).unwrap();
        assert!(shown.payload.is_of(till.stage.tenant, &sent.intent), "each has the evidence of their own payment");
    }
    assert!(refusal(of_one(&changed)).is_tampered);
    for sent in [&forged, &thief, &poser, &late] {
        assert_eq!(of_one(sent), plain());
    }
    for (sent, failures) in [(&good[0], 0), (&forged, 1), (&changed, 0), (&thief, 0), (&poser, 1), (&late, 0)] {
        assert_eq!(till.failures(sent), failures, "counted of who failed alone");
    }
    assert_eq!(till.judge_together(&of[..1])[&good[0].person], plain(), "an answer counts once");
    let mut robbed = till.judge_together(&[&robbed]);
    approved(robbed.pop_first().unwrap().1);
}

#[test]
fn who_is_not_held_is_not_judged() {
    let mut till = Till::new(Make::DEVICE);
    let sent = till.another(&Manners::good());
    let Sent { person, offer, intent, assertion } = &sent;
    let (party, span, now, tenant) = (&till.stage.party, &Span::none(), till.stage.now, till.stage.tenant);
    let (offer, method) = (*offer, Method::Passkey);
    let approval = Approval { offer, intent, party, method, assertion, device: None, span };
    let judged = till.stage.conn.transaction(|conn| {
        let nobody = hold(conn, tenant, &[])?;
        approve(conn, now, &nobody, &BTreeMap::from([(*person, approval)]), &InClear)
    });
    assert!(judged.is_err());
    approved(till.judge_together(&[&sent]).pop_first().unwrap().1);
}

fn low_value(till: &mut Till, counter: Counter) {
    let rule = Rule { valid_from: till.stage.now, enabled: true, most_minor: 3000, counter };
    exemption::set_rule(&mut till.stage.conn, till.stage.tenant, rule).unwrap();
}

fn candidate(till: &Till, amount_minor: i64) -> Candidate<'static> {
    let payment_id = till.stage.ids.uuid_v7(till.stage.now);
    Candidate { payment_id, payer_account: till.intent.payer_account, amount_minor, currency: "EUR" }
}

fn take(till: &mut Till, candidate: &Candidate<'_>) -> Decision {
    exemption::take(&mut till.stage.conn, till.stage.tenant, candidate, till.stage.now).unwrap()
}

fn used(till: &mut Till) -> Used {
    exemption::used(&mut till.stage.conn, till.stage.tenant, till.intent.payer_account, "EUR").unwrap()
}

const EXEMPT: Decision = Decision::Exempt(Article::Rts16);

#[test]
fn nothing_is_exempted_until_a_tenant_says_so_and_never_more_than_the_law() {
    let mut till = Till::new(Make::DEVICE);
    let one = candidate(&till, 100);
    assert_eq!(take(&mut till, &one), Decision::Needed, "off by default");
    for (most_minor, counter) in
        [(3001, Counter::Uses(5)), (3000, Counter::Uses(6)), (3000, Counter::Total(10_001)), (0, Counter::Uses(1))]
    {
        let rule = Rule { valid_from: till.stage.now, enabled: true, most_minor, counter };
        let refused = exemption::set_rule(&mut till.stage.conn, till.stage.tenant, rule);
        assert!(matches!(refused, Err(RuleError::Unlawful)), "{rule:?}");
    }
    low_value(&mut till, Counter::Total(10_000));
    assert_eq!(take(&mut till, &one), EXEMPT);
    assert_eq!(take(&mut till, &one), EXEMPT, "asked again, the same answer");
    assert_eq!(used(&mut till), Used { uses: 1, total_minor: 100 }, "and no second use");
    // Switched off from a date on.
    till.stage.now += TimeDelta::days(1);
    let rule = Rule { valid_from: till.stage.now, enabled: false, most_minor: 3000, counter: Counter::Uses(5) };
    exemption::set_rule(&mut till.stage.conn, till.stage.tenant, rule).unwrap();
    let other = candidate(&till, 100);
    assert_eq!(take(&mut till, &other), Decision::Needed);
}

#[test]
fn t10_of_ten_payments_at_once_the_last_use_is_taken_by_one() {
    let mut till = Till::new(Make::DEVICE);
    low_value(&mut till, Counter::Uses(5));
    for _ in 0..4 {
        let one = candidate(&till, 2900);
        assert_eq!(take(&mut till, &one), EXEMPT);
        exemption::settle(&mut till.stage.conn, till.stage.tenant, one.payment_id, Outcome::Executed, till.stage.now)
            .unwrap();
    }
    let tries: Vec<_> = (0..10).map(|_| (till.stage.connect(), candidate(&till, 2900))).collect();
    let (tenant, now) = (till.stage.tenant, till.stage.now);
    let exempted = std::thread::scope(|scope| {
        let take = |(mut conn, one): (PgConnection, Candidate<'static>)| {
            scope.spawn(move || exemption::take(&mut conn, tenant, &one, now).unwrap() == EXEMPT)
        };
        let tries: Vec<_> = tries.into_iter().map(take).collect();
        tries.into_iter().map(|one| usize::from(one.join().unwrap())).sum::<usize>()
    });
    assert_eq!(exempted, 1);
    assert_eq!(used(&mut till), Used { uses: 5, total_minor: 5 * 2900 });
}

#[test]
fn t11_a_failed_approval_leaves_the_counters_and_a_success_sets_them_to_zero() {
    let mut till = Till::new(Make::DEVICE);
    low_value(&mut till, Counter::Uses(5));
    for _ in 0..5 {
        let one = candidate(&till, 1000);
        assert_eq!(take(&mut till, &one), EXEMPT);
    }
    let full = Used { uses: 5, total_minor: 5000 };
    for manners in [
        Manners { signs_with_another_key: true, ..Manners::good() },
        Manners { user_unverified: true, ..Manners::good() },
    ] {
        assert_eq!(till.pay(Method::Passkey, &manners), plain());
        assert_eq!(used(&mut till), full);
    }
    let offer = till.offer();
    let assertion = till.sign(&offer, Method::Passkey, &Manners::good());
    let other = Intent { amount_minor: 1, ..till.intent.clone() };
    assert!(refusal(till.submit(&offer, Method::Passkey, &assertion, &other)).is_tampered);
    assert_eq!(used(&mut till), full, "nor does one whose payment was changed");
    let one = candidate(&till, 1000);
    assert_eq!(take(&mut till, &one), Decision::Needed);
    approved(till.pay(Method::Passkey, &Manners::good()));
    assert_eq!(used(&mut till), Used::default());
    assert_eq!(take(&mut till, &one), EXEMPT);
}

#[test]
fn what_was_not_paid_counts_no_more_and_never_twice() {
    let mut till = Till::new(Make::DEVICE);
    low_value(&mut till, Counter::Total(10_000));
    let settle = |till: &mut Till, id, outcome| {
        exemption::settle(&mut till.stage.conn, till.stage.tenant, id, outcome, till.stage.now).unwrap();
    };
    let [kept, dropped, old] = [2000, 3000, 1000].map(|amount| candidate(&till, amount));
    for one in [&kept, &dropped, &old] {
        assert_eq!(take(&mut till, one), EXEMPT);
    }
    for _ in 0..2 {
        settle(&mut till, kept.payment_id, Outcome::Executed);
        settle(&mut till, dropped.payment_id, Outcome::Released);
    }
    settle(&mut till, kept.payment_id, Outcome::Released);
    assert_eq!(used(&mut till), Used { uses: 2, total_minor: 3000 });
    assert_eq!(take(&mut till, &dropped), Decision::Needed, "a payment that was released is asked about anew");
    // Released after a strong authentication: its round is over, and takes nothing off the next.
    approved(till.pay(Method::Passkey, &Manners::good()));
    settle(&mut till, old.payment_id, Outcome::Released);
    assert_eq!(used(&mut till), Used::default());
}

#[test]
fn the_apps_role_adds_evidence_and_rules_and_never_changes_or_deletes_them() {
    let mut till = Till::new(Make::DEVICE);
    approved(till.pay(Method::Passkey, &Manners::good()));
    for forbidden in [
        "DELETE FROM sca_evidence",
        "UPDATE sca_evidence SET file = file",
        "DELETE FROM sca_failure",
        "DELETE FROM sca_policy",
        "UPDATE sca_policy SET synced_max_minor = 0",
        "DELETE FROM sca_exemption_rule",
        "UPDATE sca_exemption_rule SET enabled = true",
        "DELETE FROM sca_exemption_use",
        "UPDATE sca_exemption_use SET amount_minor = 1",
        "DELETE FROM sca_exemption_counter",
    ] {
        assert!(diesel::sql_query(forbidden).execute(&mut till.stage.conn).is_err(), "{forbidden}");
    }
}
