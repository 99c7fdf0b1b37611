//! A body that is read from any bytes is written and read again as it was.
#![no_main]

use ledger::Body;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let kind = i32::from(*kind % 12);
    let Some(body) = Body::from_bytes(kind, bytes, Vec::new()) else { return };
    assert_eq!(body.kind(), kind);
    let written = body.to_bytes();
    // What rows have more stands at the end and goes with its rows.
    assert!(bytes.starts_with(&written), "{body:?} was {bytes:?}, is {written:?}");
    assert_eq!(Body::from_bytes(kind, &written, Vec::new()), Some(body));
});
