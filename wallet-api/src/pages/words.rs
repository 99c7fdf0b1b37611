//! Times, amounts and machines as people read them.

use actix_web::HttpRequest;
use actix_web::http::header::USER_AGENT;
use chrono::{DateTime, Datelike, SecondsFormat, Utc};
use chrono_tz::Tz;
use minijinja::{Value, context};

use super::ask::Ask;
use crate::identity::operators::Hours;
use crate::identity::people::CAUTIOUS_MINOR;
use crate::payments::amount;
use crate::platform::money::EUR;
use crate::platform::text::{Arg, Lang, text};

/// A moment, for machines and for people.
#[derive(Debug)]
pub(super) struct When {
    /// As HTML has it.
    iso: String,
    /// As people read it.
    text: String,
}

impl When {
    /// As people read it.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// A moment in a language: `23 November 2026, 07:55`.
    pub(super) fn of(at: DateTime<Utc>, zone: Tz, lang: Lang) -> Self {
        let there = at.with_timezone(&zone);
        let month = text(lang, &format!("page-month-{}", there.month()), &[]);
        let (day, year, time) = (there.day().to_string(), there.year().to_string(), there.format("%H:%M").to_string());
        let values = [
            ("day", Arg::Text(&day)),
            ("month", Arg::Text(&month)),
            ("year", Arg::Text(&year)),
            ("time", Arg::Text(&time)),
        ];
        Self { iso: at.to_rfc3339_opts(SecondsFormat::Secs, true), text: text(lang, "page-when", &values) }
    }
}

/// Hours of the week: `Mon–Fri 8–20, Sat 9–13`.
pub(super) fn hours(hours: Hours, lang: Lang) -> String {
    let mut runs: Vec<(usize, usize, String)> = Vec::new();
    for (day, spans) in hours.spans().iter().enumerate() {
        let times: Vec<_> = spans.iter().map(|(from, until)| format!("{from}–{until}")).collect();
        let times = times.join(", ");
        match runs.last_mut() {
            Some((_, last, same)) if *same == times => *last = day,
            _ => runs.push((day, day, times)),
        }
    }
    let name = |day: usize| text(lang, &format!("page-day-{day}"), &[]);
    let run = |(first, last, times): (usize, usize, String)| match last {
        last if last == first => format!("{} {times}", name(first)),
        last => format!("{}–{} {times}", name(first), name(last)),
    };
    runs.into_iter().filter(|(.., times)| !times.is_empty()).map(run).collect::<Vec<_>>().join(", ")
}

/// Most characters that are looked at of what is said to be a code.
const CODE_LENGTH: usize = 16;

/// What somebody says is the code, without the spaces that people put between digits.
pub(super) fn digits(code: &str) -> String {
    code.chars().filter(|letter| !letter.is_whitespace()).take(CODE_LENGTH).collect()
}

/// What may be paid in all for a day after a recovery or a new device.
pub(super) fn cautious(ask: &Ask) -> String {
    amount(ask.lang, CAUTIOUS_MINOR, EUR)
}

/// What somebody sits at, as far as their browser says: a first name for a device, which its person may change.
pub(super) fn machine(req: &HttpRequest) -> Option<String> {
    let agent = req.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // In this order: what stands later is also in what stands before.
    let known = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("CrOS", "Chromebook"),
        ("Windows", "Windows"),
        ("Mac OS X", "Mac"),
        ("Linux", "Linux"),
    ];
    known.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| (*name).to_owned())
}

impl From<When> for Value {
    fn from(when: When) -> Self {
        let When { iso, text } = when;
        context! { iso, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_told_in_runs_of_days_that_have_the_same() {
        let told = |text: &str, lang| hours(text.parse().unwrap(), lang);
        assert_eq!(told("mon-fri 8-20, sat 9-13", Lang::En), "Mon–Fri 8–20, Sat 9–13");
        assert_eq!(told("mon-fri 8-20, sat 9-13", Lang::It), "lun–ven 8–20, sab 9–13");
        assert_eq!(told("tue 8-12, tue 14-18, sun 0-24", Lang::En), "Tue 8–12, 14–18, Sun 0–24");
    }

    #[test]
    fn a_moment_is_told_in_the_tenants_zone_and_the_readers_language() {
        let at = DateTime::from_timestamp(1_795_417_200, 0).unwrap(); // 2026-11-23 07:00 UTC
        let rome = chrono_tz::Europe::Rome;
        assert_eq!(When::of(at, rome, Lang::En).text, "23 November 2026, 08:00");
        assert_eq!(When::of(at, rome, Lang::It).text, "23 novembre 2026, 08:00");
        assert_eq!(When::of(at, rome, Lang::It).iso, "2026-11-23T07:00:00Z");
    }
}
