//! IBAN: the account number every euro payment goes by.
//!
//! An [`Iban`] in hand has the length and structure its country registered and check digits that fit, so a single
//! mistyped digit never gets this far. It is personal data: `Debug` shows the country, the check digits and the last
//! four characters; only [`Display`](fmt::Display), [`Iban::electronic`] and serde give the whole.
//!
//! Limits: the number is well formed, which does not say that the account exists or whose it is (that is verification
//! of payee); a country's own check characters inside the BBAN, such as the Italian CIN, are not recomputed.
//! Sources: ISO 13616-1:2020, ISO/IEC 7064 (MOD 97-10), the SWIFT registry as carried by `iban_validate`.

use std::fmt;
use std::str::FromStr;

use iban::{IbanLike, ParseBaseIbanError, ParseIbanError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// ISO 13616: no IBAN is longer, and no printed one takes more than a space for each of its characters.
const MAX_CHARS: usize = 34;

/// A well-formed International Bank Account Number.
///
/// # Examples
/// ```
/// # use psd2_connector::{Iban, IbanError};
/// let iban: Iban = "it60 X054 2811 1010 0000 0123 456".parse()?;
/// assert_eq!(iban.electronic(), "IT60X0542811101000000123456");
/// assert_eq!(iban.to_string(), "IT60 X054 2811 1010 0000 0123 456");
/// assert_eq!(format!("{iban:?}"), "Iban(IT60…3456)");
/// # Ok::<_, IbanError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Iban(iban::Iban);

/// Why a text is not an IBAN. No variant repeats the text: it may be somebody's account all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IbanError {
    /// Not two letters, two digits, and up to thirty letters and digits.
    #[error(
        "not the form of an IBAN: give two letters, two digits, then letters and digits only, 34 characters at most"
    )]
    Form,
    /// The check digits do not fit the rest.
    #[error("IBAN check digits do not fit: a character is mistyped, missing or swapped; compare it with the statement")]
    CheckDigits,
    /// The country takes no part in the IBAN registry.
    #[error("IBAN country is not in the registry: look at the first two letters")]
    Country,
    /// Length or structure is not what the country registered.
    #[error("IBAN does not have its country's length and structure: a part of it is missing or misplaced")]
    Structure,
}

impl Iban {
    /// Gives the electronic form: capitals and digits, no spaces.
    #[must_use]
    pub fn electronic(&self) -> &str {
        self.0.electronic_str()
    }

    /// Gives the ISO 3166 code of the country that the account is kept in, such as `IT`.
    #[must_use]
    pub fn country(&self) -> &str {
        self.0.country_code()
    }

    /// Gives the parts of an Italian account number, or nothing for other countries.
    #[must_use]
    pub fn italian(&self) -> Option<ItalianBban<'_>> {
        if self.country() != "IT" {
            return None;
        }
        let bban = self.0.bban();
        Some(ItalianBban { cin: bban.get(..1)?, abi: bban.get(1..6)?, cab: bban.get(6..11)?, account: bban.get(11..)? })
    }
}

/// An Italian basic bank account number, in parts: `X 05428 11101 000000123456`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ItalianBban<'a> {
    /// Control Internal Number: the national check letter.
    pub cin: &'a str,
    /// Code of the bank, five digits (Associazione Bancaria Italiana).
    pub abi: &'a str,
    /// Code of the branch, five digits (Codice di Avviamento Bancario).
    pub cab: &'a str,
    /// Account at that branch, twelve characters with leading zeros.
    pub account: &'a str,
}

impl fmt::Debug for ItalianBban<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ItalianBban(abi {}, cab {}, …)", self.abi, self.cab)
    }
}

impl FromStr for Iban {
    type Err = IbanError;

    /// Reads the electronic or the printed form, in capitals or not; spaces (also the unbreakable ones that statements
    /// and web pages carry) are let go wherever they stand.
    fn from_str(text: &str) -> Result<Self, IbanError> {
        let electronic = without_spaces(text)?;
        let iban: iban::Iban = electronic.parse().map_err(refusal)?;
        // MOD 97-10 yields 02..=98. A 99 has the same remainder as 02, so two numbers would pass for one account.
        if iban.check_digits_str() == "99" {
            return Err(IbanError::CheckDigits);
        }
        Ok(Self(iban))
    }
}

/// Joins the groups of a printed IBAN, and stops early at what is too long to be one.
fn without_spaces(text: &str) -> Result<String, IbanError> {
    let mut electronic = String::with_capacity(MAX_CHARS);
    for character in text.chars().filter(|character| !matches!(character, ' ' | '\u{a0}' | '\u{202f}')) {
        if electronic.len() == MAX_CHARS || !character.is_ascii_alphanumeric() {
            return Err(IbanError::Form);
        }
        electronic.push(character.to_ascii_uppercase());
    }
    Ok(electronic)
}

/// Drops the number that the parser's own error carries: it would be printed with the error.
fn refusal(error: ParseIbanError) -> IbanError {
    match error {
        ParseIbanError::InvalidBaseIban { source: ParseBaseIbanError::InvalidFormat } => IbanError::Form,
        ParseIbanError::InvalidBaseIban { source: ParseBaseIbanError::InvalidChecksum } => IbanError::CheckDigits,
        ParseIbanError::UnknownCountry(_) => IbanError::Country,
        ParseIbanError::InvalidBban(_) => IbanError::Structure,
    }
}

