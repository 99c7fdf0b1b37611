//! Fields of a request's body: what every slice checks the same way, and the refusal that names the place.

use std::ops::RangeInclusive;

use super::problem::{FieldError, Problem};

/// 422 `body-invalid` for one field of the body.
#[must_use]
pub fn field(pointer: impl Into<String>, detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    let (title, words) = ("The body is not what is asked for here", "See errors for the place and the mistake.");
    Problem::new(422, "body-invalid", title, words).errors([FieldError::new(pointer, "invalid", detail)])
}

/// A text of so many characters, none of them a control character, not blank.
///
/// # Errors
/// 422 `body-invalid` at `pointer`.
pub fn text(value: String, pointer: &'static str, length: RangeInclusive<usize>) -> Result<String, Problem> {
    let plain = !value.trim().is_empty() && !value.chars().any(char::is_control);
    if plain && length.contains(&value.chars().count()) {
        return Ok(value);
    }
    Err(field(pointer, format!("{} to {} characters, no control characters.", length.start(), length.end())))
}
