//! Lines of a file of any size and content, in bounded memory.
//!
//! At most [`MAX_LINE`] bytes, or another limit that the reader was made with, of a line are ever held; the rest of a longer one is read and dropped, and the line says
//! so. Ends at LF or CRLF; the last line needs no end. Not here: what a line means (rows).

use std::io::{self, BufRead, Read};

/// The longest line that is taken whole, in bytes without its end.
pub const MAX_LINE: usize = 64 * 1024;

/// Reads one line after another into one buffer.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    buffer: Vec<u8>,
    number: u64,
    bytes_read: u64,
    longest: usize,
}

/// One line, valid until the next is read.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, the first line being 1.
    pub number: u64,
    /// Its content without LF or CRLF; the first [`MAX_LINE`] bytes or so of one that is too long.
    pub bytes: &'a [u8],
    /// Whether it went on past [`MAX_LINE`].
    pub too_long: bool,
}

impl<R: BufRead> Lines<R> {
    /// Starts before the first line of `input`.
    pub fn new(input: R) -> Self {
        Self::with_longest(input, MAX_LINE)
    }

    /// The same for lines of up to `longest` bytes.
    pub fn with_longest(input: R, longest: usize) -> Self {
        // Room for the longest line, a CR and the LF: the buffer never grows.
        Self { input, buffer: Vec::with_capacity(longest.saturating_add(2)), number: 0, bytes_read: 0, longest }
    }

    /// The next line, or `None` at the end of the file.
    ///
    /// # Errors
    /// What the input reports.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        let limit = u64::try_from(self.longest).unwrap_or(u64::MAX).saturating_add(2);
        let taken = self.input.by_ref().take(limit).read_until(b'\n', &mut self.buffer)?;
        if taken == 0 {
            return Ok(None);
        }
        let ended = self.buffer.last() == Some(&b'\n');
        let dropped = if !ended && taken > self.longest { self.input.skip_until(b'\n')? } else { 0 };
        self.number += 1;
        self.bytes_read += u64::try_from(taken.saturating_add(dropped)).unwrap_or(u64::MAX);
        let bytes = without_end(&self.buffer);
        Ok(Some(Line { number: self.number, bytes, too_long: bytes.len() > self.longest }))
    }

    /// How many lines were read.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many bytes of the input were read, ends of lines included.
    pub fn bytes_read(&self) -> u64 {
        self.bytes_read
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn read(input: &[u8]) -> Vec<(u64, Vec<u8>, bool)> {
        let mut lines = Lines::new(input);
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push((line.number, line.bytes.to_vec(), line.too_long));
        }
        assert_eq!(lines.bytes_read(), u64::try_from(input.len()).unwrap());
        all
    }

    #[test]
    fn ends_of_lines_are_lf_or_crlf_and_the_last_needs_none() {
        let lines = read(b"a\r\nb\n\nc\0\r\r\nd");
        let texts: Vec<_> = lines.iter().map(|(_, bytes, _)| bytes.as_slice()).collect();
        assert_eq!(texts, [&b"a"[..], b"b", b"", b"c\0\r", b"d"]);
        assert!(read(b"").is_empty());
    }

    #[test]
    fn a_line_is_whole_up_to_the_limit_and_said_to_be_too_long_past_it() {
        for end in ["", "\n", "\r\n"] {
            for (length, too_long) in
                [(MAX_LINE, false), (MAX_LINE + 1, true), (MAX_LINE + 2, true), (MAX_LINE * 3, true)]
            {
                let input = [vec![b'x'; length], end.as_bytes().to_vec(), b"next".to_vec()].concat();
                let input = if end.is_empty() { &input[..length] } else { &input[..] };
                let lines = read(input);
                assert_eq!((lines[0].0, lines[0].2), (1, too_long), "{length} {end:?}");
                assert_eq!(lines.get(1).map(|line| line.1.as_slice()), (!end.is_empty()).then_some(&b"next"[..]));
            }
        }
    }

    /// However long a line is, memory stays what it was at the start.
    #[test]
    fn a_gigabyte_without_a_line_end_is_dropped_and_not_held() {
        let garbage = io::repeat(b'"').take(1 << 30).chain(&b"\nafter"[..]);
        let mut lines = Lines::new(BufReader::with_capacity(1 << 16, garbage));
        let before = lines.buffer.capacity();
        assert!(lines.next_line().unwrap().unwrap().too_long);
        assert_eq!(lines.next_line().unwrap().unwrap(), Line { number: 2, bytes: b"after", too_long: false });
        assert_eq!(lines.buffer.capacity(), before);
    }
}
