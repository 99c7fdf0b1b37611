//! JSON bodies, read strictly: one reading only, or a refusal that says where.
//!
//! 415 for another content type, 413 past the limit, 408 for one that takes longer than [`WHOLE_WITHIN`] to come, 400 for what is no JSON, repeats a name in one object or is nested
//! deeper than [`DEPTH`], 422 with a JSON pointer for JSON that is not the type asked for. Types refuse unknown fields by
//! `#[serde(deny_unknown_fields)]`. Content encodings are not decoded.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::BytesMut;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use futures_util::future::LocalBoxFuture;
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::{Map, Number, Value};
use serde_path_to_error::Segment;
use tokio::time::timeout;

use crate::platform::fields::field;
use crate::platform::problem::{FieldError, Problem};

/// How long a body may take to come, as long as its head: whoever sends a byte a second keeps no place for long (T56).
const WHOLE_WITHIN: Duration = Duration::from_secs(5);
/// Most bytes that are kept ready for a body before any of it is here.
const BEGIN_WITH: usize = 64 * 1024;
/// Deepest nesting of objects and arrays.
const DEPTH: usize = 32;

/// Most bytes a body may have. Put another one into the `app_data` of a resource that needs it.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

impl Default for BodyLimit {
    fn default() -> Self {
        Self(64 * 1024)
    }
}

/// A JSON body: an extractor for request bodies, with the canonical form that fingerprints are made over.
#[derive(Debug)]
pub struct Json<T> {
    value: T,
    source: Value,
}

impl<T> Json<T> {
    /// The body as the type it is.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The body with sorted names and no spaces: the same bytes however the client orders and spaces it. Two bodies of
    /// the same canonical form give the same `T`, for `T` is made from nothing else.
    pub fn canonical(&self) -> Vec<u8> {
        self.source.to_string().into_bytes()
    }
}

impl<T> std::ops::Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let limit = req.app_data::<BodyLimit>().copied().unwrap_or_default();
        let (checked, payload) = (check_headers(req, limit), payload.take());
        async move {
            let announced = checked?;
            let bytes =
                timeout(WHOLE_WITHIN, read(payload, limit, announced)).await.unwrap_or_else(|_| Err(too_slow()))?;
            let source = object(parse(&bytes)?)?;
            let value = serde_path_to_error::deserialize(&source).map_err(|error| mistyped(&error))?;
            Ok(Self { value, source })
        }
        .boxed_local()
    }
}

/// The bytes of a JSON body of at most `LIMIT`, not read yet: an extractor for routes that read them in their own way, by
/// [`read_json`], because a [`Value`] of each would cost more than all else they do.
#[derive(Debug)]
pub struct JsonBytes<const LIMIT: usize>(BytesMut);

impl<const LIMIT: usize> std::ops::Deref for JsonBytes<LIMIT> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const LIMIT: usize> FromRequest for JsonBytes<LIMIT> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (checked, payload) = (check_headers(req, BodyLimit(LIMIT)), payload.take());
        async move {
            let announced = checked?;
            let bytes = timeout(WHOLE_WITHIN, read(payload, BodyLimit(LIMIT), announced)).await;
            bytes.unwrap_or_else(|_| Err(too_slow())).map(Self)
        }
        .boxed_local()
    }
}

/// Reads a type that borrows from its bytes, as strictly as [`Json`] does where the type says what there may be; what it
/// leaves raw is to be read by [`read_object`].
///
/// # Errors
/// 400 `body-malformed` for what is no JSON or repeats a name; 422 `body-invalid` with the place.
pub fn read_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    // Once more, now with the place of the mistake.
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize::<_, T>(&mut json).map_err(|error| {
        let words = error.inner().to_string();
        if error.inner().classify() == Category::Data && !words.starts_with("duplicate field") {
            mistyped(&error)
        } else {
            malformed(words)
        }
    })?;
    json.end().map(|()| value).map_err(|error| malformed(error.to_string()))
}

