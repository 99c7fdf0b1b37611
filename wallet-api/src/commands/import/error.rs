//! Why a whole file was not imported. What is wrong with one row is a `rows::RejectReason`.

use std::{io, path::PathBuf};

/// Why a purchases file cannot be imported, or not further. [`remedy`](Self::remedy) says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Reading stopped within the file.
    #[error("reading stopped after line {line}")]
    Read {
        /// The last line that was read whole; 0 when not even the header was.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The file has no first line.
    #[error("the file is empty")]
    Empty,
    /// The first line is not text: longer than a line may be, not UTF-8, or with a quote left open.
    #[error("the first line is not a CSV header")]
    HeaderUnreadable,
    /// The first line does not name every column that is needed.
    #[error("the header lacks {}", columns.join(", "))]
    MissingColumns {
        /// The names not found.
        columns: Vec<&'static str>,
    },
    /// The first line names a needed column twice, so that nobody can say which one counts.
    #[error("the header names {column} twice")]
    DuplicateColumn {
        /// The name found twice.
        column: &'static str,
    },
    /// The rejects file could not be written.
    #[error("cannot write rejects to {}", path.display())]
    Rejects {
        /// Where rejects were to go.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The rejects file would overwrite the file being read.
    #[error("rejects would overwrite the input, {}", path.display())]
    RejectsOverInput {
        /// The file named for both.
        path: PathBuf,
    },
}

impl ImportError {
    /// What whoever called the command can do about it, as one sentence.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Open { .. } => "Check that the file exists and that you may read it.",
            Self::Read { .. } => {
                "Check the file and its disk, then run the import again: rows already posted are not posted twice."
            }
            Self::Empty => "Give a CSV file whose first line is ID,Date,Amount.",
            Self::HeaderUnreadable | Self::MissingColumns { .. } => {
                "Save the file as UTF-8 CSV, fields separated by commas, with ID, Date and Amount in the first line."
            }
            Self::DuplicateColumn { .. } => "Rename or remove one of the two columns.",
            Self::Rejects { .. } => "Name a rejects file in a folder you may write to, on a disk with room.",
            Self::RejectsOverInput { .. } => "Name another file for the rejects.",
        }
    }
}
