//! The file: TOML, a flat list of keys, each with the line it stands on.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Fault;

/// Longest configuration file, in bytes.
pub(super) const MOST_BYTES: u64 = 1024 * 1024;

/// A key as it stands in the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The value as a flag would give it; several for a list.
    pub(super) values: Vec<String>,
    pub(super) is_list: bool,
    /// Counted from 1.
    pub(super) line: usize,
}

/// A text file of at most so many bytes.
pub(super) fn read(path: &Path, most: u64) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(most.saturating_add(1)).read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > most {
        return Err(io::Error::other(format!("it is longer than {most} bytes")));
    }
    Ok(text)
}

/// What the text says, in the order of its lines, and all that cannot be read.
pub(super) fn entries(path: &Path, text: &str) -> (Vec<Entry>, Vec<Fault>) {
    let line = |at: usize| text.bytes().take(at).filter(|byte| *byte == b'\n').count().saturating_add(1);
    let fault = |at: usize, wrong: String| Fault::new(format!("{}:{}", path.display(), line(at)), wrong);
    let (table, errors) = DeTable::parse_recoverable(text);
    // Only what is wrong, never the line itself: there may be a secret on it.
    let errors =
        errors.iter().map(|error| fault(error.span().map_or(0, |span| span.start), error.message().to_owned()));
    let mut faults: Vec<Fault> = errors.collect();
    let mut entries = Vec::new();
    for (key, value) in table.get_ref() {
        let at = key.span().start;
        match words(value.get_ref()) {
            Some((values, is_list)) => {
                entries.push(Entry { key: key.get_ref().clone().into_owned(), values, is_list, line: line(at) });
            }
            None => {
                let wrong = format!("{} takes text, a number, true or false, or a list of those", key.get_ref());
                faults.push(fault(at, wrong));
            }
        }
    }
    entries.sort_by_key(|entry| entry.line);
    (entries, faults)
}

/// A value as words of a command line, and whether it is a list of them.
fn words(value: &DeValue<'_>) -> Option<(Vec<String>, bool)> {
    let DeValue::Array(list) = value else { return Some((vec![word(value)?], false)) };
    Some((list.iter().map(|value| word(value.get_ref())).collect::<Option<_>>()?, true))
}

fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().replace('_', "")),
        DeValue::Float(number) => Some(number.as_str().replace('_', "")),
        DeValue::Boolean(truth) => Some(truth.to_string()),
        DeValue::Integer(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> (Vec<(String, String, usize)>, Vec<String>) {
        let (entries, faults) = entries(Path::new("t.toml"), text);
        let entries = entries.into_iter().map(|entry| (entry.key, entry.values.join("+"), entry.line));
        (entries.collect(), faults.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_value_is_what_a_flag_would_say_and_knows_its_line() {
        let (read, faults) = read_text("# hello\nb = true\n\na = 1_000\nc = \"x y\"\nd = [\"p\", 2]\n");
        let entry = |key: &str, value: &str, line| (key.to_owned(), value.to_owned(), line);
        assert_eq!(read, [entry("b", "true", 2), entry("a", "1000", 4), entry("c", "x y", 5), entry("d", "p+2", 6)]);
        assert_eq!(faults, [""; 0]);
    }

    #[test]
    fn all_that_cannot_be_read_is_told_with_its_line_and_without_its_text() {
        let (read, faults) = read_text("a = 1\nb = hunter2\nc = 2026-01-01\n[d]\ne = 1\n");
        assert_eq!(read[0], ("a".to_owned(), "1".to_owned(), 1));
        let told = |start: &str| faults.iter().any(|fault| fault.starts_with(start));
        assert!(told("t.toml:2: ") && told("t.toml:3: c takes") && told("t.toml:4: d takes"), "{faults:?}");
        assert!(faults.iter().all(|fault| !fault.contains("hunter2")), "{faults:?}");
    }

    #[test]
    fn a_file_without_end_is_refused() {
        assert!(read(Path::new("/dev/zero"), 1000).unwrap_err().to_string().contains("longer than 1000 bytes"));
    }
}
