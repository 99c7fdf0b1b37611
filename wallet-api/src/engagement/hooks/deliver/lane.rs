//! The three lanes of an endpoint: which delivery takes which, and how much each may hold.

use super::outbox::Job;

/// Deliveries in memory for one endpoint.
pub(super) const PLACES: PerLane<usize> = PerLane { first: 2_048, retry: 512, replay: 256 };

/// One of an endpoint's lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// First attempts.
    First,
    /// Second and later attempts.
    Retry,
    /// What is told again on request.
    Replay,
}

/// One value for each lane.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PerLane<T> {
    /// First attempts.
    pub first: T,
    /// Second and later attempts.
    pub retry: T,
    /// What is told again on request.
    pub replay: T,
}

/// Attempts at once to one endpoint; at least one is made on each lane.
pub type Concurrency = PerLane<usize>;

impl Lane {
    pub(super) const ALL: [Self; 3] = [Self::First, Self::Retry, Self::Replay];

    /// The lane of a delivery: as the table's index has it.
    pub(super) fn of(job: &Job) -> Self {
        match (job.replayed, job.attempts) {
            (Some(_), _) => Self::Replay,
            (None, 1..) => Self::Retry,
            (None, _) => Self::First,
        }
    }

    /// Its name in figures.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Retry => "retry",
            Self::Replay => "replay",
        }
    }

    /// Its number in the table's index: see `bulk::lane`.
    pub(super) fn code(self) -> i32 {
        match self {
            Self::First => 0,
            Self::Retry => 1,
            Self::Replay => 2,
        }
    }

    /// The lane of a number.
    pub(super) fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.code() == code)
    }
}

impl<T> PerLane<T> {
    pub(super) fn of(&self, lane: Lane) -> &T {
        match lane {
            Lane::First => &self.first,
            Lane::Retry => &self.retry,
            Lane::Replay => &self.replay,
        }
    }

    pub(super) fn of_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::First => &mut self.first,
            Lane::Retry => &mut self.retry,
            Lane::Replay => &mut self.replay,
        }
    }

    /// A sum over all lanes.
    pub(super) fn sum(&self, of: impl Fn(&T) -> usize) -> usize {
        Lane::ALL.into_iter().map(|lane| of(self.of(lane))).fold(0, usize::saturating_add)
    }
}
