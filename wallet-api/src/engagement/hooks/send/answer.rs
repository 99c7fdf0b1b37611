//! What a receiver answers: its status, how long it wants to be left alone, the beginning of its body.

use std::time::Duration;

use chrono::DateTime;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::{FailReason, Verdict};

/// Bytes of a body that are read and kept. What a person needs to find a fault is at its beginning.
pub(super) const EXCERPT_BYTES: usize = 20_000;

/// As much of an answer as has come so far, so that a timeout loses none of it.
#[derive(Default)]
pub(super) struct Answer {
    status: Option<StatusCode>,
    retry_after: Option<HeaderValue>,
    body: Vec<u8>,
    is_cut: bool,
}

impl Answer {
    /// Whether a status has come.
    pub(super) fn has_begun(&self) -> bool {
        self.status.is_some()
    }

    /// Takes in an answer, up to the end of its body or to the limit.
    pub(super) async fn read(&mut self, response: Response<Incoming>) -> hyper::Result<()> {
        self.status = Some(response.status());
        self.retry_after = response.headers().get(RETRY_AFTER).cloned();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame?;
            self.append(frame.data_ref().map(|data| data.as_ref()).unwrap_or_default());
            if self.is_cut {
                break;
            }
        }
        Ok(())
    }

    fn append(&mut self, data: &[u8]) {
        let room = EXCERPT_BYTES.saturating_sub(self.body.len());
        self.is_cut = data.len() > room;
        self.body.extend_from_slice(data.get(..room).unwrap_or(data));
    }

    /// Says what the attempt came to, whose timestamp is the present for a `Retry-After` that names a time.
    pub(super) fn verdict(&self, outcome: Result<(), FailReason>, now_s: i64) -> Verdict {
        let code = self.status.map(|status| status.as_u16());
        let reason = match (self.status, outcome) {
            // Whether the body came through or not, 410 says what it says.
            (Some(StatusCode::GONE), _) => return Verdict::Gone,
            (_, Err(reason)) => reason,
            (Some(status), Ok(())) if status.is_success() => return Verdict::Delivered { status: status.as_u16() },
            (Some(status), Ok(())) if status.is_redirection() => FailReason::Redirect,
            (_, Ok(())) => FailReason::Status,
        };
        let retry_after = self.retry_after.as_ref().and_then(|value| parse_retry_after(value.to_str().ok()?, now_s));
        Verdict::Failed { status: code, reason, retry_after }
    }

    /// The body's beginning as a text that any database takes: no NUL, and within the limit also after replacing.
    pub(super) fn into_excerpt(self) -> String {
        let mut text = String::from_utf8_lossy(&self.body).replace('\0', "\u{fffd}");
        text.truncate(text.floor_char_boundary(EXCERPT_BYTES));
        text
    }
}

/// Reads either form of `Retry-After`, whole seconds or a time; a time that has passed asks for nothing.
fn parse_retry_after(value: &str, now_s: i64) -> Option<Duration> {
    let seconds = match value.parse() {
        Ok(seconds) => seconds,
        // The form that RFC 9110 has servers send is also a date of RFC 5322; the two obsolete forms are not read.
        Err(_) => u64::try_from(DateTime::parse_from_rfc2822(value).ok()?.timestamp().checked_sub(now_s)?).ok()?,
    };
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_time() {
        let parse = |value| parse_retry_after(value, 784_111_777);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:47 GMT"), Some(Duration::from_secs(10)));
        for nothing in ["", "soon", "-5", "1.5", "Sun, 06 Nov 1994 08:49:27 GMT"] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }

    /// An answer of unreadable bytes triples when each is replaced, and PostgreSQL takes no NUL.
    #[test]
    fn an_excerpt_stays_within_the_limit_whatever_the_bytes() {
        for byte in [0, b'a', 0xff] {
            let mut answer = Answer::default();
            answer.append(&vec![byte; EXCERPT_BYTES + 1]);
            assert!(answer.is_cut);
            let excerpt = answer.into_excerpt();
            assert!((EXCERPT_BYTES - 3..=EXCERPT_BYTES).contains(&excerpt.len()) && !excerpt.contains('\0'));
        }
    }

    #[test]
    fn a_410_means_gone_even_if_its_body_never_ends() {
        let answer = Answer { status: Some(StatusCode::GONE), ..Answer::default() };
        assert_eq!(answer.verdict(Err(FailReason::Timeout), 0), Verdict::Gone);
    }
}
