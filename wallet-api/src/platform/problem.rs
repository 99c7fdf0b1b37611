//! Refusals as RFC 9457 problems: what a caller reads when the answer is no.
//!
//! A problem has a stable `code` (its `type` is `/problems/<code>`), a title and a remedy in English, and members of its
//! own. The middleware in [`http`](super::http) writes it in the language of the request: catalogue ids are
//! `problem-<code>` and `problem-<code>-detail`, its own members are their values, and the English given here is the
//! fallback.
//! The same problem is the same bytes each time: the request id travels in a header (JOURNAL 32).
//! Not here: the text of causes. They go to the log, once, and never to the caller.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::text::{self, Arg, Lang};

/// What words a refusal for the public. Implement it for each slice's error, without a `_` arm.
pub trait Describe {
    /// The refusal as its caller sees it.
    fn describe(&self) -> Problem;
}

impl<E: Describe> From<E> for Problem {
    fn from(refusal: E) -> Self {
        refusal.describe()
    }
}

/// One refusal, ready to be answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Parts>); // boxed: it is the error half of every route's result

#[derive(Debug, Clone, PartialEq)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    title: Cow<'static, str>,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    members: Vec<(&'static str, Value)>,
    retry_after_s: Option<u32>,
    header: Option<(header::HeaderName, header::HeaderValue)>,
}

/// What is wrong with one field of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the field in the request's body; empty for the body as a whole.
    pub pointer: String,
    /// Stable name of the mistake: `missing`, `unknown`, `invalid`, or one of the route's own.
    pub code: Cow<'static, str>,
    /// The mistake in words.
    pub detail: Cow<'static, str>,
}

impl FieldError {
    /// A mistake at `pointer`, for example `/lines/0/amount`.
    pub fn new(
        pointer: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { pointer: pointer.into(), code: code.into(), detail: detail.into() }
    }
}

/// The media type of problems (RFC 9457).
const PROBLEM_JSON: &str = "application/problem+json";

/// The members every problem has; [`Problem::with`] takes none of these names.
const STANDARD_MEMBERS: [&str; 6] = ["type", "title", "status", "detail", "code", "errors"];

/// A problem as it is sent; a problem's own members follow these.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Names the kind of problem: `/problems/<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong, in the language of the request.
    pub title: String,
    /// The HTTP status again.
    pub status: u16,
    /// What to do about it, in the language of the request.
    pub detail: String,
    /// Stable name to program against.
    pub code: String,
    /// The fields at fault, when the body was read but not taken.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Members of this kind of problem, for example `available`.
    #[serde(flatten)]
    #[schema(additional_properties)]
    pub members: serde_json::Map<String, Value>,
}

impl Problem {
    /// A refusal: an HTTP status of the 4xx or 5xx range (500 if it is none), a stable code in kebab case, what went
    /// wrong, and the remedy.
    pub fn new(
        status: u16,
        code: &'static str,
        title: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self(Box::new(Parts {
            status,
            code,
            title: title.into(),
            detail: detail.into(),
            errors: Vec::new(),
            members: Vec::new(),
            retry_after_s: None,
            header: None,
        }))
    }