/// Reads an object of anything: each name once, no deeper than a body may be.
///
/// # Errors
/// 400 `body-malformed`; none when it is JSON and no object.
pub fn read_object(text: &str) -> Result<Option<Map<String, Value>>, Problem> {
    parse(text.as_bytes()).map(|value| match value {
        Value::Object(members) => Some(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    })
}

/// Refuses by its headers what need not be read, and tells how many bytes were announced.
fn check_headers(req: &HttpRequest, limit: BodyLimit) -> Result<usize, Problem> {
    if req.content_type() != "application/json" {
        let remedy = "Send JSON, with Content-Type: application/json.";
        return Err(Problem::new(415, "media-type-unsupported", "We do not read this kind of body", remedy));
    }
    let announced = req.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let announced: usize = announced.unwrap_or(0);
    if announced > limit.0 { Err(too_large(limit)) } else { Ok(announced) }
}

async fn read(mut payload: Payload, limit: BodyLimit, announced: usize) -> Result<BytesMut, Problem> {
    // Room for what was announced, and never more than it takes to begin: whoever announces need not send.
    let mut bytes = BytesMut::with_capacity(announced.min(BEGIN_WITH));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            tracing::debug!(%error, "body broke off");
            malformed("It broke off before its end.")
        })?;
        if bytes.len().saturating_add(chunk.len()) > limit.0 {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn too_slow() -> Problem {
    let within_s = i64::try_from(WHOLE_WITHIN.as_secs()).unwrap_or(i64::MAX);
    let detail = format!("Send it whole within {within_s} seconds.");
    Problem::new(408, "body-too-slow", "The body took too long to come", detail).with("within_s", within_s)
}

fn too_large(limit: BodyLimit) -> Problem {
    let detail = format!("Send at most {} bytes.", limit.0);
    let limit = i64::try_from(limit.0).unwrap_or(i64::MAX);
    Problem::new(413, "body-too-large", "The body is too large", detail).with("limit_bytes", limit)
}

fn malformed(why: impl Into<String>) -> Problem {
    let title = "The body is not JSON as we read it";
    let why = why.into();
    Problem::new(400, "body-malformed", title, why.clone()).with("reason", why)
}

/// Bytes to a value, each name once per object and no deeper than allowed.
fn parse(bytes: &[u8]) -> Result<Value, Problem> {
    let path = RefCell::new(Vec::new());
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { left: DEPTH, path: &path }.deserialize(&mut json);
    value.and_then(|value| json.end().map(|()| value)).map_err(|error| malformed(error.to_string()))
}

/// Every body is an object. A list of an object's members in their order is none, which serde would take for one.
fn object(value: Value) -> Result<Value, Problem> {
    if value.is_array() { Err(field("", "An object is asked for, and this is a list.")) } else { Ok(value) }
}

/// Builds a value and keeps the path to where it is, for the message.
#[derive(Clone, Copy)]
struct Strict<'a> {
    left: usize,
    path: &'a RefCell<Vec<String>>,
}

impl Strict<'_> {
    fn inside<E: de::Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1).ok_or_else(|| E::custom(format!("nested deeper than {DEPTH}")))?;
        Ok(Self { left, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(items.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            self.path.borrow_mut().push(name.clone());
            if members.contains_key(&name) {
                let at = pointer(self.path.borrow().iter().map(String::as_str));
                return Err(de::Error::custom(format!("{at} is there twice")));
            }
            members.insert(name, map.next_value_seed(inside)?);
            self.path.borrow_mut().pop();
        }
        Ok(members.into())
    }
}

/// JSON that is not the type asked for: 422, with the place.
fn mistyped(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let mut path: Vec<String> = error.path().iter().filter_map(step).collect();
    let words = error.inner().to_string();
    let code = match named_field(&words) {
        Some((code, field)) => {
            if path.last().is_none_or(|last| last != field) || code == "missing" {
                path.push(field.to_owned());
            }
            code
        }
        None => "invalid",
    };
    let at = pointer(path.iter().map(String::as_str));
    Problem::new(
        422,
        "body-invalid",
        "The body is not what is asked for here",
        "See errors for the place and the mistake.",
    )
    .errors([FieldError::new(at, code, words)])
}

