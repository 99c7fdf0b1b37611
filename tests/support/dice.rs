//! Chance that can be thrown again: everything a test draws follows from one printed seed.

use std::time::Duration;

use uuid::Uuid;

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub struct Dice {
    /// Who throws them.
    test: &'static str,
    /// What everything follows from.
    pub seed: u64,
    state: u64,
}

impl Dice {
    /// Dice of the seed that the environment names, else of a new one; says which.
    pub fn thrown(test: &'static str) -> Self {
        let named = std::env::var("TESSERA_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = named.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 >> 32);
        eprintln!("{test}: TESSERA_TEST_SEED={seed}");
        Self { test, seed, state: seed }
    }

    /// Dice of their own for each of many who throw at once: what they draw follows from the same seed.
    pub fn of(&self, number: u64) -> Self {
        let mut own = Self { state: self.seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93), ..*self };
        own.next();
        own
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below this one.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(u64::try_from(from.len()).unwrap())).unwrap()]
    }

    /// Lets a time below this pass: when a fault strikes is part of the draw, and waits for nothing.
    pub async fn moment(&mut self, below: Duration) {
        let micros = self.below(u64::try_from(below.as_micros()).unwrap());
        tokio::time::sleep(Duration::from_micros(micros)).await;
    }
}

impl Drop for Dice {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} failed with TESSERA_TEST_SEED={}", self.test, self.seed);
        }
    }
}
