//! Consents: what a person agreed to, in which words, and when they took it back (GDPR, Art. 7).
//!
//! A tenant asks for a purpose (`marketing`) in words of its own, in Italian and English; a version of them never changes. What
//! a person says is a row that stays, with the hash of what they were shown, and an entry of the signed audit log written in
//! the same transaction: that is the proof. The last one of a purpose counts. To withdraw takes less than to agree: the
//! purpose, and no text.
//! Who acts on a consent asks [`holds`] in the transaction in which it acts: whoever withdraws at that moment waits for it, and
//! after that nothing is done any more.
//! Not here: what is done for a purpose, and consents to banks.

mod model;
mod routes;
mod store;

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, QueryResult};
use uuid::Uuid;

pub use model::{Act, Channel, ConsentError, ConsentText, MAX_TEXT, Saying, Shown, digest_of, is_purpose};
pub use routes::routes;

use crate::identity::people;
use crate::platform::audit::{self, Action, Actor, Entry, Fact, Object};
use crate::platform::text::Lang;

/// What a person said of a purpose, beside what is asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The text in force, in the language asked for.
    pub text: ConsentText,
    /// The last thing they said.
    pub last: Option<Act>,
}

/// Publishes the next version of a purpose's text, in every language, and tells its number.
///
/// # Errors
/// [`ConsentError::Text`].
pub fn publish(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: Actor,
    tenant: i64,
    purpose: &str,
    words: &[(Lang, String)],
) -> Result<i32, ConsentError> {
    let has = |lang: Lang| words.iter().filter(|(locale, _)| *locale == lang).count() == 1;
    let is_text = |text: &str| !text.trim().is_empty() && text.len() <= MAX_TEXT && !text.contains('\0');
    let whole = has(Lang::It) && has(Lang::En) && words.iter().all(|(_, text)| is_text(text));
    if !is_purpose(purpose) || !whole {
        return Err(ConsentError::Text);
    }
    conn.transaction(|conn| {
        // One after the other: the audit log's head is locked until the transaction ends, so it comes first.
        let entry = Entry::done(tenant, by, Action::ConsentTextPublished, Object::Tenant(tenant));
        let version = store::last_version(conn, tenant, purpose)?.saturating_add(1);
        audit::append(conn, &entry.with("version", Fact::Number(i64::from(version))), now)?;
        let text = |(locale, words): &(Lang, String)| ConsentText {
            purpose: purpose.to_owned(),
            version,
            locale: *locale,
            words: words.clone(),
            digest: digest_of(words),
        };
        store::insert_texts(conn, tenant, &words.iter().map(text).collect::<Vec<_>>(), now)?;
        Ok(version)
    })
}

/// The texts in force, of every purpose and in every language.
///
/// # Errors
/// What the database says.
pub fn texts(conn: &mut PgConnection, tenant: i64) -> QueryResult<Vec<ConsentText>> {
    store::texts(conn, tenant)
}

/// Writes down that a person agrees to what they were shown.
///
/// # Errors
/// [`ConsentError::UnknownPurpose`]; [`ConsentError::TextChanged`] when it is not what is asked now, to the letter.
pub fn grant(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    who: Saying,
    purpose: &str,
    shown: Shown,
) -> Result<Act, ConsentError> {
    conn.transaction(|conn| {
        people::lock(conn, tenant, who.person)?.ok_or(ConsentError::UnknownPerson)?;
        let texts = store::texts(conn, tenant)?;
        let mut asked = texts.iter().filter(|text| text.purpose == purpose).peekable();
        asked.peek().ok_or(ConsentError::UnknownPurpose)?;
        let is_shown = |text: &&ConsentText| {
            (text.version, text.locale, text.digest) == (shown.version, shown.locale, shown.digest)
        };
        asked.find(is_shown).ok_or(ConsentError::TextChanged)?;
        say(conn, now, tenant, who, (purpose, true), shown)
    })
}

/// Writes down that a person takes back what they agreed to. None when there is nothing to take back: nothing is written.
///
/// # Errors
/// [`ConsentError::UnknownPerson`], and what the database says.
pub fn withdraw(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    who: Saying,
    purpose: &str,
) -> Result<Option<Act>, ConsentError> {
    conn.transaction(|conn| {
        people::lock(conn, tenant, who.person)?.ok_or(ConsentError::UnknownPerson)?;
        let Some(last) = store::last(conn, tenant, who.person, purpose)?.filter(|last| last.is_granted) else {
            return Ok(None);
        };
        let shown = Shown { version: last.version, locale: last.locale, digest: last.digest };
        say(conn, now, tenant, who, (purpose, false), shown).map(Some)
    })
}

fn say(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    tenant: i64,
    who: Saying,
    (purpose, is_granted): (&str, bool),
    shown: Shown,
) -> Result<Act, ConsentError> {
    let Saying { person, session, channel } = who;
    let number = store::last_number(conn, tenant, person)?.saturating_add(1);
    let action = if is_granted { Action::ConsentGranted } else { Action::ConsentWithdrawn };
    let entry = Entry::done(tenant, Actor::Person(person), action, Object::Person(person)).about(person);
    let entry = entry.with("number", Fact::Number(i64::from(number))).with("text", Fact::Digest(shown.digest));
    let entry = entry.with("purpose", Fact::Digest(digest_of(purpose))).with("session", Fact::Id(session));
    let audit_seq = audit::append(conn, &entry, now)?;
    let Shown { version, locale, digest } = shown;
    let purpose = purpose.to_owned();
    let act = Act { number, purpose, is_granted, version, locale, digest, channel, session, audit_seq, at: now };
    store::insert(conn, tenant, person, &act)?;
    Ok(act)
}

/// Whether a person agrees to this now. Asked in the transaction that acts on it: a withdrawal that comes meanwhile waits for
/// that transaction to end, so nothing is done after it.
///
/// # Errors
/// What the database says; a transaction that may only read is one of it.
pub fn holds(conn: &mut PgConnection, tenant: i64, person: Uuid, purpose: &str) -> QueryResult<bool> {
    if !people::hold(conn, tenant, person)? {
        return Ok(false);
    }
    Ok(store::last(conn, tenant, person, purpose)?.is_some_and(|last| last.is_granted))
}

/// What is asked of people now, in a language, and what this one said of it.
///
/// # Errors
/// What the database says.
pub fn standing(conn: &mut PgConnection, tenant: i64, person: Uuid, lang: Lang) -> QueryResult<Vec<Standing>> {
    let asked = store::texts(conn, tenant)?.into_iter().filter(|text| text.locale == lang);
    asked.map(|text| Ok(Standing { last: store::last(conn, tenant, person, &text.purpose)?, text })).collect()
}

/// Everything a person said, first to last, after a number.
///
/// # Errors
/// What the database says.
pub fn history(conn: &mut PgConnection, tenant: i64, person: Uuid, after: i32, limit: i64) -> QueryResult<Vec<Act>> {
    store::acts(conn, tenant, person, after, limit)
}
