//! Why the database could not be asked, and what its own errors are to a caller.

use diesel::result::{DatabaseErrorKind, Error as SqlError};

use crate::platform::problem::{Chain, Describe, Problem};

/// Why the database could not be asked. Whether the statement had an effect is unknown only for [`Deadline`](Self::Deadline).
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Every place in the pool stayed taken.
    #[error("no free place in the connection pool")]
    Busy,
    /// The call outlived its deadline.
    #[error("database call outlived its deadline")]
    Deadline,
    /// No connection could be made.
    #[error("database cannot be reached")]
    Unreachable(#[from] diesel::r2d2::PoolError),
    /// The work panicked, or the process is ending.
    #[error("database work was cut short")]
    CutShort,
    /// The work left a transaction open, or ended the one it was given: nothing of it counts as done.
    #[error("database work did not end its transactions as it began them")]
    LeftOpen,
}

impl Describe for DbError {
    fn describe(&self) -> Problem {
        match self {
            Self::Busy => busy(),
            Self::Deadline => slow(),
            Self::Unreachable(error) => {
                tracing::error!(error = %Chain(error), "database cannot be reached");
                unreachable()
            }
            Self::CutShort | Self::LeftOpen => Problem::internal(self),
        }
    }
}

impl Describe for SqlError {
    fn describe(&self) -> Problem {
        use DatabaseErrorKind::{ClosedConnection, SerializationFailure, UnableToSendCommand};
        let Self::DatabaseError(kind, info) = self else { return Problem::internal(self) };
        if matches!(kind, ClosedConnection | UnableToSendCommand) || is_lost(info.message()) {
            return unreachable();
        }
        if matches!(kind, SerializationFailure) {
            return busy();
        }
        // A server that speaks another language than English is answered 500 here: diesel keeps no SQLSTATE.
        if info.message().starts_with("canceling statement due to") {
            return slow();
        }
        Problem::internal(self)
    }
}

/// Whether an error says that the session is gone. By its text, since diesel takes some for errors like any other: those
/// of a session that was dropped because another one crashed (F3).
fn is_lost(message: &str) -> bool {
    const LOST: [&str; 6] = [
        "server closed the connection unexpectedly",
        "could not receive data from server",
        "could not send data to server",
        "no connection to the server",
        "terminating connection due to",
        "terminating connection because of",
    ];
    LOST.iter().any(|start| message.starts_with(start))
}

fn busy() -> Problem {
    Problem::new(503, "database-busy", "Too much at once", "Try again in a moment.").retry_after(1)
}

fn slow() -> Problem {
    Problem::new(
        503,
        "database-slow",
        "This took too long",
        "Repeat the request; if it changes something, with the same Idempotency-Key.",
    )
    .retry_after(2)
}

fn unreachable() -> Problem {
    Problem::new(
        503,
        "database-unreachable",
        "We cannot reach our books",
        "Repeat the request in a moment; if it changes something, with the same Idempotency-Key.",
    )
    .retry_after(2)
}
