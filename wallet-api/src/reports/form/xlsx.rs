//! A table as a workbook of one sheet.
//!
//! Rows go to a temporary file as they come, so memory holds the finished workbook and not its rows.

use std::borrow::Cow;

use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook};

use super::{Cell, FormError, Heading};
use crate::platform::text::{Lang, text};

/// Rows of a sheet at most, below its headings. A spreadsheet holds a million; what is so long is read by programs.
pub const MOST_ROWS: u32 = 250_000;
/// Up to here a spreadsheet, which has binary floating point only, keeps every whole number exactly.
const EXACT: i128 = 1 << 53;

/// Rows so far.
pub struct XlsxFile {
    book: Workbook,
    next_row: u32,
}

impl XlsxFile {
    /// A sheet with its headings.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn new(heading: &Heading, lang: Lang) -> Result<Self, FormError> {
        let mut book = Workbook::new();
        // The same report is the same bytes, whenever it is asked for.
        book.set_properties(&DocProperties::new().set_creation_datetime(&ExcelDateTime::from_ymd(2000, 1, 1)?));
        let bold = Format::new().set_bold();
        let sheet = book.add_worksheet_with_constant_memory()?;
        sheet.set_name(text(lang, heading.name, &[]))?;
        sheet.set_freeze_panes(1, 0)?;
        for (column, words) in (0_u16..).zip(heading.columns_in(lang)) {
            sheet.set_column_width(column, 18)?;
            sheet.write_string_with_format(0, column, words, &bold)?;
        }
        Ok(Self { book, next_row: 1 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// [`FormError::TooLong`] past [`MOST_ROWS`].
    pub fn row(&mut self, cells: &[Cell]) -> Result<(), FormError> {
        if self.next_row > MOST_ROWS {
            return Err(FormError::TooLong);
        }
        let sheet = self.book.worksheet_from_index(0)?;
        for (column, cell) in (0_u16..).zip(cells) {
            match number(cell) {
                Some(number) => sheet.write_number(self.next_row, column, number)?,
                None if *cell == Cell::Empty => continue,
                None => sheet.write_string(self.next_row, column, readable(&cell.words()))?,
            };
        }
        self.next_row = self.next_row.saturating_add(1);
        Ok(())
    }

    /// The workbook's bytes.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn finish(mut self) -> Result<Vec<u8>, FormError> {
        Ok(self.book.save_to_buffer()?)
    }
}

/// A whole number of magnitude 2^53 at most, which a spreadsheet keeps as it is; every larger one is written as text, where it
/// would round. Read from its digits: every number it is asked of has a value of its own, so nothing is rounded here either.
fn number(cell: &Cell) -> Option<f64> {
    let Cell::Whole(minor) = cell else { return None };
    let exact = (-EXACT..=EXACT).contains(minor);
    exact.then(|| minor.to_string().parse().ok()).flatten()
}

/// Text as XML can hold it, and no longer than a cell.
fn readable(words: &str) -> Cow<'_, str> {
    const LONGEST: usize = 32_767;
    let plain = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    if words.chars().all(plain) && words.len() <= LONGEST {
        return Cow::Borrowed(words);
    }
    words.chars().filter(|c| plain(*c)).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_round_is_text() {
        assert_eq!(number(&Cell::Whole(EXACT)), Some(9_007_199_254_740_992.0));
        assert_eq!(number(&Cell::Whole(-5)), Some(-5.0));
        assert_eq!(number(&Cell::Whole(EXACT + 1)), None);
        assert_eq!(number(&Cell::Whole(-EXACT - 1)), None);
        assert_eq!([i128::MAX, i128::MIN].map(|minor| number(&Cell::Whole(minor))), [None, None]);
        let neighbours = [-EXACT, 1 - EXACT, -1, 0, 1, EXACT - 1, EXACT];
        for minor in neighbours {
            let kept = number(&Cell::Whole(minor)).unwrap();
            assert_eq!(format!("{kept:.0}").parse(), Ok(minor), "back to its digits");
        }
        for cell in [Cell::Text("5".into()), Cell::Moment(5), Cell::Empty] {
            assert_eq!(number(&cell), None, "only a whole number is one");
        }
    }

    /// What does not fit is in the file with all its digits, as text.
    #[test]
    fn a_number_that_is_too_large_keeps_its_digits() {
        let heading = Heading { name: "report-statement", columns: &["report-col-change"] };
        let mut file = XlsxFile::new(&heading, Lang::En).unwrap();
        let large = [EXACT + 1, -EXACT - 1, i128::from(i64::MAX)];
        for minor in [5, EXACT].into_iter().chain(large) {
            file.row(&[Cell::Whole(minor)]).unwrap();
        }
        let bytes = file.finish().unwrap();
        let mut book = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        let mut sheet = String::new();
        std::io::Read::read_to_string(&mut book.by_name("xl/worksheets/sheet1.xml").unwrap(), &mut sheet).unwrap();
        assert!(sheet.contains("<v>5</v>") && sheet.contains("<v>9007199254740992</v>"), "{sheet}");
        for minor in large {
            assert!(sheet.contains(&format!(">{minor}</t>")), "{minor}: {sheet}");
        }
    }

    #[test]
    fn a_sheet_that_is_full_refuses_and_the_same_rows_are_the_same_bytes() {
        let heading = Heading { name: "report-statement", columns: &["report-col-change"] };
        let file = |rows: u32| {
            let mut file = XlsxFile::new(&heading, Lang::En).unwrap();
            file.next_row += rows;
            file.row(&[Cell::Whole(1)]).map(|()| file)
        };
        assert!(matches!(file(MOST_ROWS), Err(FormError::TooLong)));
        assert_eq!(file(1).unwrap().finish().unwrap(), file(1).unwrap().finish().unwrap());
    }
}
