//! A request that is read from any bytes is written in those bytes, and judged as the model judges it.
#![no_main]

#[path = "../../tests/model/form.rs"]
mod form;

use ledger::Request;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some(request) = Request::from_bytes(bytes) else { return };
    assert_eq!(request.to_bytes(), bytes, "{request:?} has two forms");
    let (faults, checked) = (form::faults_of_form(&request), request.check());
    assert_eq!(faults.is_empty(), checked.is_ok(), "{faults:?}, {checked:?} of {request:?}");
    assert!(checked.err().is_none_or(|fault| faults.contains(&fault)), "not one of {faults:?}");
});
