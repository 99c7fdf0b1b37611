//! The fields of one CSV line, and what a date and an amount look like there.
//!
//! Fields are separated by commas; one in double quotes may hold commas, and quotes doubled. A quoted field ends on its
//! line: a reader that let it run on would let one stray quote swallow the rest of the file. Blanks around a field do
//! not count. Amounts are read digit by digit, never through a float. Source: RFC 4180, but for quoted line ends.

use std::borrow::Cow;

use chrono::{Datelike, NaiveDate};

use super::rows::RejectReason;

/// The largest amount of one purchase, in minor units: a hundred billion.
pub const MAX_AMOUNT_MINOR: i64 = 10_000_000_000_000;

/// Days before this year are taken for slips, not purchases.
const FIRST_YEAR: i32 = 1971;

/// The fields of a line, from the left.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: Option<&'a str>,
}

impl<'a> Fields<'a> {
    /// All fields of `line`; an empty line has one, which is empty.
    pub fn of(line: &'a str) -> Self {
        Self { rest: Some(line) }
    }

    fn quoted(&mut self, body: &'a str) -> Result<Cow<'a, str>, RejectReason> {
        let (end, doubled) = closing_quote(body).ok_or(RejectReason::BadQuotes)?;
        let (inside, after) = (body.get(..end), body.get(end.saturating_add(1)..));
        let (Some(inside), Some(after)) = (inside, after) else { return Err(RejectReason::BadQuotes) };
        self.rest = match after.trim_start() {
            "" => None,
            more => Some(more.strip_prefix(',').ok_or(RejectReason::BadQuotes)?),
        };
        let text = inside.trim();
        Ok(if doubled { Cow::Owned(text.replace("\"\"", "\"")) } else { Cow::Borrowed(text) })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Cow<'a, str>, RejectReason>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.rest.take()?;
        if let Some(body) = line.trim_start().strip_prefix('"') {
            return Some(self.quoted(body));
        }
        let (field, rest) = match line.split_once(',') {
            Some((field, rest)) => (field, Some(rest)),
            None => (line, None),
        };
        self.rest = rest;
        Some(if field.contains('"') { Err(RejectReason::BadQuotes) } else { Ok(Cow::Borrowed(field.trim())) })
    }
}

/// Where the quote that ends a field stands in `body`, and whether quotes inside it are doubled.
fn closing_quote(body: &str) -> Option<(usize, bool)> {
    let mut doubled = false;
    let mut quotes = body.match_indices('"').map(|(at, _)| at).peekable();
    while let Some(at) = quotes.next() {
        if quotes.next_if_eq(&at.saturating_add(1)).is_none() {
            return Some((at, doubled));
        }
        doubled = true;
    }
    None
}

/// Reads a day: `20170131` or `2017-01-31`, from 1971 on: the journal's time begins in 1970.
pub fn parse_date(text: &str) -> Result<NaiveDate, RejectReason> {
    let digits = |part: &str, length| {
        if part.len() == length && is_digits(part) { part.parse::<u32>().ok() } else { None }
    };
    let parts = match text.len() {
        8 => (text.get(..4), text.get(4..6), text.get(6..)),
        10 if text.get(4..5) == Some("-") && text.get(7..8) == Some("-") => {
            (text.get(..4), text.get(5..7), text.get(8..))
        }
        _ => (None, None, None),
    };
    let date = || {
        let year = i32::try_from(digits(parts.0?, 4)?).ok()?;
        NaiveDate::from_ymd_opt(year, digits(parts.1?, 2)?, digits(parts.2?, 2)?)
    };
    date().filter(|date| date.year() >= FIRST_YEAR).ok_or(RejectReason::BadDate)
}

/// Reads an amount of a currency with two decimals, such as `12`, `12.5` or `12.50`: more than 0, in minor units.
///
/// No sign but `-` (which is told apart from nonsense, and refused), no exponent, no separator of thousands.
pub fn parse_amount(text: &str) -> Result<i64, RejectReason> {
    let (negative, magnitude) = match text.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, text),
    };
    let (whole, decimals) = magnitude.split_once('.').unwrap_or((magnitude, "0"));
    if !is_digits(whole) || !is_digits(decimals) {
        return Err(RejectReason::BadAmount);
    }
    let cents = match decimals.len() {
        1 => format!("{decimals}0"),
        2 => decimals.to_owned(),
        _ => return Err(RejectReason::TooManyDecimals),
    };
    // Digits only, so that the one thing left to go wrong is their number.
    let minor = format!("{whole}{cents}").parse::<i64>().ok().filter(|minor| *minor <= MAX_AMOUNT_MINOR);
    match minor {
        Some(0) => Err(RejectReason::ZeroAmount),
        _ if negative => Err(RejectReason::NegativeAmount),
        Some(minor) => Ok(minor),
        None => Err(RejectReason::AmountTooLarge),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(line: &str) -> Result<Vec<String>, RejectReason> {
        Fields::of(line).map(|field| field.map(Cow::into_owned)).collect()
    }

    #[test]
    fn quotes_hold_commas_and_quotes_and_end_on_their_line() {
        assert_eq!(fields(r#" 1 ,"a,b" ,"say ""yes""","",x"#).unwrap(), ["1", "a,b", "say \"yes\"", "", "x"]);
        assert_eq!(fields("").unwrap(), [""]);
        assert_eq!(fields("a,").unwrap(), ["a", ""]);
        assert_eq!(fields(r#""a","#).unwrap(), ["a", ""]);
        for broken in [r#"""#, r#""a"#, r#""a"b"#, r#"a"b"#, r#""a"""#, r#"a,b""#] {
            assert_eq!(fields(broken), Err(RejectReason::BadQuotes), "{broken}");
        }
    }

    #[test]
    fn a_date_is_a_day_of_the_calendar() {
        let leap = NaiveDate::from_ymd_opt(2016, 2, 29);
        assert_eq!(parse_date("20160229").ok(), leap);
        assert_eq!(parse_date("2016-02-29").ok(), leap);
        for bad in [
            "",
            "20170229",
            "20171301",
            "2017-1-01",
            "2017/01/01",
            "01012017",
            "201701011",
            "2017-01-0a",
            "+0170101",
            "éé170101",
            "18991231",
            "２０１７",
        ] {
            assert_eq!(parse_date(bad), Err(RejectReason::BadDate), "{bad}");
        }
    }

    #[test]
    fn an_amount_is_plain_decimal_text() {
        for (text, minor) in
            [("12", 1200), ("12.5", 1250), ("0.01", 1), ("007.50", 750), ("100000000000", MAX_AMOUNT_MINOR)]
        {
            assert_eq!(parse_amount(text), Ok(minor), "{text}");
        }
        for (text, reason) in [
            ("", RejectReason::BadAmount),
            ("12.", RejectReason::BadAmount),
            (".5", RejectReason::BadAmount),
            ("+1", RejectReason::BadAmount),
            ("--1", RejectReason::BadAmount),
            ("-", RejectReason::BadAmount),
            ("1e3", RejectReason::BadAmount),
            ("1,50", RejectReason::BadAmount),
            ("1 000", RejectReason::BadAmount),
            ("1.2.3", RejectReason::BadAmount),
            ("NaN", RejectReason::BadAmount),
            ("€5", RejectReason::BadAmount),
            ("١٢", RejectReason::BadAmount),
            ("0", RejectReason::ZeroAmount),
            ("-0.00", RejectReason::ZeroAmount),
            ("-1", RejectReason::NegativeAmount),
            ("1.234", RejectReason::TooManyDecimals),
            ("0.000", RejectReason::TooManyDecimals),
            ("100000000000.01", RejectReason::AmountTooLarge),
            ("99999999999999999999999999", RejectReason::AmountTooLarge),
        ] {
            assert_eq!(parse_amount(text), Err(reason), "{text}");
        }
    }

    proptest! {
        /// What is printed is what is read: no cent is lost on the way.
        #[test]
        fn amounts_survive_their_text(minor in 1..=MAX_AMOUNT_MINOR) {
            prop_assert_eq!(parse_amount(&format!("{}.{:02}", minor / 100, minor % 100)), Ok(minor));
        }

        /// Whatever is written in a field, quoting carries it through.
        #[test]
        fn quoting_carries_any_text(texts in proptest::collection::vec("[^\r\n]{0,12}", 1..6)) {
            let line = texts.iter().map(|text| format!("\"{}\"", text.replace('"', "\"\""))).collect::<Vec<_>>().join(",");
            let trimmed: Vec<_> = texts.iter().map(|text| text.trim().to_owned()).collect();
            prop_assert_eq!(fields(&line).unwrap(), trimmed);
        }
    }
}
