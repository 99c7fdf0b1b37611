//! The bytes choose a story, as the random source of the property tests does; `apply` and the model play it.
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

use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fuzz_target!(|bytes: &[u8]| {
    let source = TestRng::from_seed(RngAlgorithm::PassThrough, bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), source);
    let Ok(tree) = requests::any_story().new_tree(&mut runner) else { return };
    let (state, story) = tree.current();
    if let Err(why) = compare::compare(state, &story) {
        panic!("{why}");
    }
});
