//! The file that a range of transfers is archived in: lines of text that say by themselves what they are.
//!
//! ```text
//! tessera archived transfers 1
//! journal 7
//! fork 0196f0c2-5d0e-7a3b-9a51-3d2f0a4b1c77
//! seqs 1179648 2228223
//! rows 1500000
//! columns seq leg kind asset debit credit amount debit_balance … credit_version
//! 1179648 0 1 1 42 17 1999 -1999 0 4 1999 0 11
//! …
//! end 1500000 <SHA-256 of everything before this line, hexadecimal>
//! ```
//!
//! Accounts and assets go by the journal's numbers, which its records define. One range has one file and no other: no
//! time and no chance is in it, so that who begins again writes the same bytes. Read as a stream; a file that ends early, goes
//! on after its end, or has its rows out of order does not read.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use uuid::Uuid;

use super::{ArchiveError, Archived};
use crate::JournalId;

/// How the first line begins; the number is that of the form.
const FORM: &str = "tessera archived transfers 1";
/// What a row's numbers are, in their order.
const COLUMNS: &str = "seq leg kind asset debit credit amount debit_balance debit_held debit_version credit_balance \
    credit_held credit_version";
/// Numbers in a row.
pub(crate) const WIDTH: usize = 13;
/// No line we write is longer.
const LONGEST: u64 = 1 << 10;

/// A transfer as it is stored but for its journal, in the order of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row(pub(crate) [i64; WIDTH]);

impl Row {
    /// Where it is: seq and leg.
    pub(crate) const fn place(&self) -> (i64, i64) {
        let [seq, leg, ..] = self.0;
        (seq, leg)
    }
}

/// What a file says of itself before its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which range of which journal.
    pub range: Archived,
    /// The line of history that its last record was written on.
    pub fork: Uuid,
    /// How many rows follow.
    pub rows: i64,
}

/// Writes one file from its beginning to its end.
pub(super) struct FileWriter {
    file: BufWriter<File>,
    hash: Context,
    line: String,
    path: PathBuf,
}

impl FileWriter {
    /// Begins a file; one that is there is begun anew.
    pub(super) fn begin(path: &Path, header: &Header) -> Result<Self, ArchiveError> {
        let file = File::create(path).map_err(ArchiveError::io(path))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let mut writer = Self { file, hash: Context::new(&SHA256), line: String::new(), path: path.to_owned() };
        let Header { range: Archived { journal, first_seq, last_seq }, fork, rows } = header;
        let head = format!(
            "{FORM}\njournal {}\nfork {fork}\nseqs {first_seq} {last_seq}\nrows {rows}\ncolumns {COLUMNS}\n",
            journal.0
        );
        writer.put(&head)?;
        Ok(writer)
    }

    fn put(&mut self, text: &str) -> Result<(), ArchiveError> {
        self.hash.update(text.as_bytes());
        self.file.write_all(text.as_bytes()).map_err(ArchiveError::io(&self.path))
    }

    pub(super) fn row(&mut self, row: &Row) -> Result<(), ArchiveError> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        for (place, number) in row.0.iter().enumerate() {
            if place > 0 {
                line.push(' ');
            }
            line.push_str(&number.to_string());
        }
        line.push('\n');
        let put = self.put(&line);
        self.line = line;
        put
    }

    /// Ends the file, and waits until the disk has it. Its digest is answered.
    pub(super) fn end(mut self, rows: i64) -> Result<[u8; 32], ArchiveError> {
        let digest = digest_of(self.hash.clone());
        let end = format!("end {rows} {}\n", HEXLOWER.encode(&digest));
        self.file.write_all(end.as_bytes()).map_err(ArchiveError::io(&self.path))?;
        let file = self.file.into_inner().map_err(|error| ArchiveError::io(&self.path)(error.into_error()))?;
        file.sync_all().map_err(ArchiveError::io(&self.path))?;
        Ok(digest)
    }
}

