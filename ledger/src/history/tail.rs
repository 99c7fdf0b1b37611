//! The tail of one journal in memory: of every account, the places of its rows in ranges that have no index yet.

use uuid::Uuid;

use crate::Record;
use crate::apply::Map;

/// Bits of a packed place that number the leg: a transaction has at most a few thousand.
const LEG_BITS: u32 = 20;

/// Where a row is: rows are ordered by it as they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The record.
    pub seq: i64,
    /// The transfer inside it.
    pub leg: i32,
}

/// A place in eight bytes, ordered as places are; `journal.places` holds them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Packed(pub(crate) i64);

impl Packed {
    pub(crate) fn of(place: Place) -> Option<Self> {
        let leg = i64::from(place.leg);
        let fits = (0..1 << LEG_BITS).contains(&leg) && (0..i64::MAX >> LEG_BITS).contains(&place.seq);
        fits.then_some(Self((place.seq << LEG_BITS) | leg))
    }

    pub(crate) fn place(self) -> Place {
        let leg = i32::try_from(self.0 & ((1 << LEG_BITS) - 1)).unwrap_or(0);
        Place { seq: self.0 >> LEG_BITS, leg }
    }

    /// The first place after every row of `seq`.
    pub(crate) fn after(seq: i64) -> Self {
        let next = seq.saturating_add(1).clamp(0, i64::MAX >> LEG_BITS);
        Self(next << LEG_BITS)
    }
}

/// A row's place and its two accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) place: Place,
    pub(crate) debit: i64,
    pub(crate) credit: i64,
}

/// Every row after `from`, up to `upto`, by account.
#[derive(Debug)]
pub(super) struct Tail {
    fork: Uuid,
    from: i64,
    upto: i64,
    places: Map<i64, Vec<Packed>>,
    transfers: usize,
    /// It grew past what there is room for; until the next range is closed nothing is kept.
    is_over: bool,
}

impl Tail {
    /// A tail that begins after `from`, with nothing in it.
    pub(super) fn new(fork: Uuid, from: i64) -> Self {
        Self { fork, from, upto: from, places: Map::default(), transfers: 0, is_over: false }
    }

    pub(super) fn upto(&self) -> i64 {
        self.upto
    }

    pub(super) fn from(&self) -> i64 {
        self.from
    }

