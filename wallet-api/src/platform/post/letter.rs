//! Letters: subject and words of the catalogues, as text and as HTML.
//!
//! A letter called `code` is the messages `mail-code-subject` and `mail-code-body` in both languages; an empty line of the
//! body ends a paragraph. Values are escaped in the HTML and lose their control characters everywhere, so that whatever
//! they hold stays in its place. The HTML has no style, image or link: it reads the same everywhere, and tells nobody
//! that it was read.

use crate::platform::text::{self, Arg, Lang};

/// What a mail says. It shows nothing of itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Letter {
    pub(super) subject: String,
    pub(super) text: String,
    pub(super) html: String,
}

impl Letter {
    /// A letter of the catalogue with these values.
    #[must_use]
    pub fn written(lang: Lang, name: &str, values: &[(&str, Arg<'_>)]) -> Self {
        let plain: Vec<(&str, Plain)> = values.iter().map(|(name, value)| (*name, Plain::of(*value))).collect();
        let values: Vec<(&str, Arg<'_>)> = plain.iter().map(|(name, value)| (*name, value.arg())).collect();
        let subject = text::text(lang, &format!("mail-{name}-subject"), &values);
        let body = text::text(lang, &format!("mail-{name}-body"), &values);
        let html = html(lang, &subject, &body);
        Self { subject, text: body, html }
    }
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Letter(..)")
    }
}

/// A value without control characters.
enum Plain {
    Text(String),
    Count(i64),
}

impl Plain {
    fn of(value: Arg<'_>) -> Self {
        match value {
            Arg::Text(text) => Self::Text(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()),
            Arg::Count(count) => Self::Count(count),
        }
    }

    fn arg(&self) -> Arg<'_> {
        match self {
            Self::Text(text) => Arg::Text(text),
            Self::Count(count) => Arg::Count(*count),
        }
    }
}

fn html(lang: Lang, subject: &str, body: &str) -> String {
    let paragraphs = body.split("\n\n").map(|paragraph| format!("<p>{}</p>\n", escape(paragraph.trim())));
    format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n<body>\n{}</body>\n</html>\n",
        lang.tag(),
        escape(subject),
        paragraphs.collect::<String>()
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push_str("<br>\n"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_says_the_same_in_text_and_html_in_both_languages() {
        for (lang, word) in [(Lang::En, "code"), (Lang::It, "codice")] {
            let values = [
                ("name", Arg::Text("Club & <b>Co</b>\r\nBcc: x")),
                ("code", Arg::Text("01234567")),
                ("minutes", Arg::Count(10)),
            ];
            let letter = Letter::written(lang, "code", &values);
            assert!(letter.subject.contains("Club & <b>Co</b>  Bcc: x"), "{}", letter.subject);
            assert!(!letter.subject.contains(['\r', '\n']));
            assert!(letter.text.contains("01234567") && letter.text.to_lowercase().contains(word), "{}", letter.text);
            assert!(letter.text.contains("10"), "{}", letter.text);
            assert!(letter.html.contains("<p>01234567</p>"), "{}", letter.html);
            assert!(letter.html.contains("Club &amp; &lt;b&gt;Co&lt;/b&gt;") && !letter.html.contains("<b>"));
            assert!(letter.html.contains(&format!("lang=\"{}\"", lang.tag())));
            assert_eq!(format!("{letter:?}"), "Letter(..)");
        }
    }
}
