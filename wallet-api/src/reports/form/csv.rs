//! A table as comma-separated values, in pieces that can be sent as they come.

use csv::{Terminator, Writer, WriterBuilder};

use super::{Cell, FormError, Heading};
use crate::platform::text::Lang;

/// Rows so far that were not taken yet.
pub struct CsvFile(Writer<Vec<u8>>);

impl CsvFile {
    /// A table with its headings.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn new(heading: &Heading, lang: Lang) -> Result<Self, FormError> {
        let mut file = Self::empty();
        file.0.write_record(heading.columns_in(lang))?;
        Ok(file)
    }

    fn empty() -> Self {
        Self(WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new()))
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`FormError`]; rows are as long as the headings.
    pub fn row(&mut self, cells: &[Cell]) -> Result<(), FormError> {
        Ok(self.0.write_record(cells.iter().map(harmless))?)
    }

    /// The bytes since the last were taken.
    #[must_use]
    pub fn take(&mut self) -> Vec<u8> {
        let rest = std::mem::replace(self, Self::empty());
        rest.0.into_inner().unwrap_or_default()
    }
}

/// A cell that no spreadsheet takes for a formula. Numbers are ours, so a minus before one is a minus.
fn harmless(cell: &Cell) -> String {
    let words = cell.words();
    let begins = words.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    if begins && matches!(cell, Cell::Text(_)) { format!("'{words}") } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: Heading = Heading { name: "report-statement", columns: &["report-col-asset", "report-col-change"] };

    fn lines(rows: &[[Cell; 2]], lang: Lang) -> String {
        let mut file = CsvFile::new(&HEADING, lang).unwrap();
        rows.iter().for_each(|row| file.row(row).unwrap());
        String::from_utf8(file.take()).unwrap()
    }

    #[test]
    fn no_text_begins_as_a_formula_does_and_numbers_stay_numbers() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1"] {
            let told = lines(&[[bad.into(), Cell::Whole(-5)]], Lang::En);
            let row = told.split_once("\r\n").unwrap().1;
            assert!(row.starts_with('\'') || row.starts_with("\"'"), "{row:?}");
            assert!(row.ends_with(",-5\r\n"), "{row:?}");
        }
    }

    #[test]
    fn headings_are_in_the_readers_language_and_figures_are_exact() {
        let row = ["a, \"b\"".into(), Cell::Whole(i128::from(i64::MAX) * 3)];
        let told = lines(&[row], Lang::It);
        assert_eq!(told, "unità,variazione\r\n\"a, \"\"b\"\"\",27670116110564327421\r\n");
    }

    #[test]
    fn pieces_are_the_whole_and_headings_come_once() {
        let row = |n| [Cell::from("x"), Cell::Whole(n)];
        let mut file = CsvFile::new(&HEADING, Lang::En).unwrap();
        let mut pieces = Vec::new();
        for n in 0..4 {
            file.row(&row(n)).unwrap();
            pieces.extend(file.take());
        }
        assert_eq!(String::from_utf8(pieces).unwrap(), lines(&[row(0), row(1), row(2), row(3)], Lang::En));
    }
}