    /// Transfers in it.
    pub(super) fn len(&self) -> usize {
        self.transfers
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Begins after `indexed`, on this fork: what an index finds by now is forgotten.
    pub(super) fn begin_after(&mut self, fork: Uuid, indexed: i64) {
        if fork != self.fork || indexed > self.upto || (self.is_over && indexed > self.from) {
            *self = Self::new(fork, indexed);
        } else if indexed > self.from {
            let first = Packed::after(indexed);
            self.places.retain(|_, places| {
                places.drain(..places.partition_point(|place| *place < first));
                places.shrink_to_fit();
                !places.is_empty()
            });
            // Each transfer has a place with both of its accounts.
            self.transfers = self.places.values().map(Vec::len).fold(0, usize::saturating_add) / 2;
            self.from = indexed;
        }
    }

    /// Takes in the rows that come next, in order, up to `upto`. False when they are more than `most` then: all is let go.
    pub(super) fn push(&mut self, rows: impl Iterator<Item = Sides>, upto: i64, most: usize) -> bool {
        if self.is_over {
            return false;
        }
        for Sides { place, debit, credit } in rows {
            let Some(packed) = Packed::of(place) else { return self.give_up() };
            self.places.entry(debit).or_default().push(packed);
            self.places.entry(credit).or_default().push(packed);
            self.transfers = self.transfers.saturating_add(1);
        }
        self.upto = upto;
        self.transfers <= most || self.give_up()
    }

    fn give_up(&mut self) -> bool {
        *self = Self { is_over: true, ..Self::new(self.fork, self.from) };
        false
    }

    /// The newest row of an account at or before `seq`.
    pub(super) fn newest(&self, account: i64, seq: i64) -> Option<Place> {
        let places = self.places.get(&account)?;
        let count = places.partition_point(|place| *place < Packed::after(seq));
        places.get(count.checked_sub(1)?).map(|place| place.place())
    }

    /// The newest `limit` rows of an account before a place, newest first.
    pub(super) fn before(&self, account: i64, before: Place, limit: usize) -> Vec<Place> {
        let Some(places) = self.places.get(&account) else { return Vec::new() };
        let count = places.partition_point(|place| place.place() < before);
        let (earlier, _) = places.split_at(count);
        earlier.iter().rev().take(limit).map(|place| place.place()).collect()
    }
}

/// The rows of a record.
pub(super) fn sides(record: &Record) -> impl Iterator<Item = Sides> {
    record.body.transfers().iter().map(|posted| Sides {
        place: Place { seq: record.seq, leg: posted.leg },
        debit: posted.debit.account.0,
        credit: posted.credit.account.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORK: Uuid = Uuid::from_u128(1);

    fn place(seq: i64, leg: i32) -> Place {
        Place { seq, leg }
    }

    /// Seqs 11 to 20, two legs each: account 1 pays 2, then 2 pays 3.
    fn tail() -> Tail {
        let mut tail = Tail::new(FORK, 10);
        let legs = |seq| {
            [(place(seq, 0), 1, 2), (place(seq, 1), 2, 3)].map(|(place, debit, credit)| Sides { place, debit, credit })
        };
        assert!(tail.push((11..=20).flat_map(legs), 20, 20));
        tail
    }

    #[test]
    fn a_place_is_packed_and_unpacked_and_keeps_its_order() {
        let places = [place(0, 0), place(0, 1), place(1, 0), place(7, (1 << LEG_BITS) - 1), place(1 << 40, 3)];
        let packed: Vec<_> = places.into_iter().map(|place| Packed::of(place).unwrap()).collect();
        assert!(packed.is_sorted());
        assert_eq!(packed.iter().map(|place| place.place()).collect::<Vec<_>>(), places);
        assert_eq!(Packed::of(place(1, 1 << LEG_BITS)), None, "a leg that does not fit is not cut");
        assert_eq!(Packed::of(place(-1, 0)), None);
        assert!(
            Packed::of(place(7, 9)).unwrap() < Packed::after(7) && Packed::after(7) <= Packed::of(place(8, 0)).unwrap()
        );
        assert!(Packed::after(i64::MAX) > Packed::of(place(1 << 42, 0)).unwrap());
    }

    #[test]
    fn the_newest_row_at_a_seq_is_the_last_that_is_not_later() {
        let tail = tail();
        assert_eq!(tail.newest(2, 15), Some(place(15, 1)));
        assert_eq!(tail.newest(1, i64::MAX), Some(place(20, 0)));
        assert_eq!((tail.newest(1, 10), tail.newest(4, 20)), (None, None));
        assert_eq!(tail.before(2, place(12, 1), 9), [place(12, 0), place(11, 1), place(11, 0)]);
        assert_eq!(tail.before(2, place(21, 0), 2), [place(20, 1), place(20, 0)]);
    }

    #[test]
    fn what_an_index_finds_is_forgotten_and_the_rest_is_kept() {
        let mut tail = tail();
        tail.begin_after(FORK, 15);
        assert_eq!((tail.from(), tail.upto(), tail.len()), (15, 20, 10));
        assert_eq!((tail.newest(1, 15), tail.newest(1, 16)), (None, Some(place(16, 0))));
        tail.begin_after(FORK, 12);
        assert_eq!(tail.from(), 15, "never back");
        tail.begin_after(FORK, 30);
        assert_eq!((tail.from(), tail.upto(), tail.len()), (30, 30, 0));
        let mut other = super::tests::tail();
        other.begin_after(Uuid::from_u128(2), 10);
        assert_eq!((other.upto(), other.len()), (10, 0), "another line of history is another tail");
    }

    #[test]
    fn a_tail_that_grows_past_its_room_is_let_go_until_a_range_is_closed() {
        let mut tail = tail();
        let next = Sides { place: place(21, 0), debit: 1, credit: 2 };
        assert!(!tail.push([next].into_iter(), 21, 20));
        assert!(tail.is_over() && tail.len() == 0);
        tail.begin_after(FORK, 10);
        assert!(tail.is_over());
        tail.begin_after(FORK, 20);
        assert!(!tail.is_over());
        assert_eq!(tail.upto(), 20);
    }
}
