//! Rows of a purchases file: who bought, on which day, for how much.
//!
//! The file is CSV with the columns `ID`, `Date` and `Amount`, named in its first line in any order and case; other
//! columns are ignored. One line is one row. Every line after the header comes out once, as a [`Row`] or as a
//! [`Reject`] with its reason; only a file without a usable header, or a disk that fails, ends the reading.
//!
//! Memory: at most 64 KiB of a line, and 16 bytes of hash with a counter for each distinct row (some 40 bytes each: a
//! million distinct purchases take about 40 MB). That is what telling the second of two equal purchases from the first
//! costs. Rejects take none.
//! Not here: what a row is posted as (import), where rejects go (rejects).

use std::{borrow::Cow, collections::HashMap, fs::File, io, io::BufRead, io::BufReader, path::Path};

use chrono::NaiveDate;
use ring::digest;
use uuid::Uuid;

use super::{
    ImportError,
    fields::{Fields, parse_amount, parse_date},
    lines::{Line, Lines},
};

/// The longest customer ID, in characters.
pub const MAX_CUSTOMER: usize = 128;

/// How much of a rejected line is kept, in characters.
pub const MAX_RAW: usize = 200;

/// A character takes at most four bytes, so this many hold [`MAX_RAW`] characters.
const MAX_RAW_BYTES: usize = MAX_RAW * 4;

/// Changing it, or anything else in [`key`], posts every file a second time.
const KEY_TAG: &[u8] = b"tessera.import.purchase.v1";

const COLUMNS: [&str; 3] = ["ID", "Date", "Amount"];

/// One purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its line in the file; the header is line 1.
    pub line: u64,
    /// Who bought, as the file names them: 1 to [`MAX_CUSTOMER`] characters, none of them a control character.
    pub customer: String,
    /// The day of the purchase, in the shop's time zone.
    pub date: NaiveDate,
    /// What was paid, in minor units of a currency with two decimals; more than 0.
    pub amount_minor: i64,
    /// This is the n-th row of the file with the same customer, day and amount, counted from 1.
    pub repeat: u32,
}

/// One line that is no purchase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its line in the file; the header is line 1.
    pub line: u64,
    /// The first [`MAX_RAW`] characters of the line; what is not UTF-8 or cannot be printed reads `U+FFFD`.
    pub raw: String,
    /// Why it is none.
    pub reason: RejectReason,
}

/// What a line turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A purchase.
    Row(Row),
    /// No purchase.
    Reject(Reject),
}

/// Why a line is no purchase. The text says what was expected, [`code`](Self::code) is for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RejectReason {
    /// Nothing but blanks.
    #[error("the line is empty")]
    EmptyLine,
    /// More than 64 KiB without a line end.
    #[error("the line is longer than 64 KiB")]
    LineTooLong,
    /// Bytes that are no UTF-8.
    #[error("the line is not UTF-8 text")]
    NotUtf8,
    /// A quote is open at the end of the line, or stands in the middle of a field.
    #[error("a quoted field is not closed, or a quote stands within an unquoted one")]
    BadQuotes,
    /// Fewer fields than the header has.
    #[error("the line has fewer fields than the header")]
    MissingColumn,
    /// More fields than the header has: a decimal comma would look like this, and lose its cents if it were let through.
    #[error("the line has more fields than the header")]
    ExtraColumn,
    /// No customer.
    #[error("ID is empty")]
    MissingId,
    /// A customer of more than 128 characters, or with control characters.
    #[error("ID is longer than 128 characters or holds control characters")]
    BadId,
    /// No day of the calendar from 1971 on.
    #[error("Date is not a day written YYYYMMDD or YYYY-MM-DD")]
    BadDate,
    /// No decimal number.
    #[error("Amount is not a plain decimal number such as 12.50")]
    BadAmount,
    /// More than two decimals.
    #[error("Amount has more than two decimals")]
    TooManyDecimals,
    /// Zero: nothing was paid.
    #[error("Amount is zero")]
    ZeroAmount,
    /// Below zero: a refund is not a purchase.
    #[error("Amount is negative")]
    NegativeAmount,
    /// Above 100,000,000,000.00.
    #[error("Amount is above 100000000000.00")]
    AmountTooLarge,
    /// The same purchase more often than can be counted.
    #[error("the same purchase occurs more than 4294967295 times")]
    TooManyRepeats,
    /// A purchase, but the state of an account forbade it: the merchant's is frozen, say. Final for this row.
    #[error("the books refused it: {0}")]
    Refused(&'static str),
}

