//! The state machine: whatever is asked, `apply` and the model write the same books.

pub mod compare;
mod fates;
mod many;

use proptest::prelude::*;

use crate::play::stories;
use crate::requests::any_story;
use compare::compare;

proptest! {
    #![proptest_config(stories(256))]

    /// Record by record, answer by answer, balance by balance, after every batch.
    #[test]
    fn apply_writes_what_the_model_writes((state, story) in any_story()) {
        compare(state, &story)?;
    }
}
