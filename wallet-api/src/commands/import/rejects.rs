//! The rejects file: every line of an imported file that was set aside, with its reason.
//!
//! CSV with the columns `line,reason,detail,raw`. It is made when the first reject comes, replaces what stood there, is
//! readable by its owner only (a line may name a customer), and never grows past [`MAX_BYTES`]: a file full of line
//! ends would otherwise fill the disk. What comes after that is counted, and the last line says so.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use super::{ImportError, rows::Reject};

/// How large the file may become, in bytes, give or take its last line.
pub const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Takes rejects and writes them down.
pub struct Rejects {
    path: PathBuf,
    max_bytes: u64,
    out: Option<Out>,
    count: u64,
}

/// A file being written. `full` once the limit was reached.
struct Out {
    csv: csv::Writer<Counted>,
    full: bool,
}

impl Rejects {
    /// Rejects of `input` will go to `path`. Touches nothing yet.
    ///
    /// # Errors
    /// [`ImportError::RejectsOverInput`] when both are the same file, under whatever names.
    pub fn new(path: &Path, input: &Path) -> Result<Self, ImportError> {
        if is_same_file(path, input) {
            return Err(ImportError::RejectsOverInput { path: path.to_owned() });
        }
        Ok(Self { path: path.to_owned(), max_bytes: MAX_BYTES, out: None, count: 0 })
    }

    /// Writes one reject down.
    ///
    /// # Errors
    /// [`ImportError::Rejects`] when the file cannot be made or written.
    pub fn add(&mut self, reject: &Reject) -> Result<(), ImportError> {
        self.add_line(reject.line, reject.reason.code(), &reject.reason.to_string(), &reject.raw)
    }

    /// Writes a line down that was set aside, with the stable name of the reason, its words, and how the line begins.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_line(&mut self, line: u64, code: &str, detail: &str, raw: &str) -> Result<(), ImportError> {
        self.count += 1;
        let written = self.write(line, code, detail, raw);
        written.map_err(|source| ImportError::Rejects { path: self.path.clone(), source })
    }

    /// How many rejects came, written or not.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Ends the file and says where it is, or `None` when there was nothing to write.
    ///
    /// # Errors
    /// [`ImportError::Rejects`] when the rest cannot be written.
    pub fn finish(self) -> Result<Option<PathBuf>, ImportError> {
        let Some(mut out) = self.out else { return Ok(None) };
        match out.csv.flush() {
            Ok(()) => Ok(Some(self.path)),
            Err(source) => Err(ImportError::Rejects { path: self.path, source }),
        }
    }

    fn write(&mut self, line: u64, code: &str, detail: &str, raw: &str) -> io::Result<()> {
        let out = match &mut self.out {
            Some(out) => out,
            none => none.insert(Out::create(&self.path)?),
        };
        if out.full {
            return Ok(());
        }
        let line = line.to_string();
        // Bytes that wait in the CSV writer's own 8 KiB are not counted yet: the limit is soft by that much.
        if out.csv.get_ref().written >= self.max_bytes {
            out.full = true;
            return Ok(out.csv.write_record([
                &line,
                "not_listed",
                "this and later rejects are counted, not listed",
                "",
            ])?);
        }
        Ok(out.csv.write_record([line.as_str(), code, detail, raw])?)
    }
}

impl Out {
    fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = Counted { file: BufWriter::new(options.open(path)?), written: 0 };
        let mut csv = csv::Writer::from_writer(file);
        csv.write_record(["line", "reason", "detail", "raw"])?;
        Ok(Self { csv, full: false })
    }
}

/// A file that knows how much was written to it.
struct Counted {
    file: BufWriter<File>,
    written: u64,
}

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.written += u64::try_from(written).unwrap_or(u64::MAX);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (fs::metadata(one), fs::metadata(other)) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }
    #[cfg(not(unix))]
    false
}

#[cfg(test)]
mod tests {
    use super::{super::rows::RejectReason, *};

    fn reject(line: u64, raw: &str) -> Reject {
        Reject { line, raw: raw.to_owned(), reason: RejectReason::BadAmount }
    }

    #[test]
    fn the_file_is_made_with_the_first_reject_and_replaces_an_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let (path, input) = (folder.path().join("rejects.csv"), folder.path().join("in.csv"));
        fs::write(&path, "of an earlier run").unwrap();

        let none = Rejects::new(&path, &input).unwrap();
        assert_eq!(none.finish().unwrap(), None);
        assert_eq!(fs::read_to_string(&path).unwrap(), "of an earlier run");

        let mut some = Rejects::new(&path, &input).unwrap();
        some.add(&reject(7, "1,\"x\",y")).unwrap();
        assert_eq!((some.count(), some.finish().unwrap()), (1, Some(path.clone())));
        let expected = "line,reason,detail,raw\n7,bad_amount,Amount is not a plain decimal number such as 12.50,\"1,\"\"x\"\",y\"\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
    }

    #[test]
    fn a_file_full_of_rejects_does_not_fill_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects.csv");
        let mut rejects = Rejects::new(&path, &folder.path().join("in.csv")).unwrap();
        rejects.max_bytes = 10_000;
        for line in 2..10_002 {
            rejects.add(&reject(line, &"x".repeat(100))).unwrap();
        }
        assert_eq!(rejects.count(), 10_000);
        rejects.finish().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!((10_000..30_000).contains(&text.len()), "{}", text.len());
        assert!(text.lines().last().unwrap().contains(",not_listed,"));
    }

    #[test]
    fn the_input_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let (input, link) = (folder.path().join("in.csv"), folder.path().join("link.csv"));
        fs::write(&input, "ID,Date,Amount\n").unwrap();
        fs::hard_link(&input, &link).unwrap();
        for path in [&input, &link] {
            assert!(matches!(Rejects::new(path, &input), Err(ImportError::RejectsOverInput { .. })));
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut rejects = Rejects::new(folder.path(), &folder.path().join("in.csv")).unwrap();
        assert!(matches!(rejects.add(&reject(2, "")), Err(ImportError::Rejects { path, .. }) if path == folder.path()));
    }
}
