//! Consents over HTTP: what I agreed to, and what a tenant asks.

use actix_web::{HttpResponse, get, post, web};
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::{Act, Channel, ConsentError, ConsentText, Saying, Shown, Standing, is_purpose};
use crate::platform::Platform;
use crate::platform::fields::field;
use crate::platform::http::Json;
use crate::platform::keyring::{Caller, May, Scope};
use crate::platform::problem::{Describe, Problem};
use crate::platform::text::Lang;

/// Adds this slice's routes.
pub fn routes(config: &mut ServiceConfig) {
    config.service(list_my_consents).service(say_consent).service(publish_consent_text).service(list_consent_texts);
}

/// A language of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum LangWord {
    /// Italian.
    It,
    /// English.
    En,
}

impl From<LangWord> for Lang {
    fn from(word: LangWord) -> Self {
        match word {
            LangWord::It => Self::It,
            LangWord::En => Self::En,
        }
    }
}

impl From<Lang> for LangWord {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::It => Self::It,
            Lang::En => Self::En,
        }
    }
}

/// What is asked for a purpose.
#[derive(Debug, Serialize, ToSchema)]
struct ConsentTextBody {
    /// Its version.
    version: i32,
    /// In which language.
    locale: LangWord,
    /// The words.
    text: String,
    /// SHA-256 of the words in UTF-8, in hex.
    sha256: String,
}

impl From<&ConsentText> for ConsentTextBody {
    fn from(text: &ConsentText) -> Self {
        let (version, locale) = (text.version, text.locale.into());
        Self { version, locale, text: text.words.clone(), sha256: HEXLOWER.encode(&text.digest) }
    }
}

/// A consent of one's own.
#[derive(Debug, Serialize, ToSchema)]
struct ConsentBody {
    /// What for.
    #[schema(example = "marketing")]
    purpose: String,
    /// Whether one agrees now.
    granted: bool,
    /// Since when; absent when nothing was ever said.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<DateTime<Utc>>,
    /// To which version one agreed, or agreed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<i32>,
    /// SHA-256 of the words one was shown, in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    /// `app` or `page`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "app")]
    channel: Option<&'static str>,
    /// The entry of the audit log that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_seq: Option<i64>,
    /// What is asked now.
    text: ConsentTextBody,
}

impl From<&Standing> for ConsentBody {
    fn from(Standing { text, last }: &Standing) -> Self {
        let last = last.as_ref();
        Self {
            purpose: text.purpose.clone(),
            granted: last.is_some_and(|last| last.is_granted),
            since: last.map(|last| last.at),
            version: last.map(|last| last.version),
            sha256: last.map(|last| HEXLOWER.encode(&last.digest)),
            channel: last.map(|last| last.channel.word()),
            audit_seq: last.map(|last| last.audit_seq),
            text: text.into(),
        }
    }
}

/// Lists what can be agreed to, in the request's language, and what one said of it.
#[utoipa::path(tag = "me", security(("key" = ["me"])), responses(
    (status = 200, body = [ConsentBody]),
))]
#[get("/v1/me/consents", wrap = "May(Scope::Me)")]
async fn list_my_consents(caller: Caller, lang: Lang, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let (tenant, me) = (caller.tenant.id, caller.person()?);
    let read = move |conn: &mut diesel::PgConnection| super::standing(conn, tenant, me.id, lang);
    let all = platform.db.of(tenant).read(read).await?;
    Ok(HttpResponse::Ok().json(all.iter().map(ConsentBody::from).collect::<Vec<_>>()))
}

/// Where one says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ChannelWord {
    /// In the app.
    #[default]
    App,
    /// On our pages.
    Page,
}

/// What one says of a purpose: `granted` with what one was shown, or not granted and nothing else.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Say {
    /// What for.
    #[schema(example = "marketing", pattern = "^[a-z][a-z0-9_]{0,39}$")]
    purpose: String,
    /// True to agree, false to take it back.
    granted: bool,
    /// To agree: the version one was shown.
    #[serde(default)]
    version: Option<i32>,
    /// To agree: in which language.
    #[serde(default)]
    locale: Option<LangWord>,
    /// To agree: the SHA-256 of what one was shown, in hex.
    #[serde(default)]
    #[schema(pattern = "^[0-9a-f]{64}$")]
    sha256: Option<String>,
    /// Where.
    #[serde(default)]
    channel: ChannelWord,
}

/// What was written down.
#[derive(Debug, Serialize, ToSchema)]
struct SaidBody {
    /// What for.
    purpose: String,
    /// Whether one agrees now.
    granted: bool,
    /// When; absent when there was nothing to take back.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<DateTime<Utc>>,
    /// The entry of the audit log that shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_seq: Option<i64>,
}

impl SaidBody {
    fn of(purpose: String, act: Option<Act>) -> Self {
        let granted = act.as_ref().is_some_and(|act| act.is_granted);
        Self { purpose, granted, at: act.as_ref().map(|act| act.at), audit_seq: act.map(|act| act.audit_seq) }
    }
}

