//! SQL of the tables `consent_text` and `consent`.

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use uuid::Uuid;

use super::model::{Act, Channel, ConsentText};
use crate::platform::text::Lang;

diesel::table! {
    consent_text (tenant, purpose, version, locale) {
        tenant -> BigInt,
        purpose -> Text,
        version -> Integer,
        locale -> Text,
        words -> Text,
        digest -> Binary,
        made_at -> Timestamptz,
    }
}

diesel::table! {
    consent (tenant, person, number) {
        tenant -> BigInt,
        person -> Uuid,
        number -> Integer,
        purpose -> Text,
        is_granted -> Bool,
        text_version -> Integer,
        locale -> Text,
        digest -> Binary,
        channel -> SmallInt,
        session -> Uuid,
        audit_seq -> BigInt,
        at -> Timestamptz,
    }
}

type TextRow = (String, i32, String, String, Vec<u8>);
type ActRow = (i32, String, bool, i32, String, Vec<u8>, i16, Uuid, i64, DateTime<Utc>);

/// The tables' checks allow 32 bytes and our languages only.
fn bytes32(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap_or_default()
}

fn lang(tag: &str) -> Lang {
    Lang::from_tag(tag).unwrap_or_default()
}

fn text((purpose, version, locale, words, digest): TextRow) -> ConsentText {
    ConsentText { purpose, version, locale: lang(&locale), words, digest: bytes32(&digest) }
}

fn act((number, purpose, is_granted, version, locale, digest, channel, session, audit_seq, at): ActRow) -> Act {
    let (locale, digest, channel) = (lang(&locale), bytes32(&digest), Channel::of(channel));
    Act { number, purpose, is_granted, version, locale, digest, channel, session, audit_seq, at }
}

/// The texts in force: of each purpose its last version, in every language.
pub(super) fn texts(conn: &mut PgConnection, tenant: i64) -> QueryResult<Vec<ConsentText>> {
    let rows: Vec<TextRow> = consent_text::table
        .filter(consent_text::tenant.eq(tenant))
        .order((consent_text::purpose, consent_text::version.desc(), consent_text::locale))
        .select((
            consent_text::purpose,
            consent_text::version,
            consent_text::locale,
            consent_text::words,
            consent_text::digest,
        ))
        .load(conn)?;
    let mut texts: Vec<ConsentText> = rows.into_iter().map(text).collect();
    texts.dedup_by(|later, first| later.purpose == first.purpose && later.version != first.version);
    Ok(texts)
}

/// The last version of a purpose's text; zero before the first.
pub(super) fn last_version(conn: &mut PgConnection, tenant: i64, purpose: &str) -> QueryResult<i32> {
    let of = consent_text::table.filter(consent_text::tenant.eq(tenant).and(consent_text::purpose.eq(purpose)));
    let last: Option<i32> = of.select(diesel::dsl::max(consent_text::version)).first(conn)?;
    Ok(last.unwrap_or(0))
}

pub(super) fn insert_texts(
    conn: &mut PgConnection,
    tenant: i64,
    texts: &[ConsentText],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    let row = |text: &ConsentText| {
        (
            consent_text::tenant.eq(tenant),
            consent_text::purpose.eq(text.purpose.clone()),
            consent_text::version.eq(text.version),
            consent_text::locale.eq(text.locale.tag()),
            consent_text::words.eq(text.words.clone()),
            consent_text::digest.eq(text.digest.to_vec()),
            consent_text::made_at.eq(now),
        )
    };
    let rows: Vec<_> = texts.iter().map(row).collect();
    diesel::insert_into(consent_text::table).values(&rows).execute(conn).map(drop)
}

/// Everything a person said, first to last, after a number.
pub(super) fn acts(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    after: i32,
    limit: i64,
) -> QueryResult<Vec<Act>> {
    let of = consent::table.filter(consent::tenant.eq(tenant).and(consent::person.eq(person)));
    let rows: Vec<ActRow> =
        of.filter(consent::number.gt(after)).order(consent::number).limit(limit).select(columns()).load(conn)?;
    Ok(rows.into_iter().map(act).collect())
}

/// The last thing a person said of a purpose.
pub(super) fn last(conn: &mut PgConnection, tenant: i64, person: Uuid, purpose: &str) -> QueryResult<Option<Act>> {
    let of = consent::table.filter(consent::tenant.eq(tenant).and(consent::person.eq(person)));
    let of = of.filter(consent::purpose.eq(purpose)).order(consent::number.desc());
    let row: Option<ActRow> = of.select(columns()).first(conn).optional()?;
    Ok(row.map(act))
}

/// How many things a person said.
pub(super) fn last_number(conn: &mut PgConnection, tenant: i64, person: Uuid) -> QueryResult<i32> {
    let of = consent::table.filter(consent::tenant.eq(tenant).and(consent::person.eq(person)));
    let last: Option<i32> = of.select(diesel::dsl::max(consent::number)).first(conn)?;
    Ok(last.unwrap_or(0))
}

pub(super) fn insert(conn: &mut PgConnection, tenant: i64, person: Uuid, act: &Act) -> QueryResult<()> {
    let values = (
        consent::tenant.eq(tenant),
        consent::person.eq(person),
        consent::number.eq(act.number),
        consent::purpose.eq(&act.purpose),
        consent::is_granted.eq(act.is_granted),
        consent::text_version.eq(act.version),
        consent::locale.eq(act.locale.tag()),
        consent::digest.eq(act.digest.as_slice()),
        consent::channel.eq(act.channel.number()),
        consent::session.eq(act.session),
        consent::audit_seq.eq(act.audit_seq),
        consent::at.eq(act.at),
    );
    diesel::insert_into(consent::table).values(values).execute(conn).map(drop)
}

type ActColumns = (
    consent::number,
    consent::purpose,
    consent::is_granted,
    consent::text_version,
    consent::locale,
    consent::digest,
    consent::channel,
    consent::session,
    consent::audit_seq,
    consent::at,
);

const fn columns() -> ActColumns {
    (
        consent::number,
        consent::purpose,
        consent::is_granted,
        consent::text_version,
        consent::locale,
        consent::digest,
        consent::channel,
        consent::session,
        consent::audit_seq,
        consent::at,
    )
}