impl RejectReason {
    /// The stable name of this reason, for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::EmptyLine => "empty_line",
            Self::LineTooLong => "line_too_long",
            Self::NotUtf8 => "not_utf8",
            Self::BadQuotes => "bad_quotes",
            Self::MissingColumn => "missing_column",
            Self::ExtraColumn => "extra_column",
            Self::MissingId => "missing_id",
            Self::BadId => "bad_id",
            Self::BadDate => "bad_date",
            Self::BadAmount => "bad_amount",
            Self::TooManyDecimals => "too_many_decimals",
            Self::ZeroAmount => "zero_amount",
            Self::NegativeAmount => "negative_amount",
            Self::AmountTooLarge => "amount_too_large",
            Self::TooManyRepeats => "too_many_repeats",
            Self::Refused(_) => "refused",
        }
    }
}

impl Row {
    /// The reject of a row that the books refused, with its values for the text.
    pub fn refused(&self, code: &'static str) -> Reject {
        let raw = format!("{},{},{}", self.customer, self.date, amount_text(self.amount_minor));
        Reject { line: self.line, raw, reason: RejectReason::Refused(code) }
    }
}

/// The key under which a row is posted: equal for the same row of the same file, whenever and however often it is read.
///
/// The first 16 bytes of SHA-256 over (tag, merchant, customer, day, amount with two decimals, repeat), each preceded by
/// its length in 8 bytes. The line is not part of it: a row may move within the file.
pub fn key(merchant: &Uuid, row: &Row) -> [u8; 16] {
    let (date, amount) = (row.date.to_string(), amount_text(row.amount_minor));
    let repeat = row.repeat.to_be_bytes();
    hash([KEY_TAG, merchant.as_bytes(), row.customer.as_bytes(), date.as_bytes(), amount.as_bytes(), &repeat])
}

/// Opens the purchases file at `path`.
///
/// # Errors
/// [`ImportError::Open`], and those of [`Rows::new`].
pub fn open(path: &Path) -> Result<Rows<BufReader<File>>, ImportError> {
    let file = File::open(path).map_err(|source| ImportError::Open { path: path.to_owned(), source })?;
    Rows::new(BufReader::new(file))
}

/// The lines of a purchases file after its header, as an iterator that ends after its first error.
#[derive(Debug)]
pub struct Rows<R> {
    lines: Lines<R>,
    header: Header,
    repeats: Repeats,
    ended: bool,
}

impl<R: BufRead> Rows<R> {
    /// Reads the header of `input`.
    ///
    /// # Errors
    /// [`ImportError`]: the header is not there, cannot be read, lacks a column or names one twice.
    pub fn new(input: R) -> Result<Self, ImportError> {
        let mut lines = Lines::new(input);
        let header = match lines.next_line() {
            Ok(Some(line)) => Header::parse(&line)?,
            Ok(None) => return Err(ImportError::Empty),
            Err(source) => return Err(ImportError::Read { line: 0, source }),
        };
        Ok(Self { lines, header, repeats: Repeats::default(), ended: false })
    }

    /// How many bytes of the file were read so far, header included.
    pub fn bytes_read(&self) -> u64 {
        self.lines.bytes_read()
    }

    fn stop(&mut self, source: io::Error) -> ImportError {
        self.ended = true;
        ImportError::Read { line: self.lines.number(), source }
    }
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<Entry, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        match self.lines.next_line() {
            Ok(Some(line)) => Some(Ok(entry(&self.header, &mut self.repeats, &line))),
            Ok(None) => None,
            Err(source) => Some(Err(self.stop(source))),
        }
    }
}

fn entry(header: &Header, repeats: &mut Repeats, line: &Line<'_>) -> Entry {
    match row(header, repeats, line) {
        Ok(row) => Entry::Row(row),
        Err(reason) => Entry::Reject(Reject { line: line.number, raw: raw(line.bytes), reason }),
    }
}

fn row(header: &Header, repeats: &mut Repeats, line: &Line<'_>) -> Result<Row, RejectReason> {
    if line.too_long {
        return Err(RejectReason::LineTooLong);
    }
    let text = str::from_utf8(line.bytes).ok().ok_or(RejectReason::NotUtf8)?;
    if text.trim().is_empty() {
        return Err(RejectReason::EmptyLine);
    }
    let [customer, date, amount] = header.pick(text)?;
    let customer = parse_customer(customer)?;
    let date = parse_date(&date)?;
    let amount_minor = parse_amount(&amount)?;
    let repeat = repeats.count(&customer, date, amount_minor).ok_or(RejectReason::TooManyRepeats)?;
    Ok(Row { line: line.number, customer, date, amount_minor, repeat })
}