/// Agrees to something, or takes it back: as easily, and at once.
#[utoipa::path(tag = "me", request_body = Say, security(("key" = ["me"])), responses(
    (status = 200, body = SaidBody),
))]
#[post("/v1/me/consents", wrap = "May(Scope::Me)")]
async fn say_consent(caller: Caller, platform: web::Data<Platform>, body: Json<Say>) -> Result<HttpResponse, Problem> {
    let (tenant, me, now) = (caller.tenant.id, caller.person()?, platform.clock.now());
    let body = body.into_inner();
    let channel = match body.channel {
        ChannelWord::App => Channel::App,
        ChannelWord::Page => Channel::Page,
    };
    let who = Saying { person: me.id, session: me.session, channel };
    let shown = body.shown()?;
    if !is_purpose(&body.purpose) {
        return Err(ConsentError::UnknownPurpose.describe()); // nor could the database be asked for any text
    }
    let purpose = body.purpose;
    let say = move |conn: &mut diesel::PgConnection| -> Result<SaidBody, ConsentError> {
        let act = match shown {
            Some(shown) => Some(super::grant(conn, now, tenant, who, &purpose, shown)?),
            None => super::withdraw(conn, now, tenant, who, &purpose)?,
        };
        Ok(SaidBody::of(purpose, act))
    };
    Ok(HttpResponse::Ok().json(platform.db.of(tenant).write(say).await?))
}

impl Say {
    /// What one was shown, to agree to it; none to take it back, which may repeat it all the same.
    fn shown(&self) -> Result<Option<Shown>, Problem> {
        let missing = |pointer| field(pointer, "To agree, say what you were shown: version, locale, sha256.");
        let digest_of = |hex: &String| HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok();
        let digest = self.sha256.as_ref().map(|hex| digest_of(hex).ok_or_else(|| missing("/sha256"))).transpose()?;
        if !self.granted {
            return Ok(None);
        }
        Ok(Some(Shown {
            version: self.version.ok_or_else(|| missing("/version"))?,
            locale: self.locale.ok_or_else(|| missing("/locale"))?.into(),
            digest: digest.ok_or_else(|| missing("/sha256"))?,
        }))
    }
}

/// What to ask people for a purpose.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewConsentText {
    /// What for: 1 to 40 of `a-z`, `0-9` and `_`.
    #[schema(example = "marketing", pattern = "^[a-z][a-z0-9_]{0,39}$")]
    purpose: String,
    /// In Italian, 1 to 20000 bytes.
    #[schema(min_length = 1, max_length = 20_000, example = "Voglio ricevere offerte.")]
    it: String,
    /// In English, 1 to 20000 bytes.
    #[schema(min_length = 1, max_length = 20_000, example = "I want to be told of offers.")]
    en: String,
}

/// The texts of a purpose.
#[derive(Debug, Serialize, ToSchema)]
struct ConsentTextsBody {
    /// What for.
    purpose: String,
    /// The version in force, in each language.
    texts: Vec<ConsentTextBody>,
}

/// Publishes what people are asked for a purpose, as its next version. Who agreed to the one before goes on agreeing to that.
#[utoipa::path(tag = "consents", request_body = NewConsentText, security(("key" = ["admin"])), responses(
    (status = 201, body = ConsentTextsBody),
))]
#[post("/v1/consent-texts", wrap = "May(Scope::Admin)")]
async fn publish_consent_text(
    caller: Caller,
    platform: web::Data<Platform>,
    body: Json<NewConsentText>,
) -> Result<HttpResponse, Problem> {
    let (tenant, now, by) = (caller.tenant.id, platform.clock.now(), caller.actor.into());
    let NewConsentText { purpose, it, en } = body.into_inner();
    let publish = move |conn: &mut diesel::PgConnection| -> Result<ConsentTextsBody, ConsentError> {
        super::publish(conn, now, by, tenant, &purpose, &[(Lang::It, it), (Lang::En, en)])?;
        let texts = super::texts(conn, tenant)?;
        let texts = texts.iter().filter(|text| text.purpose == purpose).map(ConsentTextBody::from).collect();
        Ok(ConsentTextsBody { purpose, texts })
    };
    Ok(HttpResponse::Created().json(platform.db.of(tenant).write(publish).await?))
}

/// Lists what people are asked, by purpose, in each language.
#[utoipa::path(tag = "consents", security(("key" = ["admin"])), responses(
    (status = 200, body = [ConsentTextsBody]),
))]
#[get("/v1/consent-texts", wrap = "May(Scope::Admin)")]
async fn list_consent_texts(caller: Caller, platform: web::Data<Platform>) -> Result<HttpResponse, Problem> {
    let tenant = caller.tenant.id;
    let texts = platform.db.of(tenant).read(move |conn| super::texts(conn, tenant)).await?;
    let body = |texts: &[ConsentText]| {
        let purpose = texts.first().map(|text| text.purpose.clone()).unwrap_or_default();
        ConsentTextsBody { purpose, texts: texts.iter().map(ConsentTextBody::from).collect() }
    };
    let all: Vec<_> = texts.chunk_by(|one, next| one.purpose == next.purpose).map(body).collect();
    Ok(HttpResponse::Ok().json(all))
}