fn digest_of(hash: Context) -> [u8; 32] {
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

/// Reads a file from its beginning to its end, and believes nothing of it.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: BufReader<File>,
    path: PathBuf,
    hash: HashOf,
    line: String,
    number: u64,
    header: Header,
    read: i64,
    last: (i64, i64),
    digest: Option<[u8; 32]>,
}

/// A hash that shows nothing of itself.
struct HashOf(Context);

impl std::fmt::Debug for HashOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SHA-256")
    }
}

impl FileReader {
    /// Opens a file and reads what it says of itself.
    pub(crate) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let file = File::open(path).map_err(ArchiveError::io(path))?;
        let range = Archived { journal: JournalId(0), first_seq: 0, last_seq: 0 };
        let mut reader = Self {
            file: BufReader::with_capacity(1 << 20, file),
            path: path.to_owned(),
            hash: HashOf(Context::new(&SHA256)),
            line: String::new(),
            number: 0,
            header: Header { range, fork: Uuid::nil(), rows: 0 },
            read: 0,
            last: (i64::MIN, i64::MIN),
            digest: None,
        };
        reader.header = reader.head()?;
        Ok(reader)
    }

    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    /// SHA-256 over all but the last line, once that was read.
    pub(crate) const fn digest(&self) -> Option<[u8; 32]> {
        self.digest
    }

    /// The line there was trouble with.
    pub(crate) fn fails(&self, what: &'static str) -> ArchiveError {
        ArchiveError::Form { path: self.path.clone(), line: self.number, what }
    }

    /// Reads the next line into `line`, without its end.
    fn next_line(&mut self) -> Result<(), ArchiveError> {
        use std::io::Read as _;
        self.line.clear();
        self.number = self.number.saturating_add(1);
        let read = (&mut self.file).take(LONGEST).read_line(&mut self.line);
        read.map_err(ArchiveError::io(&self.path))?;
        if self.line.pop() != Some('\n') {
            return Err(self.fails("the file ends before its end, or a line is none of ours"));
        }
        Ok(())
    }

    fn take_in(&mut self) {
        self.hash.0.update(self.line.as_bytes());
        self.hash.0.update(b"\n");
    }

    fn head(&mut self) -> Result<Header, ArchiveError> {
        self.said(FORM, "")?;
        let journal = self.said("journal ", "which journal")?;
        let journal = journal.parse().map_err(|_not_a_number| self.fails("which journal"))?;
        let fork = self.said("fork ", "which line of history")?;
        let fork = fork.parse().map_err(|_not_an_id| self.fails("which line of history"))?;
        let seqs = self.said("seqs ", "which seqs")?;
        let seqs = seqs.split_once(' ').and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
        let (first_seq, last_seq) = seqs.ok_or_else(|| self.fails("which seqs"))?;
        let rows = self.said("rows ", "how many rows")?;
        let rows = rows.parse().map_err(|_not_a_number| self.fails("how many rows"))?;
        if self.said("columns ", "which columns")? != COLUMNS {
            return Err(self.fails("these are other columns"));
        }
        Ok(Header { range: Archived { journal: JournalId(journal), first_seq, last_seq }, fork, rows })
    }

    /// What the next line says after these words.
    fn said(&mut self, words: &str, what: &'static str) -> Result<String, ArchiveError> {
        self.next_line()?;
        let missing = if what.is_empty() { "this is no archive of this form" } else { what };
        let said = self.line.strip_prefix(words).map(str::to_owned).ok_or_else(|| self.fails(missing))?;
        self.take_in();
        Ok(said)
    }

    /// The next row; none at the end, whose count and digest were then checked.
    pub(crate) fn next(&mut self) -> Result<Option<Row>, ArchiveError> {
        if self.digest.is_some() {
            return Ok(None);
        }
        self.next_line()?;
        if let Some(end) = self.line.strip_prefix("end ") {
            let end = end.to_owned();
            return self.end(&end).map(|()| None);
        }
        let mut numbers = self.line.split(' ').map(str::parse::<i64>);
        let mut row = Row([0; WIDTH]);
        for place in &mut row.0 {
            let number = numbers.next().and_then(Result::ok);
            *place = number.ok_or_else(|| self.fails("the row does not read"))?;
        }
        let Archived { first_seq, last_seq, .. } = self.header.range;
        if numbers.next().is_some() || !(first_seq..=last_seq).contains(&row.place().0) || row.place() <= self.last {
            return Err(self.fails("the row is not of this range, or out of order"));
        }
        self.last = row.place();
        self.read = self.read.saturating_add(1);
        self.take_in();
        Ok(Some(row))
    }

    fn end(&mut self, end: &str) -> Result<(), ArchiveError> {
        let digest = digest_of(self.hash.0.clone());
        if self.read != self.header.rows || end != format!("{} {}", self.read, HEXLOWER.encode(&digest)) {
            return Err(self.fails("its rows are not those that its end vouches for"));
        }
        if !self.file.fill_buf().map_err(ArchiveError::io(&self.path))?.is_empty() {
            return Err(self.fails("it goes on after its end"));
        }
        self.digest = Some(digest);
        Ok(())
    }

    /// Reads what is left, for the sake of its end.
    pub(crate) fn finish(&mut self) -> Result<[u8; 32], ArchiveError> {
        while self.next()?.is_some() {}
        self.digest.ok_or_else(|| self.fails("it has no end"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(rows: i64) -> Header {
        let range = Archived { journal: JournalId(7), first_seq: 300, last_seq: 499 };
        Header { range, fork: Uuid::from_u128(5), rows }
    }

    fn row(seq: i64, leg: i64) -> Row {
        Row([seq, leg, 1, 1, 5, 3, 9, -9, 0, i64::MIN, i64::MAX, 0, 1])
    }

    fn written(name: &str, rows: &[Row]) -> (PathBuf, [u8; 32]) {
        let path = std::env::temp_dir().join(format!("tessera-{}-{name}", std::process::id()));
        let count = i64::try_from(rows.len()).unwrap();
        let mut file = FileWriter::begin(&path, &header(count)).unwrap();
        rows.iter().for_each(|row| file.row(row).unwrap());
        (path.clone(), file.end(count).unwrap())
    }

    fn read(path: &Path) -> Result<(Header, Vec<Row>, [u8; 32]), ArchiveError> {
        let mut reader = FileReader::open(path)?;
        let mut rows = Vec::new();
        while let Some(row) = reader.next()? {
            rows.push(row);
        }
        Ok((*reader.header(), rows, reader.finish()?))
    }

    #[test]
    fn what_is_written_is_read_and_is_the_same_bytes_each_time() {
        let rows = [row(300, 0), row(300, 1), row(499, 0)];
        let (path, digest) = written("same", &rows);
        assert_eq!(read(&path).unwrap(), (header(3), rows.to_vec(), digest));
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(written("same", &rows).1, digest);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        std::fs::remove_file(path).unwrap();
    }

    /// Every byte counts: whichever is changed, taken away or put in, the file does not read.
    #[test]
    fn a_file_with_any_byte_changed_does_not_read() {
        let (path, _) = written("changed", &[row(300, 0), row(301, 0)]);
        let bytes = std::fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            let (mut changed, mut shorter) = (bytes.clone(), bytes.clone());
            changed[place] ^= 1;
            shorter.truncate(place);
            for forged in [changed, shorter] {
                std::fs::write(&path, forged).unwrap();
                assert!(read(&path).is_err(), "byte {place}");
            }
        }
        std::fs::write(&path, [bytes.as_slice(), b"\n"].concat()).unwrap();
        assert!(read(&path).is_err());
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn rows_of_another_range_and_rows_out_of_order_do_not_read() {
        for rows in [[row(299, 0), row(300, 0)], [row(499, 0), row(500, 0)], [row(301, 0), row(300, 0)]] {
            let (path, _) = written("order", &rows);
            assert!(matches!(read(&path), Err(ArchiveError::Form { .. })));
            std::fs::remove_file(path).unwrap();
        }
    }
}
