//! A record's metadata, opened: what a record says of itself beside its sides, such as how a payment was agreed to.
//!
//! As a receipt's opened sides, it is checked against the leaf of a receipt and with nothing else. It opens no side and not the
//! body. What metadata means is its writer's.

use super::leaf::{self, Leaf};
use super::tree::{MAX_PATH, verify_inclusion};
use super::{Hash, ProofError};

/// The metadata of one record, with what shows that its leaf commits to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedMeta {
    /// The metadata, as it is in the books.
    pub meta: Vec<u8>,
    /// Its salt.
    pub salt: [u8; 32],
    /// The way from it to the parts' root.
    pub path: Vec<Hash>,
}

impl OpenedMeta {
    /// Checks that this is the metadata that the leaf commits to.
    ///
    /// # Errors
    /// [`ProofError::Meta`].
    pub fn check(&self, leaf: &Leaf) -> Result<(), ProofError> {
        let parts = u64::try_from(leaf.parts).map_err(|_negative| ProofError::Meta)?;
        if self.path.len() > MAX_PATH {
            return Err(ProofError::Meta);
        }
        let part = leaf::commitment(&self.salt, &leaf::meta_bytes(&self.meta));
        verify_inclusion(leaf::META_PLACE, parts, &part, &self.path, &leaf.root).map_err(|_elsewhere| ProofError::Meta)
    }
}

#[cfg(test)]
mod tests {
    use super::super::leaf::tests::{header, parts, salts};
    use super::*;

    #[test]
    fn metadata_opens_to_its_own_leaf_and_to_no_other() {
        let salts = salts();
        let parts = parts(&salts);
        let leaf = parts.leaf(header());
        let (salt, path) = parts.meta_opening();
        let opened = OpenedMeta { meta: "{\"kind\":\"caffè\"}".as_bytes().to_vec(), salt, path };
        assert_eq!(opened.check(&leaf), Ok(()));
        let changes: [fn(&mut OpenedMeta); 5] = [
            |opened| opened.meta.push(b' '),
            |opened| opened.salt = [0; 32],
            |opened| opened.path.push(crate::proof::EMPTY),
            |opened| _ = opened.path.pop(),
            |opened| opened.meta = vec![0; 6], // the body, which is a part too
        ];
        for change in changes {
            let mut changed = opened.clone();
            change(&mut changed);
            assert_eq!(changed.check(&leaf), Err(ProofError::Meta), "{changed:?}");
        }
        // Of another number of parts the way is another, where it is longer or shorter; the number itself is the leaf's to keep.
        for leaf in [Leaf { parts: 2, ..leaf }, Leaf { parts: -1, ..leaf }, Leaf { root: crate::proof::EMPTY, ..leaf }]
        {
            assert_eq!(opened.check(&leaf), Err(ProofError::Meta));
        }
    }
}