/// serde words a missing and an unknown field in one way each; both name the field, and the path ends before or at it.
fn named_field(words: &str) -> Option<(&'static str, &str)> {
    let known = [("missing", "missing field `"), ("unknown", "unknown field `")];
    known.into_iter().find_map(|(code, start)| Some((code, words.strip_prefix(start)?.split('`').next()?)))
}

fn step(segment: &Segment) -> Option<String> {
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { variant } => Some(variant.clone()),
        Segment::Unknown => None,
    }
}

/// A JSON pointer (RFC 6901).
fn pointer<'a>(steps: impl Iterator<Item = &'a str>) -> String {
    steps.map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1"))).collect()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::platform::text::Lang;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[expect(dead_code, reason = "only read")]
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[expect(dead_code, reason = "only read")]
        amount: String,
    }

    fn refusal(json: &str) -> (u16, String, String) {
        let problem = match parse(json.as_bytes()).and_then(object) {
            Err(problem) => problem,
            Ok(value) => mistyped(&serde_path_to_error::deserialize::<_, Order>(&value).unwrap_err()),
        };
        let body = problem.body(Lang::En);
        let place = body.errors.first().map(|error| format!("{} {}", error.pointer, error.code));
        (body.status, body.code, place.unwrap_or(body.detail))
    }

    #[test]
    fn a_body_of_the_wrong_type_is_refused_with_the_place_of_the_mistake() {
        for (json, place) in [
            (r#"{"lines":[{"amount":"1"},{"amount":5}]}"#, "/lines/1/amount invalid"),
            (r#"{"lines":[{"amount":"1"},{}]}"#, "/lines/1/amount missing"),
            (r#"{"lines":[{"amount":"1","a/b~c":1}]}"#, "/lines/0/a~1b~0c unknown"),
            (r#"{}"#, "/lines missing"),
            (r#"{"lines":[],"x":1}"#, "/x unknown"),
            (r#"{"lines":7}"#, "/lines invalid"),
            (r#"7"#, " invalid"),
            (r#"[[]]"#, " invalid"),
        ] {
            assert_eq!(refusal(json), (422, "body-invalid".to_owned(), place.to_owned()), "{json}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for json in [
            r#"{"lines":[],"lines":[]}"#,
            r#"{"lines":[{"amount":"1","amount":"2"}]}"#,
            r#"{"lines":[{"amount":"1","\u0061mount":"2"}]}"#,
            r#"{"lines":[]} {}"#,
            r#"{"lines":[],}"#,
            "",
            "\u{feff}{}",
            r#"{"lines":[{"amount":"\ud800"}]}"#,
            r#"{"x":1e999}"#,
            r#"{"x":NaN}"#,
        ] {
            let (status, code, detail) = refusal(json);
            assert_eq!((status, code.as_str()), (400, "body-malformed"), "{json} {detail}");
        }
        assert!(refusal(r#"{"a":{"b/c":1,"b/c":2}}"#).2.contains("/a/b~1c is there twice"));
    }

    #[test]
    fn thirty_two_levels_are_read_and_thirty_three_are_not() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(nested(32).as_bytes()).is_ok());
        assert!(parse(nested(33).as_bytes()).is_err());
        assert!(parse("[".repeat(60_000).as_bytes()).is_err(), "and a flood of them ends early");
        let objects = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        assert!(parse(objects(32).as_bytes()).is_ok());
        assert!(parse(objects(33).as_bytes()).is_err());
    }

    #[test]
    fn order_and_spaces_do_not_show_in_the_canonical_form_and_values_do() {
        let canonical = |json: &str| Json { value: (), source: parse(json.as_bytes()).unwrap() }.canonical();
        assert_eq!(canonical(r#"{"b":[1,2],"a":"è"}"#), canonical("{ \"a\": \"\\u00e8\",\n\"b\": [1, 2] }"));
        assert_ne!(canonical(r#"{"a":[1,2]}"#), canonical(r#"{"a":[2,1]}"#));
        assert_ne!(canonical(r#"{"a":1}"#), canonical(r#"{"a":"1"}"#));
    }
}
