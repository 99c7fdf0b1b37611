//! Eight bytes choose a batch of requests each, as the random source of the property tests does; `apply` and the model
//! play them one after another. So a story is cut, doubled and joined where the bytes are.
//!
//! Not the bytes as the source itself (proptest's `PassThrough`): each choice halves what is left of them, and where they
//! end it goes on with zeros, of which a draw that rejects some numbers never comes to an end.
#![no_main]

#[path = "../../tests/same_as_the_model/compare.rs"]
mod compare;
#[path = "../../tests/model/mod.rs"]
mod model;
#[path = "../../tests/play/mod.rs"]
#[expect(dead_code, reason = "the property tests use the rest")]
mod play;
#[path = "../../tests/requests/mod.rs"]
#[expect(unused_imports, reason = "the numbered cases use the rest")]
mod requests;

use ledger::apply::State;
use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use requests::Asked;

/// Batches of a story.
const BATCHES: usize = 24;

fuzz_target!(|bytes: &[u8]| {
    let mut seeds = bytes.chunks_exact(8).map(|seed| u64::from_be_bytes(seed.try_into().unwrap()));
    let Some((state, mut story)) = seeds.next().map(story_of) else { return };
    for (later_us, seed) in (1..).zip(seeds.take(BATCHES)) {
        // Of each other one its last batch: the first is where some books come from.
        let asked = story_of(seed).1.pop();
        story.extend(asked.map(|asked| Asked { now_us: asked.now_us + later_us, ..asked }));
    }
    if let Err(why) = compare::compare(state, &story) {
        panic!("{why}");
    }
});

/// Books and a batch of requests.
fn story_of(seed: u64) -> (State, Vec<Asked>) {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let source = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), source);
    requests::any_long_story(2).new_tree(&mut runner).unwrap().current()
}
