//! Currencies and their decimals: `1000` of `EUR` is `10.00`, of `JPY` `1000`, of `TND` `1.000`.
//!
//! Whole numbers and text, never a float. Only currencies whose minor unit is known here are approved: a wrong guess would
//! show a payer a hundredth, or a hundredfold, of what they pay (T4). Source: ISO 4217, list one.

use ledger::MAX_AMOUNT;

/// ISO 4217 codes by the digits of their minor unit.
const DIGITS: [(u32, &[&str]); 3] = [
    (0, &["CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF"]),
    (2, &["AUD", "BGN", "BRL", "CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "NOK", "PLN", "RON", "SEK", "USD"]),
    (3, &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]),
];

/// A currency we can show amounts of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    code: &'static str,
    digits: u32,
}

impl Currency {
    /// The currency of this code; none when it is not one of ours.
    #[must_use]
    pub fn of(code: &str) -> Option<Self> {
        let found = |(digits, codes): &(u32, &[&'static str])| {
            codes.iter().find(|known| **known == code).map(|code| Self { code, digits: *digits })
        };
        DIGITS.iter().find_map(found)
    }

    /// Its ISO 4217 code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.code
    }

    /// Minor units as a decimal with exactly the currency's digits.
    #[must_use]
    pub fn decimal(self, minor: i64) -> String {
        let sign = if minor < 0 { "-" } else { "" };
        let digits = usize::try_from(self.digits).unwrap_or_default();
        let text = format!("{:0>width$}", minor.unsigned_abs(), width = digits + 1);
        match text.split_at_checked(text.len().saturating_sub(digits)) {
            Some((whole, part)) if !part.is_empty() => format!("{sign}{whole}.{part}"),
            _ => format!("{sign}{text}"),
        }
    }

    /// The minor units of a decimal: digits with exactly those of the currency after the point, and no other form of the
    /// same number. None beyond what the journal moves, 10^15.
    #[must_use]
    pub fn minor(self, decimal: &str) -> Option<i64> {
        let digits: String = decimal.chars().filter(|letter| *letter != '.').collect();
        let minor = digits.parse::<i64>().ok().filter(|minor| (0..=MAX_AMOUNT).contains(minor))?;
        (self.decimal(minor) == decimal).then_some(minor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> impl Iterator<Item = Currency> {
        DIGITS.iter().flat_map(|(_, codes)| codes.iter()).filter_map(|code| Currency::of(code))
    }

    #[test]
    fn t04_each_currency_has_its_own_decimals() {
        for (code, minor, decimal) in [
            ("EUR", 1000, "10.00"),
            ("JPY", 1000, "1000"),
            ("TND", 1000, "1.000"),
            ("EUR", 5, "0.05"),
            ("TND", 5, "0.005"),
            ("EUR", 0, "0.00"),
            ("EUR", -1999, "-19.99"),
            ("EUR", i64::MIN, "-92233720368547758.08"),
        ] {
            assert_eq!(Currency::of(code).unwrap().decimal(minor), decimal);
        }
        for unknown in ["", "eur", "EURO", "XXX", "PTS:club"] {
            assert_eq!(Currency::of(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn t05_a_decimal_is_read_exactly_or_not_at_all() {
        let eur = Currency::of("EUR").unwrap();
        assert_eq!(eur.minor("0.30"), Some(30));
        assert_eq!(eur.minor("10000000000000.00"), Some(MAX_AMOUNT));
        for wrong in [
            "0.1+0.2",
            "1e2",
            "9007199254740993",
            "10000000000000.01",
            "10",
            "10.0",
            "10.000",
            "010.00",
            "+10.00",
            "-10.00",
            "10,00",
            "1.0.00",
            ".10",
            "10.",
            "",
            ".",
            "NaN",
            "١٠.٠٠",
            " 10.00",
        ] {
            assert_eq!(eur.minor(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// Whatever the currency, an amount reads as it is written.
        #[test]
        fn t05_an_amount_reads_as_it_is_written(minor in 0..=MAX_AMOUNT) {
            for currency in all() {
                prop_assert_eq!(currency.minor(&currency.decimal(minor)), Some(minor));
            }
        }

        /// No text is an amount but the one that the amount is written as.
        #[test]
        fn t05_any_text_is_its_amount_or_none(text in "[0-9.e+-]{0,12}") {
            for currency in all() {
                if let Some(minor) = currency.minor(&text) {
                    prop_assert_eq!(currency.decimal(minor), text.clone());
                }
            }
        }
    }
}
