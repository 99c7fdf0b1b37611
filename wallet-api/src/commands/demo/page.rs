//! The page a story is told on: plain text, 80 columns at most, no colour, nothing that moves.

use std::io::{self, Write};

use rust_decimal::Decimal;

/// Columns of a line.
const WIDTH: usize = 80;
/// What everything below a heading is set in by.
const INDENT: &str = "    ";

/// Writes for people.
pub(super) struct Page<'a> {
    out: &'a mut dyn Write,
    step: u32,
}

/// What a customer holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Balances {
    /// Cents.
    pub(super) wallet: i64,
    /// Cents.
    pub(super) cashback: i64,
    /// Whole points.
    pub(super) points: i64,
}

impl<'a> Page<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, step: 0 }
    }

    /// A line that stands alone, before the steps.
    pub(super) fn title(&mut self, words: &str) -> io::Result<()> {
        writeln!(self.out, "\n{words}\n{}", "=".repeat(words.chars().count()))
    }

    /// The next step's heading.
    pub(super) fn step(&mut self, words: &str) -> io::Result<()> {
        self.step = self.step.saturating_add(1);
        writeln!(self.out, "\n{:>2}. {words}", self.step)?;
        self.out.flush()
    }

    /// A paragraph, wrapped.
    pub(super) fn say(&mut self, words: &str) -> io::Result<()> {
        for line in wrap(words, WIDTH.saturating_sub(INDENT.len())) {
            writeln!(self.out, "{INDENT}{line}")?;
        }
        self.out.flush()
    }

    /// One of several, wrapped behind its dash.
    pub(super) fn item(&mut self, words: &str) -> io::Result<()> {
        for (n, line) in wrap(words, WIDTH.saturating_sub(INDENT.len()).saturating_sub(2)).iter().enumerate() {
            writeln!(self.out, "{INDENT}{} {line}", if n == 0 { '-' } else { ' ' })?;
        }
        self.out.flush()
    }

    /// What is to be copied: as it is, never wrapped.
    pub(super) fn copy(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Balances before and after a step, or one line when they are the same.
    pub(super) fn balances(&mut self, before: Balances, after: Balances) -> io::Result<()> {
        if before == after {
            return self.say(&format!("same    {}", row(after)));
        }
        self.say(&format!("before  {}", row(before)))?;
        self.say(&format!("after   {}", row(after)))
    }
}

fn row(Balances { wallet, cashback, points }: Balances) -> String {
    format!("wallet {:>8}   cashback {:>6}   points {points:>5}", euro(wallet), euro(cashback))
}

/// Cents as euro: `35.60`.
pub(super) fn euro(minor: i64) -> String {
    Decimal::new(minor, 2).to_string()
}

/// Lines of at most `width` columns, broken between words; a longer word has a line of its own. Runs of blanks inside a
/// line that fits are kept, so that columns stay columns.
fn wrap(words: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in words.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        let length = line.chars().count().saturating_add(word.chars().count());
        match (line.is_empty(), length < width) {
            (true, _) => line.push_str(word),
            (false, true) => line.extend([" ", word]),
            (false, false) => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_passes_the_width_and_no_word_is_lost() {
        let words =
            "Incasso ergo ingaggio: «pagare» è il momento in cui un cliente tocca davvero un'azienda. ".repeat(5);
        let mut out = Vec::new();
        Page::new(&mut out).say(words.trim()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH && line.starts_with(INDENT)), "{text}");
        assert!(text.lines().count() < 8, "lines are filled: {text}");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>(), words.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn balances_stand_in_columns() {
        let mut out = Vec::new();
        let after = Balances { wallet: 6_440, cashback: 71, points: 35 };
        Page::new(&mut out).balances(Balances { wallet: 10_000, ..Balances::default() }, after).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
            before  wallet   100.00   cashback   0.00   points     0
            after   wallet    64.40   cashback   0.71   points    35
        ");
    }
}
