//! Rows of the past as a random request means them.

use ledger::LegRef;
use proptest::prelude::*;

/// A row of the past that is not known before the story is played. It travels as a seq below zero.
#[derive(Debug, Clone, Copy)]
pub struct Pick {
    /// Which of those there are.
    pub which: usize,
    /// How it is asked for.
    pub manner: Manner,
}

/// How much of a row is asked for, and whether rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// All there is left.
    Whole,
    /// The transfer's own amount, or what is left if that is less.
    Part,
    /// One unit more than is left.
    More,
    /// Of other accounts than the row's.
    Astray,
}

const MANNERS: [Manner; 4] = [Manner::Whole, Manner::Part, Manner::More, Manner::Astray];

impl Pick {
    /// What a reference stands for, if it is one.
    pub fn of(place: LegRef) -> Option<Self> {
        let which = usize::try_from(-1 - place.seq).ok()?;
        Some(Self { which, manner: MANNERS[usize::try_from(place.leg).ok()?] })
    }

    fn place(self) -> LegRef {
        let leg = MANNERS.iter().position(|manner| *manner == self.manner).unwrap();
        LegRef { seq: -1 - i64::try_from(self.which).unwrap(), leg: i32::try_from(leg).unwrap() }
    }
}

pub fn any_pick() -> impl Strategy<Value = LegRef> {
    let manner = prop_oneof![
        8 => Just(Manner::Whole),
        10 => Just(Manner::Part),
        3 => Just(Manner::More),
        1 => Just(Manner::Astray),
    ];
    let picked = (0..40_usize, manner).prop_map(|(which, manner)| Pick { which, manner }.place());
    prop_oneof![60 => picked, 1 => (0..20_000_i64, 0..4_i32).prop_map(|(seq, leg)| LegRef { seq, leg })]
}
