//! Just enough HTTP/1.1 for a bench that talks to its own house over loopback.
//!
//! A message is read from one buffer once it is whole; its body has a `Content-Length` or is empty. Chunked bodies,
//! upgrades and interim answers are refused and not guessed at. Heads are parsed by `httparse`.

use std::{fmt, io::Write, ops::Range};

use httparse::{EMPTY_HEADER, Header, Status};

/// The largest message taken, head and body, in bytes.
pub const MAX_MESSAGE: usize = 1024 * 1024;

/// The most headers a message may have.
pub const MAX_HEADERS: usize = 64;

/// Why a message cannot be read. Where it ends is not known then, so its connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No HTTP/1.x message, or one with more than [`MAX_HEADERS`] headers.
    #[error("the message is not HTTP/1.1 as the bench speaks it")]
    Malformed,
    /// A body whose length is not told by one `Content-Length`, or an interim answer.
    #[error("the message has no plain Content-Length (chunked or interim messages are not spoken here)")]
    Framing,
    /// Larger than [`MAX_MESSAGE`].
    #[error("the message is larger than 1 MiB")]
    TooLarge,
}

/// A whole answer, told by where it stands in the buffer it was read into, so that the buffer can be read into again.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Where the body stands; it ends where the answer does.
    pub body: Range<usize>,
    /// Whether the other side closes the connection after it.
    pub closes: bool,
}

/// A whole request, borrowed from the buffer it was read into.
#[derive(Debug)]
pub struct Request<'h, 'a> {
    /// The method, such as `POST`.
    pub method: &'a str,
    /// All headers, as sent.
    pub headers: &'h [Header<'a>],
    /// The body.
    pub body: &'a [u8],
    /// How many bytes of the buffer the request takes.
    pub length: usize,
    /// Whether the other side closes the connection after it.
    pub closes: bool,
}

/// The answer at the start of `bytes`, or `None` while it is not whole.
///
/// # Errors
/// [`WireError`]
pub fn parse_response(bytes: &[u8]) -> Result<Option<Response>, WireError> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let Some(head_length) = whole(head.parse(bytes), bytes)? else { return Ok(None) };
    let status = head.code.ok_or(WireError::Malformed)?;
    let body_length = match (status, content_length(head.headers)?) {
        (100..=199, _) => return Err(WireError::Framing),
        (204 | 304, _) => 0,
        (_, length) => length.ok_or(WireError::Framing)?,
    };
    let closes = closes(head.version, head.headers);
    let is_whole = body(bytes, head_length, body_length)?.is_some();
    Ok(is_whole.then(|| Response { status, body: head_length..head_length + body_length, closes }))
}

/// The request at the start of `bytes`, or `None` while it is not whole. `headers` is room for its headers.
///
/// # Errors
/// [`WireError`]
pub fn parse_request<'h, 'a>(
    bytes: &'a [u8],
    headers: &'h mut [Header<'a>; MAX_HEADERS],
) -> Result<Option<Request<'h, 'a>>, WireError> {
    let mut head = httparse::Request::new(headers);
    let Some(head_length) = whole(head.parse(bytes), bytes)? else { return Ok(None) };
    let (method, version, headers) = (head.method.ok_or(WireError::Malformed)?, head.version, &*head.headers);
    let body_length = content_length(headers)?.unwrap_or(0);
    let Some(body) = body(bytes, head_length, body_length)? else { return Ok(None) };
    let (length, closes) = (head_length + body_length, closes(version, headers));
    Ok(Some(Request { method, headers, body, length, closes }))
}

/// The value of a header, if it is there and is text.
pub fn header<'a>(headers: &[Header<'a>], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    str::from_utf8(header.value).ok()
}

/// Writes a whole POST request to the end of `out`. `headers` go out as given; host and length are added.
pub fn write_post(out: &mut Vec<u8>, path: fmt::Arguments<'_>, headers: &[(&str, fmt::Arguments<'_>)], body: &[u8]) {
    append(out, format_args!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n", body.len()));
    for (name, value) in headers {
        append(out, format_args!("{name}: {value}\r\n"));
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}

fn append(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _written = out.write_fmt(text);
}

fn whole(parsed: httparse::Result<usize>, bytes: &[u8]) -> Result<Option<usize>, WireError> {
    match parsed {
        Ok(Status::Complete(length)) => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() >= MAX_MESSAGE => Err(WireError::TooLarge),
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(WireError::Malformed),
    }
}

fn content_length(headers: &[Header<'_>]) -> Result<Option<usize>, WireError> {
    let mut lengths = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
    let (first, second) = (lengths.next(), lengths.next());
    if second.is_some() || header(headers, "transfer-encoding").is_some() {
        return Err(WireError::Framing);
    }
    let digits = |header: &Header<'_>| str::from_utf8(header.value).ok()?.parse().ok();
    first.map(|header| digits(header).ok_or(WireError::Framing)).transpose()
}

fn body(bytes: &[u8], head: usize, length: usize) -> Result<Option<&[u8]>, WireError> {
    let end = head.checked_add(length).filter(|end| *end <= MAX_MESSAGE).ok_or(WireError::TooLarge)?;
    Ok(bytes.get(head..end))
}

fn closes(version: Option<u8>, headers: &[Header<'_>]) -> bool {
    version == Some(0) || header(headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_there_once_its_last_byte_is() {
        let bytes = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200";
        for end in 0..48 {
            assert_eq!(parse_response(&bytes[..end]), Ok(None), "{end}");
        }
        let answer = parse_response(bytes).unwrap().unwrap();
        assert_eq!(answer, Response { status: 201, body: 43..48, closes: false });
    }

    #[test]
    fn an_answer_whose_end_is_not_told_is_refused() {
        let refusal = |text: &str| parse_response(text.as_bytes()).unwrap_err();
        assert_eq!(refusal("HTTP/1.1 200 OK\r\n\r\n"), WireError::Framing);
        assert_eq!(refusal("HTTP/1.1 100 Continue\r\n\r\n"), WireError::Framing);
        assert_eq!(refusal("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), WireError::Framing);
        assert_eq!(refusal("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nContent-Length: 2\r\n\r\n"), WireError::Framing);
        assert_eq!(refusal("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), WireError::Framing);
        assert_eq!(refusal("HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n"), WireError::TooLarge);
        assert_eq!(refusal("SSH-2.0-OpenSSH\r\n"), WireError::Malformed);
        assert!(parse_response(b"HTTP/1.1 204 No Content\r\nconnection: Close\r\n\r\n").unwrap().unwrap().closes);
    }

    #[test]
    fn a_head_without_end_is_refused_in_time() {
        let endless = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; MAX_MESSAGE]].concat();
        assert_eq!(parse_response(&endless), Err(WireError::TooLarge));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let mut bytes = Vec::new();
        write_post(&mut bytes, format_args!("/v1/{}", 7), &[("idempotency-key", format_args!("k-{}", 8))], b"{}");
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let request = parse_request(&bytes, &mut headers).unwrap().unwrap();
        assert_eq!(
            (request.method, request.body, request.length, request.closes),
            ("POST", &b"{}"[..], bytes.len(), false)
        );
        assert_eq!(header(request.headers, "Idempotency-Key"), Some("k-8"));
        assert_eq!(header(request.headers, "host"), Some("localhost"));
    }
}
