//! The payload: what a payer approves, in one canonical form whose hash is what is signed.
//!
//! RFC 8785 JSON, UTF-8; its SHA-256 is the WebAuthn challenge. Every value but the version is text, so that no reader can
//! round one. Names are kept to the letter: no folding, no normalising, so that a name which only looks the same is
//! another. Source: Regulation (EU) 2018/389, art. 5 (dynamic linking).

use chrono::{DateTime, NaiveDate, Utc};
use data_encoding::BASE64URL_NOPAD;
use ledger::MAX_AMOUNT;
use ring::digest;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::currency::Currency;

/// The form's version.
const VERSION: u8 = 1;
/// Most bytes of a payee's id and of its name.
const PAYEE_LENGTH: usize = 140;

/// A payment as its caller is about to make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// Its id.
    pub payment_id: Uuid,
    /// The account that pays.
    pub payer_account: Uuid,
    /// Who is paid: an IBAN, a merchant's or a biller's id.
    pub payee_id: String,
    /// Who is paid, in the words shown to the payer.
    pub payee_name_shown: String,
    /// How much, minor units.
    pub amount_minor: i64,
    /// Of what: ISO 4217.
    pub currency: String,
    /// The day it is made.
    pub execution_date: NaiveDate,
}

/// Why a payment cannot be put to its payer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntentFault {
    /// The amount is none.
    #[error("an amount is 1 to 10^15 minor units")]
    Amount,
    /// We do not know how to show amounts of this currency.
    #[error("amounts of this currency cannot be shown")]
    Currency,
    /// The payee's id or name is empty, too long, or has letters that cannot be seen or that turn others around.
    #[error("the payee cannot be shown")]
    Payee,
}

/// What is approved. The members stand in the order of their names, as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// How much, minor units, as digits.
    pub amount_minor: String,
    /// Of what: ISO 4217.
    pub currency: String,
    /// The day it is made.
    pub execution_date: NaiveDate,
    /// Until when it can be approved.
    pub exp: DateTime<Utc>,
    /// Who is paid.
    pub payee_id: String,
    /// Who is paid, in the words shown to the payer.
    pub payee_name_shown: String,
    /// The account that pays.
    pub payer_account: Uuid,
    /// Its id.
    pub payment_id: Uuid,
    /// 256 random bits, base64url: two payments that are alike have two hashes, and none can be guessed.
    pub salt: String,
    /// The tenant's number.
    pub tenant: String,
    /// The form's version: 1.
    pub v: u8,
}

impl Intent {
    /// Its currency.
    ///
    /// # Errors
    /// [`IntentFault`]: what of it cannot be shown.
    pub fn check(&self) -> Result<Currency, IntentFault> {
        if !(1..=MAX_AMOUNT).contains(&self.amount_minor) {
            return Err(IntentFault::Amount);
        }
        if !(is_showable(&self.payee_id) && is_showable(&self.payee_name_shown)) {
            return Err(IntentFault::Payee);
        }
        Currency::of(&self.currency).ok_or(IntentFault::Currency)
    }
}

