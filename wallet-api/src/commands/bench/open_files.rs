//! Room for many connections: systems allow few open files at first, and more to who asks.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Why as many files as needed cannot be open at once.
#[derive(Debug, thiserror::Error)]
pub enum OpenFilesError {
    /// The system's ceiling is too low.
    #[error("{wanted} files must be open at once, the system allows {ceiling} (raise it with `ulimit -Hn`)")]
    Ceiling {
        /// What was asked for.
        wanted: u64,
        /// What the system allows at most.
        ceiling: u64,
    },
    /// The system refused to change the limit.
    #[error("the limit of open files cannot be raised")]
    Refused(#[source] io::Error),
}

/// Lets this process, and those it starts from now on, have `wanted` files open at once. Never lowers the limit.
///
/// # Errors
/// [`OpenFilesError`]
pub fn allow(wanted: u64) -> Result<(), OpenFilesError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // No value means no limit.
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if let Some(ceiling) = maximum.filter(|ceiling| *ceiling < wanted) {
        return Err(OpenFilesError::Ceiling { wanted, ceiling });
    }
    let raised = Rlimit { current: Some(wanted), maximum };
    setrlimit(Resource::Nofile, raised).map_err(|errno| OpenFilesError::Refused(errno.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_wanted_and_never_lowered() {
        let limit = || getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let before = limit();
        allow(1).unwrap();
        assert_eq!(limit(), before);
        let wanted = getrlimit(Resource::Nofile).maximum.unwrap_or(before + 1).min(before.saturating_add(1));
        allow(wanted).unwrap();
        assert!(limit() >= wanted);
    }

    #[test]
    fn more_than_the_system_allows_is_refused_by_name() {
        if let Some(ceiling) = getrlimit(Resource::Nofile).maximum {
            let refused = allow(ceiling + 1);
            assert!(matches!(refused, Err(OpenFilesError::Ceiling { .. })) || limit_is(u64::MAX));
        }
    }

    fn limit_is(limit: u64) -> bool {
        getrlimit(Resource::Nofile).current == Some(limit)
    }
}
