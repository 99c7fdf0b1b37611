//! What may not be kept of a receiver's answer: it is shown to people later, and may repeat anything.
//!
//! Replaced are control characters but line breaks and tabs (so that no terminal obeys them), runs that read as an IBAN
//! or as a payment card, signing secrets, and what follows `Bearer`. Limits: this is a net for accidents, not for a
//! receiver that hides things on purpose. It errs on the side of hiding.

use std::borrow::Cow;

const HIDDEN: &str = "[redacted]";
/// Marks of what must not be shown, each followed by it.
const MARKS: [&str; 4] = ["whsec_", "whsk_", "tsk_", "Bearer "];
/// Digits of a payment card.
const CARD: std::ops::RangeInclusive<usize> = 13..=19;
/// Characters of an IBAN.
const IBAN: std::ops::RangeInclusive<usize> = 15..=34;

/// The text without what may not be kept; never longer than [`HIDDEN`] makes it.
pub(super) fn redact(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (kept, taken) = next(rest, first);
        clean.push_str(&kept);
        // What `next` takes always ends where a character does.
        rest = rest.get(taken..).unwrap_or_default();
    }
    let longest = clean.floor_char_boundary(super::answer::EXCERPT_BYTES);
    clean.truncate(longest);
    clean
}

/// What is kept of the beginning of a text, and how many bytes it stands for.
fn next(rest: &str, first: char) -> (Cow<'_, str>, usize) {
    if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
        let secret = rest.get(mark.len()..).unwrap_or_default();
        let length =
            secret.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | ',')).unwrap_or(secret.len());
        return (format!("{mark}{HIDDEN}").into(), mark.len().saturating_add(length));
    }
    if first.is_ascii_alphanumeric() {
        let word = word(rest);
        let kept = if is_number_of_account(word) { HIDDEN } else { word };
        return (kept.into(), word.len());
    }
    let kept = if first.is_control() && !matches!(first, '\n' | '\t') {
        "\u{fffd}"
    } else {
        rest.get(..first.len_utf8()).unwrap_or_default()
    };
    (kept.into(), first.len_utf8())
}

/// The letters and digits at the beginning, across single spaces and dashes between groups of digits.
fn word(text: &str) -> &str {
    let (mut end, mut before) = (0_usize, ' ');
    for (at, c) in text.char_indices() {
        if c.is_ascii_alphanumeric() {
            end = at.saturating_add(1);
        } else if !(matches!(c, ' ' | '-')
            && before.is_ascii_digit()
            && begins_group(text.get(at..).unwrap_or_default()))
        {
            break;
        }
        before = c;
    }
    text.get(..end).unwrap_or(text)
}

/// Whether a separator is followed by a digit, or by a letter and a digit, as in the groups of an IBAN.
fn begins_group(text: &str) -> bool {
    let mut next = text.bytes().skip(1);
    match (next.next(), next.next()) {
        (Some(first), _) if first.is_ascii_digit() => true,
        (Some(first), Some(second)) => first.is_ascii_alphabetic() && second.is_ascii_digit(),
        _ => false,
    }
}

fn is_number_of_account(word: &str) -> bool {
    let plain: String = word.chars().filter(char::is_ascii_alphanumeric).collect();
    let digits = plain.bytes().filter(u8::is_ascii_digit).count();
    let is_card = digits == plain.len() && CARD.contains(&digits) && luhn(&plain);
    let mut bytes = plain.bytes();
    let country = bytes.by_ref().take(2).all(|byte| byte.is_ascii_alphabetic());
    let check = bytes.by_ref().take(2).all(|byte| byte.is_ascii_digit());
    is_card || (IBAN.contains(&plain.len()) && country && check && digits >= 8)
}

/// The check digit of cards (ISO/IEC 7812).
fn luhn(digits: &str) -> bool {
    let doubled =
        |digit: u32| if digit > 4 { digit.saturating_mul(2).saturating_sub(9) } else { digit.saturating_mul(2) };
    let value = |(place, c): (usize, char)| {
        let digit = c.to_digit(10).unwrap_or(0);
        if place % 2 == 1 { doubled(digit) } else { digit }
    };
    digits.chars().rev().enumerate().map(value).fold(0, u32::saturating_add) % 10 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T55: what an answer repeats is not kept, and what it says of the fault is.
    #[test]
    fn t55_canaries_are_not_kept_and_the_fault_is() {
        for (said, kept) in [
            ("card 4111 1111 1111 1111 declined", "card [redacted] declined"),
            ("card 4111111111111111 declined", "card [redacted] declined"),
            ("IBAN IT60X0542811101000000123456!", "IBAN [redacted]!"),
            ("IBAN IT60 X054 2811 1010 0000 0123 456", "IBAN [redacted]"),
            ("bad whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw here", "bad whsec_[redacted] here"),
            ("{\"authorization\":\"Bearer abc.def\"}", "{\"authorization\":\"Bearer [redacted]\"}"),
            ("key tsk_ab_cd", "key tsk_[redacted]"),
            ("\u{1b}[31mred\r\nline", "\u{fffd}[31mred\u{fffd}\nline"),
            ("error 500 at 2026-01-02 in order 12345", "error 500 at 2026-01-02 in order 12345"),
            ("perché no", "perché no"),
        ] {
            assert_eq!(redact(said), kept, "{said:?}");
        }
    }

    #[test]
    fn nothing_that_comes_in_makes_it_longer_than_is_kept() {
        let flood = "tsk_x ".repeat(10_000);
        assert!(redact(&flood).len() <= super::super::answer::EXCERPT_BYTES);
    }
}