/// What is shown is what is signed (art. 5(2)), so nothing may hide in it: no control characters, none without width, none
/// that change the direction of what follows.
fn is_showable(text: &str) -> bool {
    let hides = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(letter, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    !text.trim().is_empty() && text.trim() == text && text.len() <= PAYEE_LENGTH && !text.contains(hides)
}

impl Payload {
    /// The payload of a payment, for one approval.
    #[must_use]
    pub fn of(tenant: i64, intent: &Intent, salt: &[u8; 32], exp: DateTime<Utc>) -> Self {
        Self {
            amount_minor: intent.amount_minor.to_string(),
            currency: intent.currency.clone(),
            execution_date: intent.execution_date,
            exp,
            payee_id: intent.payee_id.clone(),
            payee_name_shown: intent.payee_name_shown.clone(),
            payer_account: intent.payer_account,
            payment_id: intent.payment_id,
            salt: BASE64URL_NOPAD.encode(salt),
            tenant: tenant.to_string(),
            v: VERSION,
        }
    }

    /// Whether it is of this payment, to the letter.
    #[must_use]
    pub fn is_of(&self, tenant: i64, intent: &Intent) -> bool {
        let Self { amount_minor, currency, execution_date, payee_id, payee_name_shown, .. } = self;
        self.v == VERSION
            && self.tenant == tenant.to_string()
            && self.payment_id == intent.payment_id
            && self.payer_account == intent.payer_account
            && *payee_id == intent.payee_id
            && *payee_name_shown == intent.payee_name_shown
            && *amount_minor == intent.amount_minor.to_string()
            && *currency == intent.currency
            && *execution_date == intent.execution_date
    }

    /// The amount as it is shown: a decimal with the currency's digits. None when the payload is of no form of ours.
    #[must_use]
    pub fn decimal(&self) -> Option<String> {
        let minor = self.minor()?;
        Some(Currency::of(&self.currency)?.decimal(minor))
    }

    /// The amount, minor units.
    pub(super) fn minor(&self) -> Option<i64> {
        let minor = self.amount_minor.parse::<i64>().ok()?;
        ((1..=MAX_AMOUNT).contains(&minor) && minor.to_string() == self.amount_minor).then_some(minor)
    }

    /// Its canonical form (RFC 8785).
    #[must_use]
    pub fn canonical(&self) -> String {
        // Text and one small number: nothing in it can fail to be written.
        serde_json_canonicalizer::to_string(self).unwrap_or_default()
    }

    /// What is signed: SHA-256 of the canonical form.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(self.canonical().as_bytes())
    }

    /// Whether this is the form's version that we know.
    pub(super) fn is_known(&self) -> bool {
        self.v == VERSION && self.decimal().is_some()
    }
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()) {
        *to = *from;
    }
    hash
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intent() -> Intent {
        Intent {
            payment_id: Uuid::from_u128(1),
            payer_account: Uuid::from_u128(2),
            payee_id: "IT60X0542811101000000123456".to_owned(),
            payee_name_shown: "Caffè Élite".to_owned(),
            amount_minor: 1000,
            currency: "EUR".to_owned(),
            execution_date: NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(),
        }
    }

    fn payload(intent: &Intent) -> Payload {
        Payload::of(7, intent, &[9; 32], DateTime::from_timestamp(1_795_000_000, 0).unwrap())
    }

    /// Golden: evidence that is kept is checked by this form, so a change here orphans it.
    #[test]
    fn the_form_of_a_payload_is_this() {
        let expected = concat!(
            r#"{"amount_minor":"1000","currency":"EUR","execution_date":"2026-11-23","exp":"2026-11-18T11:06:40Z","#,
            r#""payee_id":"IT60X0542811101000000123456","payee_name_shown":"Caffè Élite","#,
            r#""payer_account":"00000000-0000-0000-0000-000000000002","payment_id":"00000000-0000-0000-0000-000000000001","#,
            r#""salt":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk","tenant":"7","v":1}"#,
        );
        assert_eq!(payload(&intent()).canonical(), expected);
        assert_eq!(payload(&intent()).hash(), sha256(expected.as_bytes()));
    }

    #[test]
    fn any_member_that_changes_changes_the_hash_and_is_another_payment() {
        let (original, kept) = (intent(), payload(&intent()));
        assert!(kept.is_of(7, &original));
        assert!(!kept.is_of(8, &original), "another tenant's");
        let changes: [fn(&mut Intent); 8] = [
            |intent| intent.payment_id = Uuid::from_u128(3),
            |intent| intent.payer_account = Uuid::from_u128(3),
            |intent| intent.payee_id.push('0'),
            |intent| intent.payee_name_shown = "Caffe\u{300} E\u{301}lite".to_owned(), // the same letters, composed otherwise
            |intent| intent.payee_name_shown = "Саffè Élite".to_owned(),               // two Cyrillic letters
            |intent| intent.amount_minor = 1001,
            |intent| intent.currency = "USD".to_owned(),
            |intent| intent.execution_date = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap(),
        ];
        for change in changes {
            let mut other = original.clone();
            change(&mut other);
            assert!(!kept.is_of(7, &other), "{other:?}");
            assert_ne!(payload(&other).hash(), kept.hash(), "{other:?}");
        }
    }

    #[test]
    fn t02_a_name_in_which_something_hides_is_not_shown() {
        for name in [
            "",
            " ",
            "Bar ",
            "Bar\u{202e}ecuL",
            "Bar\u{200b}Luce",
            "Bar\nLuce",
            "Bar\u{2066}Luce",
            "\u{feff}Bar",
            "Bar\u{ad}Luce",
        ] {
            let wrong = Intent { payee_name_shown: name.to_owned(), ..intent() };
            assert_eq!(wrong.check(), Err(IntentFault::Payee), "{name:?}");
        }
        let long = Intent { payee_id: "x".repeat(PAYEE_LENGTH + 1), ..intent() };
        assert_eq!(long.check(), Err(IntentFault::Payee));
        assert_eq!(Intent { amount_minor: 0, ..intent() }.check(), Err(IntentFault::Amount));
        assert_eq!(Intent { currency: "XYZ".to_owned(), ..intent() }.check(), Err(IntentFault::Currency));
    }

    proptest! {
        /// A payload that is kept is read as it was written, whatever its texts, so its hash is the same.
        #[test]
        fn a_payload_reads_as_it_is_written(name in "\\PC{1,30}", id in ".{1,30}", amount in 1..MAX_AMOUNT, micros in 0..i64::from(u32::MAX)) {
            let intent = Intent { payee_name_shown: name, payee_id: id, amount_minor: amount, ..intent() };
            let exp = DateTime::from_timestamp_micros(1_795_000_000_000_000 + micros).unwrap();
            let payload = Payload::of(7, &intent, &[9; 32], exp);
            let read: Payload = serde_json::from_str(&payload.canonical()).unwrap();
            prop_assert_eq!(read.hash(), payload.hash());
            prop_assert_eq!(read, payload);
        }
    }

    /// The examples of RFC 8785, §3.2.2 to §3.2.4, and of its test data: what our payloads rely on the library for.
    #[test]
    fn the_canonical_form_is_that_of_rfc_8785() {
        let canonical = |json: &str| {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            serde_json_canonicalizer::to_string(&value).unwrap()
        };
        let example = r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
            "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#;
        let expected = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(example), expected);
        let sorting = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
            "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
            \"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\
            \"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
        assert_eq!(canonical(sorting), expected);
        // RFC 8785, appendix B: numbers by their IEEE 754 bits. Ours are texts; the version alone is a number.
        for (bits, expected) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(serde_json_canonicalizer::to_string(&f64::from_bits(bits)).unwrap(), expected, "{bits:x}");
        }
    }
}
