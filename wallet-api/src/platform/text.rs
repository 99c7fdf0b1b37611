//! The words people read, in Italian and English: two Fluent catalogues, embedded.
//!
//! Both hold the same ids (a test says so). Money and dates come in as text that is already written out: Fluent counts
//! with floats, so only counts of things are handed to it as numbers, for their plural.
//! Not here: which language somebody asked for on a request beyond `Accept-Language`, and any wording of a slice.

use std::sync::LazyLock;

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// A language the house speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lang {
    /// English, also for whoever asks for neither.
    #[default]
    En,
    /// Italian.
    It,
}

/// A value that a text mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arg<'a> {
    /// Words, or an amount or date already written out.
    Text(&'a str),
    /// How many, for texts that have a plural.
    Count(i64),
}

impl Lang {
    /// The language's tag, as in `Content-Language` and in a tenant's `locale`.
    #[must_use]
    pub fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::It => "it",
        }
    }

    /// The language of a tag such as `it` or `it-IT`, if it is one of ours.
    #[must_use]
    pub fn from_tag(tag: &str) -> Option<Self> {
        match tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase().as_str() {
            "en" => Some(Self::En),
            "it" => Some(Self::It),
            _ => None,
        }
    }

    /// The one of ours that an `Accept-Language` header likes best; English when it names neither.
    #[must_use]
    pub fn from_header(header: &str) -> Self {
        let mut best = (Self::En, 0);
        for range in header.split(',') {
            let (tag, params) = range.split_once(';').unwrap_or((range, ""));
            let weight = weight(params);
            if let Some(lang) = Self::from_tag(tag.trim())
                && weight > best.1
            {
                best = (lang, weight);
            }
        }
        best.0
    }
}

/// `q=0.8` in thousandths; 1000 when absent, 0 when it cannot be read (RFC 9110, 12.4.2).
fn weight(params: &str) -> u16 {
    let Some(q) = params.trim().strip_prefix("q=") else { return 1_000 };
    let (whole, fraction) = q.split_once('.').unwrap_or((q, ""));
    let digits = format!("{whole}{fraction:0<3}");
    digits.parse().ok().filter(|thousandths| *thousandths <= 1_000).unwrap_or(0)
}

