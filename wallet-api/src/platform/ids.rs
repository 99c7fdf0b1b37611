//! Randomness and ids: one source, so that a demo or a test can be seeded and gives the same ids each time.
//!
//! [`Ids::system`] asks the operating system. [`Ids::seeded`] is a deterministic stream (HMAC-SHA-256 of a counter): the
//! n-th draw depends on the seed and n alone, so draws from several threads share the stream in whatever order they come.
//! Never seed where secrets are made for strangers. Not here: small integer ids, which the database gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use ring::rand::{SecureRandom, SystemRandom};
use ring::{digest, hmac};
use uuid::Uuid;

/// A source of random bytes and of the ids made from them; clones share one stream.
#[derive(Debug, Clone)]
pub struct Ids(Source);

#[derive(Debug, Clone)]
enum Source {
    System(SystemRandom),
    Seeded(Arc<Stream>),
}

#[derive(Debug)]
struct Stream {
    key: hmac::Key,
    drawn: AtomicU64,
}

impl Ids {
    /// The operating system's randomness: what production runs on.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System(SystemRandom::new()))
    }

    /// A stream that gives the same bytes for the same seed. For the demo and for tests, never for real secrets.
    #[must_use]
    pub fn seeded(seed: &[u8]) -> Self {
        Self(Source::Seeded(Arc::new(Stream {
            key: hmac::Key::new(hmac::HMAC_SHA256, seed),
            drawn: AtomicU64::new(0),
        })))
    }

    /// Fills `bytes` with randomness.
    ///
    /// # Panics
    /// When the operating system has none to give: no id or secret made after that could be trusted.
    #[expect(clippy::expect_used, reason = "a supported kernel never refuses; going on without randomness is worse")]
    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            Source::System(random) => random.fill(bytes).expect("the operating system gives randomness"),
            Source::Seeded(stream) => stream.fill(bytes),
        }
    }

    /// A random number, for jitter and for choices that are no secret.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    /// A UUID that sorts by the millisecond it was made in (RFC 9562, version 7). `now` before 1970 counts as 1970.
    #[must_use]
    pub fn uuid_v7(&self, now: DateTime<Utc>) -> Uuid {
        let mut tail = [0; 10];
        self.fill(&mut tail);
        let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid()
    }
}

impl Stream {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(digest::SHA256_OUTPUT_LEN) {
            let n = self.drawn.fetch_add(1, Ordering::SeqCst);
            let block = hmac::sign(&self.key, &n.to_be_bytes());
            for (to, from) in chunk.iter_mut().zip(block.as_ref()) {
                *to = *from;
            }
        }
    }
}

/// The id that these parts always give: a UUID of version 8 (RFC 9562) cut from SHA-256 over `tag` and `parts`.
///
/// Each is preceded by its length, so that `["ab", "c"]` and `["a", "bc"]` differ; `tag` keeps the uses apart.
#[must_use]
pub fn derived(tag: &str, parts: &[&[u8]]) -> Uuid {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in std::iter::once(&tag.as_bytes()).chain(parts) {
        // A slice's length always fits: usize is at most 64 bits wide.
        hash.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finish();
    let mut bytes = [0; 16];
    for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_stream_and_another_seed_another() {
        let draw = |seed: &[u8]| {
            let ids = Ids::seeded(seed);
            (ids.random_u64(), ids.uuid_v7(DateTime::<Utc>::UNIX_EPOCH), ids.random_u64())
        };
        assert_eq!(draw(b"a"), draw(b"a"));
        assert_ne!(draw(b"a"), draw(b"b"));
        assert_ne!(draw(b"a").0, draw(b"a").2, "the stream moves on");
    }

    #[test]
    fn time_ordered_ids_sort_by_the_moment_they_were_made() {
        let ids = Ids::system();
        let at = |millis| ids.uuid_v7(DateTime::from_timestamp_millis(millis).unwrap());
        assert!(at(1_700_000_000_000) < at(1_700_000_000_001));
        assert_eq!(at(1).get_version_num(), 7);
    }

    #[test]
    fn a_derived_id_is_the_same_for_ever_and_knows_where_its_parts_end() {
        // Golden: stored ids are made this way, so a change here orphans them.
        assert_eq!(derived("account", &[b"ab", b"c"]).to_string(), GOLDEN);
        assert_ne!(derived("account", &[b"ab", b"c"]), derived("account", &[b"a", b"bc"]));
        assert_ne!(derived("account", &[b"abc"]), derived("accounta", &[b"bc"]));
        assert_eq!(derived("t", &[]).get_version_num(), 8);
    }

    const GOLDEN: &str = "9df29b91-e155-8160-90f3-1f618f2a684b";
}