impl fmt::Display for Iban {
    /// The printed form: groups of four, a space between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.electronic();
        let (head, tail) = (text.get(..4), text.len().checked_sub(4).and_then(|from| text.get(from..)));
        write!(f, "Iban({}…{})", head.unwrap_or_default(), tail.unwrap_or_default())
    }
}

impl Serialize for Iban {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.electronic())
    }
}

impl<'de> Deserialize<'de> for Iban {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Examples of the SWIFT registry.
    const REGISTRY: &[&str] = &[
        "IT60X0542811101000000123456",
        "SM86U0322509800000000270100",
        "DE89370400440532013000",
        "FR1420041010050500013M02606",
        "NL91ABNA0417164300",
        "GB29NWBK60161331926819",
        "MT84MALT011000012345MTLCAST001S",
        "NO9386011117947",
    ];

    fn parse(text: &str) -> Result<Iban, IbanError> {
        text.parse()
    }

    #[test]
    fn the_registrys_examples_read_the_same_in_both_forms() {
        for text in REGISTRY {
            let iban = parse(text).unwrap();
            assert_eq!(iban.electronic(), *text);
            assert_eq!(parse(&iban.to_string()), Ok(iban));
            assert_eq!(parse(&text.to_ascii_lowercase().replace("00", "0\u{a0}0")), Ok(iban));
            assert_eq!(iban.country(), &text[..2]);
        }
    }

    #[test]
    fn every_refusal_names_what_is_wrong() {
        let cases = [
            ("", IbanError::Form),
            ("IT", IbanError::Form),
            ("1T60X0542811101000000123456", IbanError::Form),
            ("IT60-X054-2811-1010-0000-0123-456", IbanError::Form),
            ("IT60X0542811101000000123456IT60X0542811101000000123456", IbanError::Form),
            ("IT٦٠X0542811101000000123456", IbanError::Form),
            ("IT61X0542811101000000123456", IbanError::CheckDigits),
            ("IT60X0542811101000000124356", IbanError::CheckDigits),
            ("IT00X0542811101000000123456", IbanError::CheckDigits),
            ("US64SVBKUS6S3300958879", IbanError::Country),
            ("DE44500105175407324", IbanError::CheckDigits),
            ("AL84212110090000AB023569874", IbanError::Structure),
        ];
        for (text, refusal) in cases {
            assert_eq!(parse(text), Err(refusal), "{text}");
        }
    }

    /// 99 leaves the remainder that 02 leaves, so only the range tells the twin from the number.
    #[test]
    fn check_digits_beyond_98_are_refused_though_they_fit() {
        let twin = (0..10_000)
            .map(|account| format!("0417{account:06}"))
            .find_map(|account| parse(&format!("NL02ABNA{account}")).ok().map(|_| format!("NL99ABNA{account}")));
        let twin = twin.expect("one account in 97 has the check digits 02");
        assert!(twin.parse::<iban::Iban>().is_ok());
        assert_eq!(parse(&twin), Err(IbanError::CheckDigits));
    }

    #[test]
    fn debug_and_errors_hide_the_account() {
        let iban = parse("IT60X0542811101000000123456").unwrap();
        assert_eq!(format!("{iban:?}"), "Iban(IT60…3456)");
        assert!(!format!("{:?}", iban.italian()).contains("123456"));
        let structure = parse("AL84212110090000AB023569874").unwrap_err();
        assert!(!format!("{structure:?} {structure}").contains("0235"));
    }

    #[test]
    fn json_carries_the_electronic_form_and_refuses_what_is_not_one() {
        let iban: Iban = serde_json::from_str(r#""IT60 X054 2811 1010 0000 0123 456""#).unwrap();
        assert_eq!(serde_json::to_string(&iban).unwrap(), r#""IT60X0542811101000000123456""#);
        assert!(serde_json::from_str::<Iban>(r#""IT61X0542811101000000123456""#).is_err());
    }

    #[test]
    fn an_italian_number_falls_into_its_parts_and_no_other_does() {
        let iban = parse("IT60X0542811101000000123456").unwrap();
        let parts = iban.italian().unwrap();
        assert_eq!((parts.cin, parts.abi, parts.cab, parts.account), ("X", "05428", "11101", "000000123456"));
        assert_eq!(parse("DE89370400440532013000").unwrap().italian(), None);
    }

    proptest! {
        /// Whichever digit is mistyped, the check digits notice (97 is prime, so no single digit weighs nothing).
        #[test]
        fn any_changed_digit_is_detected(which in 0..REGISTRY.len(), at in 2..31usize, other in 0..10u8) {
            let mut text = REGISTRY[which].as_bytes().to_vec();
            prop_assume!(at < text.len() && text[at].is_ascii_digit() && text[at] != b'0' + other);
            text[at] = b'0' + other;
            prop_assert_eq!(parse(std::str::from_utf8(&text).unwrap()), Err(IbanError::CheckDigits));
        }

        /// Two different neighbours swapped are noticed too.
        #[test]
        fn any_swapped_neighbours_are_detected(which in 0..REGISTRY.len(), at in 4..30usize) {
            let mut text = REGISTRY[which].as_bytes().to_vec();
            prop_assume!(at + 1 < text.len() && text[at] != text[at + 1]);
            text.swap(at, at + 1);
            prop_assert!(parse(std::str::from_utf8(&text).unwrap()).is_err());
        }

        /// No text makes the parser panic, and what it takes it gives back.
        #[test]
        fn any_text_is_refused_or_comes_back(text in "\\PC{0,60}") {
            if let Ok(iban) = parse(&text) {
                prop_assert_eq!(parse(iban.electronic()), Ok(iban));
            }
        }
    }
}