/// The text of `id` in `lang`; in English when the language lacks it; the id itself, logged, when no catalogue has it.
#[must_use]
pub fn text(lang: Lang, id: &str, args: &[(&str, Arg<'_>)]) -> String {
    find(lang, id, args).or_else(|| find(Lang::En, id, args)).unwrap_or_else(|| {
        tracing::error!(id, "no catalogue has this text");
        id.to_owned()
    })
}

/// The text of `id` in `lang`, if its catalogue has it and it can be written out with these values.
#[must_use]
pub fn find(lang: Lang, id: &str, args: &[(&str, Arg<'_>)]) -> Option<String> {
    let bundle = bundle(lang);
    let pattern = bundle.get_message(id)?.value()?;
    let mut values = FluentArgs::with_capacity(args.len());
    for (name, arg) in args {
        values.set(*name, FluentValue::from(*arg));
    }
    let mut errors = Vec::new();
    let text = bundle.format_pattern(pattern, Some(&values), &mut errors);
    errors.is_empty().then(|| text.into_owned())
}

impl<'a> From<Arg<'a>> for FluentValue<'a> {
    fn from(arg: Arg<'a>) -> Self {
        match arg {
            Arg::Text(text) => text.into(),
            Arg::Count(count) => count.into(),
        }
    }
}

const SOURCES: [(Lang, &str); 2] =
    [(Lang::En, include_str!("../../locales/en.ftl")), (Lang::It, include_str!("../../locales/it.ftl"))];

type Bundle = FluentBundle<FluentResource>;

fn bundle(lang: Lang) -> &'static Bundle {
    static BUNDLES: LazyLock<[Bundle; 2]> = LazyLock::new(|| SOURCES.map(|(lang, source)| open(lang, source)));
    let [en, it] = &*BUNDLES;
    match lang {
        Lang::En => en,
        Lang::It => it,
    }
}

fn open(lang: Lang, source: &str) -> Bundle {
    let locale: LanguageIdentifier = lang.tag().parse().unwrap_or_default();
    let mut bundle = Bundle::new_concurrent(vec![locale]);
    // Isolating marks are for mixed writing directions; in JSON they would only be invisible noise.
    bundle.set_use_isolating(false);
    // A test holds the catalogues to have no errors; whatever can be read is used.
    let resource = FluentResource::try_new(source.to_owned()).unwrap_or_else(|(readable, _errors)| readable);
    if let Err(errors) = bundle.add_resource(resource) {
        tracing::error!(lang = lang.tag(), ?errors, "catalogue repeats an id");
    }
    bundle
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn ids(source: &str) -> BTreeSet<String> {
        let starts_id = |line: &&str| line.starts_with(|c: char| c.is_ascii_alphabetic());
        let id = |line: &str| line.split_once(" =").map(|(id, _)| id.to_owned());
        source.lines().filter(starts_id).filter_map(id).collect()
    }

    #[test]
    fn both_catalogues_hold_the_same_ids_and_no_mistake() {
        let [(_, en), (_, it)] = SOURCES;
        assert_eq!(ids(en), ids(it));
        assert!(!ids(en).is_empty());
        for (lang, source) in SOURCES {
            let resource =
                FluentResource::try_new(source.to_owned()).unwrap_or_else(|(_, e)| panic!("{lang:?}: {e:?}"));
            assert_eq!(resource.entries().count(), source.lines().filter(|l| l.contains(" =")).count(), "{lang:?}");
            let mut bundle = Bundle::new_concurrent(vec![]);
            bundle.add_resource(resource).unwrap();
        }
    }

    #[test]
    fn the_best_liked_language_of_ours_wins_and_english_is_for_all_others() {
        for (header, lang) in [
            ("", Lang::En),
            ("it", Lang::It),
            ("it-IT,it;q=0.9,en;q=0.8", Lang::It),
            ("en;q=0.5, it;q=0.51", Lang::It),
            ("fr, de;q=0.9, it;q=0.1", Lang::It),
            ("it;q=0, en;q=0.001", Lang::En),
            ("it;q=9, en;q=0.1", Lang::En),
            ("it;q=banana", Lang::En),
            ("*", Lang::En),
            ("IT", Lang::It),
        ] {
            assert_eq!(Lang::from_header(header), lang, "{header:?}");
        }
    }

    #[test]
    fn a_text_mentions_its_values_and_lacks_none_silently() {
        let scope = [("scope", Arg::Text("payments:write"))];
        assert!(text(Lang::It, "problem-scope-missing-detail", &scope).contains("payments:write"));
        assert_eq!(find(Lang::It, "problem-scope-missing-detail", &[]), None);
        assert_eq!(text(Lang::It, "no-such-text", &[]), "no-such-text");
    }

    /// Codes of the problems that `source` makes outside its tests.
    fn codes(source: &str) -> impl Iterator<Item = &str> {
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        code.split("Problem::new(").skip(1).filter_map(|call| call.split('"').nth(1))
    }

    fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => sources(&entry.path(), found),
                false => found.push(entry.path()),
            }
        }
    }

    #[test]
    fn every_problem_of_this_crate_has_words_in_both_languages() {
        let mut files = Vec::new();
        sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
        files.retain(|file| !file.ends_with("tests.rs"));
        let known = ids(SOURCES[0].1); // the other has the same
        let mut checked = 0;
        for file in files {
            for code in codes(&std::fs::read_to_string(&file).unwrap()) {
                for id in [format!("problem-{code}"), format!("problem-{code}-detail")] {
                    assert!(known.contains(&id), "{}: no words for {id} in locales/", file.display());
                    checked += 1;
                }
            }
        }
        assert!(checked > 40, "the search finds the problems ({checked})");
    }
}
