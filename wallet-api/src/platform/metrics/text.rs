//! The text format: families, each with its help and type, and their samples. Whole numbers throughout; seconds are
//! written as decimals from whole microseconds.

use std::fmt::{Display, Write as _};

use ledger::Histogram;

/// Labels of a sample.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// The text as it grows. Writing to a string cannot fail.
#[derive(Debug, Default)]
pub(super) struct Text(String);

/// A time in microseconds, written as seconds.
pub(super) struct Seconds(pub(super) i64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let us = self.0.unsigned_abs();
        let (whole, part) = (us.checked_div(1_000_000), us.checked_rem(1_000_000));
        write!(f, "{sign}{}.{:06}", whole.unwrap_or_default(), part.unwrap_or_default())
    }
}

/// Microseconds as an unsigned count has them.
fn seconds(us: u64) -> Seconds {
    Seconds(i64::try_from(us).unwrap_or(i64::MAX))
}

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// Begins a family. Every sample until the next one is of it.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        self.labels(labels, None);
        _ = writeln!(self.0, " {value}");
    }

    /// A family of one sample.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// A family of one sample.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    /// A histogram of microseconds, told in seconds.
    pub(super) fn times(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        self.histogram(name, labels, histogram, seconds);
    }

    /// A histogram of counts.
    pub(super) fn counts(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        self.histogram(name, labels, histogram, |value| value);
    }

    fn histogram<D: Display>(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram, show: fn(u64) -> D) {
        let spread = histogram.spread();
        let bounds = spread.upto.iter().map(|(bound, count)| (show(*bound).to_string(), *count));
        for (bound, count) in bounds.chain([("+Inf".to_owned(), spread.count)]) {
            self.0.push_str(name);
            self.0.push_str("_bucket");
            self.labels(labels, Some(&bound));
            _ = writeln!(self.0, " {count}");
        }
        self.sample(&format!("{name}_sum"), labels, show(spread.sum));
        self.sample(&format!("{name}_count"), labels, spread.count);
    }

    fn labels(&mut self, labels: Labels<'_>, bound: Option<&str>) {
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let written: Vec<String> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        if !written.is_empty() {
            _ = write!(self.0, "{{{}}}", written.join(","));
        }
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_seconds_to_the_microsecond() {
        let written = [0, 1, 1_500_000, -20_000, i64::MAX].map(|us| Seconds(us).to_string());
        assert_eq!(written, ["0.000000", "0.000001", "1.500000", "-0.020000", "9223372036854.775807"]);
    }

    #[test]
    fn a_histogram_is_cumulative_and_ends_at_infinity() {
        static SEEN: Histogram = Histogram::new(&[1_000, 250_000]);
        [900, 1_000, 2_000_000].into_iter().for_each(|us| SEEN.observe(us));
        let mut text = Text::default();
        text.family("x_seconds", "histogram", "How long.");
        text.times("x_seconds", &[("route", "/a\"b\\")], &SEEN);
        insta::assert_snapshot!(text.into_string(), @r#"
        # HELP x_seconds How long.
        # TYPE x_seconds histogram
        x_seconds_bucket{route="/a\"b\\",le="0.001000"} 2
        x_seconds_bucket{route="/a\"b\\",le="0.250000"} 2
        x_seconds_bucket{route="/a\"b\\",le="+Inf"} 3
        x_seconds_sum{route="/a\"b\\"} 2.001900
        x_seconds_count{route="/a\"b\\"} 3
        "#);
    }
}
