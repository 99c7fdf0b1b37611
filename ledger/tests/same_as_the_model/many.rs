//! Very many steps of both, from a seed that is printed: `make model SEED=7`.

use std::time::Instant;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::compare::compare;
use crate::requests::any_long_story;

/// Batches of a long story.
const LONG: usize = 25;

/// `STEPS` and `SEED` of the environment, else so many and one of now.
fn wanted(usual: usize) -> (usize, u64) {
    let read = |name| std::env::var(name).ok().filter(|text| !text.is_empty());
    let steps = read("STEPS").map_or(usual, |text| text.parse().expect("STEPS is a number"));
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_micros().try_into().unwrap();
    (steps, read("SEED").map_or_else(now, |text| text.parse().expect("SEED is a number")))
}

/// A random source of this story of this seed.
fn source(seed: u64, story: u64) -> TestRunner {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    bytes[8..16].copy_from_slice(&story.to_be_bytes());
    TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
}

fn run(usual: usize) {
    let (wanted, seed) = wanted(usual);
    println!("SEED={seed}, {wanted} steps");
    let (began, mut steps) = (Instant::now(), 0);
    // STORY=n plays that one alone, and makes it small should it fail.
    if let Some(story) = std::env::var("STORY").ok().and_then(|story| story.parse().ok()) {
        let mut source = source(seed, story);
        let tree = any_long_story(LONG).new_tree(&mut source).unwrap();
        let played = source.run_one(tree, |(state, story)| compare(state, &story).map(drop));
        assert!(played.is_ok(), "{}", played.unwrap_err());
        return;
    }
    for story in 0.. {
        if steps >= wanted {
            break;
        }
        let (state, asked) = any_long_story(LONG).new_tree(&mut source(seed, story)).unwrap().current();
        match compare(state, &asked) {
            Ok(played) => {
                if (steps + played) / 100_000 > steps / 100_000 {
                    println!("SEED={seed}: {} steps in {:?}", steps + played, began.elapsed());
                }
                steps += played;
            }
            Err(why) => panic!("SEED={seed} STORY={story}: {why}"),
        }
    }
    println!("SEED={seed}: {steps} steps, the same books after each batch, in {:?}", began.elapsed());
}

#[test]
fn a_few_thousand_steps() {
    run(5_000);
}

#[test]
#[ignore = "minutes: make model"]
fn a_million_steps() {
    run(1_000_000);
}
