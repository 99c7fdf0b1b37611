//! What the doors' routes read and answer alike.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::identity::contacts::Contact;
use crate::identity::devices::DeviceKey;
use crate::identity::doors::{Answer, Begun, Doors, Entered, Visit};
use crate::identity::passkeys::Opened;
use crate::identity::sessions::{Held, Issued, Pair};
use crate::identity::tenant_by_slug;
use crate::platform::Platform;
use crate::platform::fields::field;
use crate::platform::problem::Problem;
use crate::platform::text::Lang;

/// A contact that somebody says is theirs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ContactWish {
    /// The tenant, by its slug.
    #[schema(example = "club")]
    pub(super) tenant: String,
    /// A mail address.
    #[schema(example = "anna@example.org")]
    email: Option<String>,
    /// In its place a phone number with its country's code. Nothing sends text messages yet: it is refused.
    phone: Option<String>,
    /// The language to be written to in, `it` or `en`; without it the tenant's.
    #[schema(pattern = "^(it|en)$")]
    locale: Option<String>,
}

impl ContactWish {
    /// The contact, which can be reached, and the language.
    pub(super) fn read(&self, visit: &Visit) -> Result<(Contact, Lang), Problem> {
        let contact = match (&self.email, &self.phone) {
            (Some(email), None) => Contact::email(email)?,
            (None, Some(phone)) => Contact::phone(phone)?,
            (Some(_), Some(_)) | (None, None) => {
                return Err(field("/email", "Either a mail address or a phone number."));
            }
        };
        contact.can_be_reached()?;
        let locale = match self.locale.as_deref() {
            None => visit.tenant.locale,
            Some("it") => Lang::It,
            Some("en") => Lang::En,
            Some(_) => return Err(field("/locale", "One of `it` and `en`.")),
        };
        Ok((contact, locale))
    }
}

/// The code that came.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeSaid {
    /// The tenant, by its slug.
    #[schema(example = "club")]
    pub(super) tenant: String,
    /// The eight digits.
    #[schema(example = "01234567")]
    code: String,
}

impl CodeSaid {
    /// The digits, without the spaces that people put between them.
    pub(super) fn digits(&self) -> String {
        self.code.chars().filter(|c| !c.is_whitespace()).take(16).collect()
    }
}

/// What a new passkey answered.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPasskeyBody {
    /// The tenant, by its slug.
    #[schema(example = "club")]
    pub(super) tenant: String,
    /// The challenge it answers.
    challenge: Uuid,
    /// The browser's `PublicKeyCredential.toJSON()`.
    #[schema(value_type = Object)]
    response: Map<String, Value>,
    /// What to call the passkey.
    pub(super) passkey_name: Option<String>,
    /// What to call the device.
    device_name: Option<String>,
}

impl NewPasskeyBody {
    /// The answer, and what to call the passkey.
    pub(super) fn into_answer(self, device: Option<DeviceKey>) -> (Answer, String) {
        let Self { challenge, response, passkey_name, device_name, .. } = self;
        let response = Value::Object(response).to_string().into_bytes();
        let answer = Answer { challenge, response, device, device_name, held: Held::App };
        (answer, passkey_name.unwrap_or_default())
    }
}

/// What began, and goes on with the code that was sent.
#[derive(Serialize, ToSchema)]
pub(super) struct BegunBody {
    /// Names it from now on.
    id: Uuid,
    /// Until when the code can be said.
    expires_at: DateTime<Utc>,
}

impl BegunBody {
    pub(super) fn of(begun: &Begun) -> Self {
        Self { id: begun.id, expires_at: begun.expires_at }
    }
}

/// What a browser is to ask its authenticator.
#[derive(Serialize, ToSchema)]
pub(super) struct OptionsBody {
    /// Names the challenge when it is answered.
    challenge: Uuid,
    /// For `navigator.credentials.create()` or `.get()`: `{"publicKey": …}`, bytes as base64url.
    #[schema(value_type = Object)]
    options: Value,
    /// From when on an answer is refused.
    expires_at: DateTime<Utc>,
}

impl OptionsBody {
    pub(super) fn of(opened: Opened) -> Self {
        let Opened { challenge, options, expires_at } = opened;
        Self { challenge, options, expires_at }
    }
}

/// What the holder of a session has. Shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct PairBody {
    /// The session.
    session: Uuid,
    /// For every request: `Authorization: Bearer …`.
    access_token: String,
    /// Until when.
    access_until: DateTime<Utc>,
    /// For the next pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_until: Option<DateTime<Utc>>,
}

impl PairBody {
    pub(super) fn of(pair: &Pair) -> Self {
        let Pair { session, access, refresh } = pair;
        let shown = |issued: &Issued| issued.token.reveal().to_owned();
        Self {
            session: *session,
            access_token: shown(access),
            access_until: access.until,
            refresh_token: refresh.as_ref().map(shown),
            refresh_until: refresh.as_ref().map(|issued| issued.until),
        }
    }
}

/// Somebody who came in, and what they hold from now on. Shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct EnteredBody {
    /// Who: the customer of this id.
    person: Uuid,
    /// At which device.
    device: Uuid,
    /// Whether the session is bound to the device's key. Without one, what needs the device cannot be approved from here.
    device_bound: bool,
    /// The session.
    #[serde(flatten)]
    pair: PairBody,
}

impl EnteredBody {
    pub(super) fn of(entered: &Entered) -> Self {
        let Entered { person, device, is_bound, pair } = entered;
        Self { person: *person, device: *device, device_bound: *is_bound, pair: PairBody::of(pair) }
    }

    /// 201, or the refusal of whoever did not come in.
    pub(super) fn answer(entered: Option<Entered>) -> Result<HttpResponse, Problem> {
        let entered = entered.ok_or_else(entry_refused)?;
        Ok(HttpResponse::Created().json(Self::of(&entered)))
    }
}

/// A stranger's request at a door of a tenant.
pub(super) async fn visit(req: &HttpRequest, platform: &Platform, doors: &Doors, slug: &str) -> Result<Visit, Problem> {
    let slug = slug.to_owned();
    // Whose slug it is, is what is asked.
    let tenant = platform.db.house().run(move |conn| tenant_by_slug(conn, &slug)).await?;
    doors.visit(req, platform, Arc::new(tenant))
}

/// One refusal for whatever is wrong with a code: another, used, late, unknown.
pub(super) fn code_refused() -> Problem {
    let remedy = "Look at the last one that came. After five wrong ones, or ten minutes, begin again.";
    Problem::new(403, "code-refused", "The code was not accepted", remedy)
}

/// One refusal for whoever does not come in, whatever was wrong.
fn entry_refused() -> Problem {
    let remedy =
        "Begin again, with a passkey that you registered here. After five failures wait for a quarter of an hour.";
    Problem::new(403, "entry-refused", "You were not let in", remedy)
}
