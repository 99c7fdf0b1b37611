//! What goes over the link: a list of byte strings, each with a number before it.

/// A part of a message: the milliseconds a request has left, or zero before an answer, and the bytes.
pub(super) type Part<'a> = (u32, &'a [u8]);

/// Appends a part.
pub(super) fn push(out: &mut Vec<u8>, (number, bytes): Part<'_>) {
    out.extend_from_slice(&number.to_be_bytes());
    // Sizes are bounded far below 2^32 on both ends.
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// The parts of a message; none when it is not made of whole ones.
pub(super) fn parts(mut bytes: &[u8]) -> Option<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    while !bytes.is_empty() {
        let (number, rest) = bytes.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        parts.push((u32::from_be_bytes(*number), part));
        bytes = rest;
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_come_out_as_they_went_in_and_no_cut_passes_for_fewer(
            sent in vec((any::<u32>(), vec(any::<u8>(), 0..20)), 0..5),
        ) {
            let (mut bytes, mut ends) = (Vec::new(), vec![0]);
            for (number, part) in &sent {
                push(&mut bytes, (*number, part));
                ends.push(bytes.len());
            }
            let expected: Vec<Part<'_>> = sent.iter().map(|(number, part)| (*number, part.as_slice())).collect();
            prop_assert_eq!(parts(&bytes), Some(expected));
            for cut in (0..bytes.len()).filter(|cut| !ends.contains(cut)) {
                prop_assert_eq!(parts(&bytes[..cut]), None);
            }
        }
    }
}