    /// Our fault. The error and its causes go to the log, once, in the caller's span; none of it goes to the caller.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = %Chain(error), "request failed for a reason of our own");
        Self::new(
            500,
            "internal",
            "Something went wrong on our side",
            "Try again; if it goes on, tell us the x-request-id.",
        )
    }

    /// Adds a member of this kind of problem; strings and whole numbers are also values of its texts.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        debug_assert!(!STANDARD_MEMBERS.contains(&key), "{key} is a standard member");
        self.0.members.push((key, value.into()));
        self
    }

    /// Names the fields at fault.
    #[must_use]
    pub fn errors(mut self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        self.0.errors.extend(errors);
        self
    }

    /// Says when trying again makes sense (`Retry-After`).
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// Says something in a header of its own, which the answer keeps in whatever language it is written.
    #[must_use]
    pub fn header(mut self, name: header::HeaderName, value: header::HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// When trying again makes sense, in seconds.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u32> {
        self.0.retry_after_s
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The problem as it is sent to somebody who reads `lang`.
    #[must_use]
    pub fn body(&self, lang: Lang) -> ProblemBody {
        let parts = &self.0;
        let args: Vec<_> = parts.members.iter().filter_map(|(key, value)| Some((*key, arg(value)?))).collect();
        let word = |id: &str, fallback: &str| text::find(lang, id, &args).unwrap_or_else(|| fallback.to_owned());
        ProblemBody {
            kind: format!("/problems/{}", parts.code),
            title: word(&format!("problem-{}", parts.code), &parts.title),
            status: parts.status.as_u16(),
            detail: word(&format!("problem-{}-detail", parts.code), &parts.detail),
            code: parts.code.to_owned(),
            errors: parts.errors.iter().map(|error| error.in_words(lang)).collect(),
            members: parts.members.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        }
    }

    /// The answer in `lang`. The problem stays with it, so that the edge can still write it in another language.
    #[must_use]
    pub fn response(&self, lang: Lang) -> HttpResponse {
        let mut builder = HttpResponseBuilder::new(self.0.status);
        builder.insert_header((header::CONTENT_LANGUAGE, lang.tag())).insert_header((header::VARY, "accept-language"));
        if let Some(seconds) = self.0.retry_after_s {
            builder.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            builder.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(header) = &self.0.header {
            builder.insert_header(header.clone());
        }
        let mut response = builder.json(self.body(lang));
        let problem_json = header::HeaderValue::from_static(PROBLEM_JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, problem_json);
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl FieldError {
    /// The catalogue has words for the mistakes that every route shares; a route's own stay in English.
    fn in_words(&self, lang: Lang) -> Self {
        let words = text::find(lang, &format!("field-{}", self.code), &[]);
        Self { detail: words.map_or_else(|| self.detail.clone(), Cow::Owned), ..self.clone() }
    }
}

fn arg(value: &Value) -> Option<Arg<'_>> {
    match value {
        Value::String(text) => Some(Arg::Text(text)),
        Value::Number(number) => number.as_i64().map(Arg::Count),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.0.title, self.0.code, self.0.detail)
    }
}

impl Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response(Lang::default())
    }
}

/// An error and its causes on one line, outermost first, for a log.
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the vault")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_problem_has_the_standard_members_then_its_own_and_is_the_same_bytes_each_time() {
        let problem = Problem::new(422, "made-up", "Not enough", "Top up.")
            .with("available", serde_json::json!({"amount": "5", "asset": "EUR"}))
            .errors([FieldError::new("/amount", "too-high", "More than there is.")]);
        let json = serde_json::to_string(&problem.body(Lang::En)).unwrap();
        insta::assert_snapshot!(json, @r#"{"type":"/problems/made-up","title":"Not enough","status":422,"detail":"Top up.","code":"made-up","errors":[{"pointer":"/amount","code":"too-high","detail":"More than there is."}],"available":{"amount":"5","asset":"EUR"}}"#);
        assert_eq!(json, serde_json::to_string(&problem.clone().body(Lang::En)).unwrap());
    }

    #[test]
    fn the_catalogue_words_a_problem_in_the_language_asked_for() {
        let problem = Problem::new(403, "scope-missing", "en", "en").with("scope", "payments:write");
        assert!(problem.body(Lang::It).detail.contains("payments:write"));
        assert_ne!(problem.body(Lang::It).title, problem.body(Lang::En).title);
    }

    #[test]
    fn an_internal_problem_tells_the_caller_nothing_and_the_log_everything() {
        let error = Outer(std::io::Error::other("secret path"));
        assert_eq!(Chain(&error).to_string(), "cannot read the vault: secret path");
        let json = serde_json::to_string(&Problem::internal(&error).body(Lang::En)).unwrap();
        assert!(!json.contains("vault") && !json.contains("secret"), "{json}");
    }

    #[test]
    fn the_answer_says_what_it_is_and_when_to_come_back() {
        let response = Problem::new(503, "made-up", "Busy", "Wait.").retry_after(2).error_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let header = |name: header::HeaderName| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
        assert_eq!(header(header::CONTENT_TYPE), "application/problem+json");
        assert_eq!(header(header::RETRY_AFTER), "2");
    }
}