fn parse_customer(text: Cow<'_, str>) -> Result<String, RejectReason> {
    if text.is_empty() {
        return Err(RejectReason::MissingId);
    }
    if text.chars().any(char::is_control) || text.chars().nth(MAX_CUSTOMER).is_some() {
        return Err(RejectReason::BadId);
    }
    Ok(text.into_owned())
}

/// The start of a line as text that can be shown: no line of a stranger's file moves a terminal's cursor.
fn raw(line: &[u8]) -> String {
    let start = line.get(..MAX_RAW_BYTES).unwrap_or(line);
    let shown = |shape: char| if shape.is_control() && shape != '\t' { char::REPLACEMENT_CHARACTER } else { shape };
    String::from_utf8_lossy(start).chars().take(MAX_RAW).map(shown).collect()
}

/// Where the needed columns stand.
#[derive(Debug)]
struct Header {
    places: [usize; 3],
    width: usize,
}

impl Header {
    fn parse(line: &Line<'_>) -> Result<Self, ImportError> {
        // Spreadsheets put a byte order mark before the first name.
        let bytes = line.bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line.bytes);
        let text = str::from_utf8(bytes).ok().filter(|_| !line.too_long).ok_or(ImportError::HeaderUnreadable)?;
        let names: Result<Vec<_>, _> = Fields::of(text).collect();
        let names = names.ok().ok_or(ImportError::HeaderUnreadable)?;
        let missing: Vec<_> = COLUMNS.into_iter().filter(|column| place(&names, column).is_none()).collect();
        let [Some(id), Some(date), Some(amount)] = COLUMNS.map(|column| place(&names, column)) else {
            return Err(ImportError::MissingColumns { columns: missing });
        };
        let is_double = |column: &&str| names.iter().filter(|name| name.eq_ignore_ascii_case(column)).count() > 1;
        match COLUMNS.into_iter().find(is_double) {
            Some(column) => Err(ImportError::DuplicateColumn { column }),
            None => Ok(Self { places: [id, date, amount], width: names.len() }),
        }
    }

    /// The needed fields of a row, which must have as many as the header.
    fn pick<'a>(&self, text: &'a str) -> Result<[Cow<'a, str>; 3], RejectReason> {
        let mut picked = [Cow::Borrowed(""), Cow::Borrowed(""), Cow::Borrowed("")];
        let mut width = 0;
        for field in Fields::of(text) {
            let mut field = Some(field?);
            for (slot, _) in picked.iter_mut().zip(self.places).filter(|(_, place)| *place == width) {
                *slot = field.take().unwrap_or_default();
            }
            width += 1;
        }
        match width.cmp(&self.width) {
            std::cmp::Ordering::Less => Err(RejectReason::MissingColumn),
            std::cmp::Ordering::Equal => Ok(picked),
            std::cmp::Ordering::Greater => Err(RejectReason::ExtraColumn),
        }
    }
}

fn place(names: &[Cow<'_, str>], column: &str) -> Option<usize> {
    names.iter().position(|name| name.eq_ignore_ascii_case(column))
}

/// How often each distinct row came so far, by its hash.
#[derive(Debug, Default)]
struct Repeats(HashMap<[u8; 16], u32, foldhash::fast::RandomState>);

impl Repeats {
    /// Counts one more such row. `None` when there are more than a `u32` can tell apart.
    ///
    /// It counts what [`key`] hashes, the amount in its one text: `12` and `12.00` are the same row twice.
    fn count(&mut self, customer: &str, date: NaiveDate, amount_minor: i64) -> Option<u32> {
        let (date, amount) = (date.to_string(), amount_text(amount_minor));
        let seen = self.0.entry(hash([customer.as_bytes(), date.as_bytes(), amount.as_bytes()])).or_insert(0);
        *seen = seen.checked_add(1)?;
        Some(*seen)
    }
}

fn amount_text(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// Lengths go before the parts, so that no two lists of parts read the same.
fn hash<const N: usize>(parts: [&[u8]; N]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut short = [0; 16];
    short.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    short
}

#[cfg(test)]
mod tests;
