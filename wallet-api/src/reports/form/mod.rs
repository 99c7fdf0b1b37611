//! Reports as files: one table, written as CSV or as a workbook.
//!
//! Promise: figures are exact. In CSV each is its digits; in a workbook it is a number as long as a spreadsheet keeps it
//! exact (2^53), and text beyond. No cell is ever a formula: text that a spreadsheet would take for one is written with an
//! apostrophe before it in CSV, and as a string in a workbook. Headings are in the language of the reader, values are the
//! same in all. CSV is RFC 4180: UTF-8 without a byte order mark, commas, CRLF.
//! Not here: what the rows say.

mod csv;
mod xlsx;

use chrono::{DateTime, SecondsFormat};

pub use self::csv::CsvFile;
pub use xlsx::XlsxFile;

use crate::platform::problem::{Describe, Problem};
use crate::platform::text::{Lang, text};

/// One cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Words, an id, a code.
    Text(String),
    /// A whole number.
    Whole(i128),
    /// Microseconds since 1970, written as RFC 3339 in UTC.
    Moment(i64),
    /// Nothing.
    Empty,
}

impl Cell {
    /// What it says, as digits or words.
    fn words(&self) -> String {
        match self {
            Self::Text(words) => words.clone(),
            Self::Whole(minor) => minor.to_string(),
            Self::Moment(us) => DateTime::from_timestamp_micros(*us)
                .map_or_else(|| us.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::Micros, true)),
            Self::Empty => String::new(),
        }
    }
}

impl From<&str> for Cell {
    fn from(words: &str) -> Self {
        Self::Text(words.to_owned())
    }
}

/// Which form a report takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Comma-separated values.
    Csv,
    /// A workbook of Office Open XML.
    Xlsx,
}

impl Form {
    /// What a client calls it.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }

    /// What a file's name ends with.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }
}

/// A report's table before its rows: the catalogue ids of its name and its headings.
#[derive(Debug, Clone, Copy)]
pub struct Heading {
    /// Of the table.
    pub name: &'static str,
    /// Of the columns.
    pub columns: &'static [&'static str],
}

impl Heading {
    fn columns_in(&self, lang: Lang) -> impl Iterator<Item = String> + '_ {
        self.columns.iter().map(move |id| text(lang, id, &[]))
    }
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// More rows than a sheet holds.
    #[error("a sheet holds {} rows", xlsx::MOST_ROWS)]
    TooLong,
    /// The workbook could not be put together.
    #[error("the workbook could not be written")]
    Workbook(#[from] rust_xlsxwriter::XlsxError),
    /// The rows could not be written.
    #[error("the rows could not be written")]
    Csv(#[from] ::csv::Error),
}

impl Describe for FormError {
    fn describe(&self) -> Problem {
        match self {
            Self::TooLong => {
                let detail = "Ask for CSV, or for a shorter time.";
                Problem::new(422, "report-too-long", "The report does not fit a sheet", detail)
            }
            Self::Workbook(_) | Self::Csv(_) => Problem::internal(self),
        }
    }
}
