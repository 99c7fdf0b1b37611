//! Entries: who, what, to what, about whom, how it went. Closed sets of words, so that they can be counted on.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::keyring;

/// A closed set whose members have a word each, the same in the database, in the API and here.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$says:meta])* $variant:ident = $word:tt,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$says])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its word, which never changes.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

words! {
    /// What was done.
    Action {
        /// A tenant came to be.
        TenantCreated = "tenant.created",
        /// A tenant came back from an export, under the number it had.
        TenantRestored = "tenant.restored",
        /// A machine client got a key.
        KeyCreated = "key.created",
        /// A key was ended.
        KeyRevoked = "key.revoked",
        /// A correction of the books was proposed.
        AdjustmentProposed = "adjustment.proposed",
        /// A correction was approved.
        AdjustmentApproved = "adjustment.approved",
        /// A correction was rejected.
        AdjustmentRejected = "adjustment.rejected",
        /// An endpoint of hooks was added.
        HookEndpointAdded = "hook_endpoint.added",
        /// An endpoint was enabled again.
        HookEndpointEnabled = "hook_endpoint.enabled",
        /// An endpoint was disabled, by somebody or because it failed.
        HookEndpointDisabled = "hook_endpoint.disabled",
        /// A secret of an endpoint was replaced.
        HookSecretRotated = "hook_endpoint.secret_rotated",
        /// A secret of an endpoint was shown.
        HookSecretShown = "hook_endpoint.secret_shown",
        /// One event was told again.
        HookReplayed = "hook.replayed",
        /// An order to tell events again was given.
        HookReplayOrdered = "hook_replay.ordered",
        /// Such an order was ended before its end.
        HookReplayCancelled = "hook_replay.cancelled",
        /// Transfers left the database for a file.
        RangeArchived = "range.archived",
        /// Transfers came back from a file.
        RangeBroughtBack = "range.brought_back",
        /// A sandbox's clock was moved.
        ClockMoved = "clock.moved",
        /// Somebody became a customer who can sign in.
        PersonSignedUp = "person.signed_up",
        /// Somebody signed in.
        PersonSignedIn = "person.signed_in",
        /// Somebody who lost their passkeys proved a contact.
        RecoveryBegun = "recovery.begun",
        /// They registered a new passkey, and their sessions ended.
        RecoveryDone = "recovery.done",
        /// A device was bound to a person.
        DeviceBound = "device.bound",
        /// A device was revoked, and its sessions ended.
        DeviceRevoked = "device.revoked",
        /// A further passkey was registered.
        PasskeyAdded = "passkey.added",
        /// A passkey was ended.
        PasskeyRevoked = "passkey.revoked",
        /// A further contact was proved.
        ContactAdded = "contact.added",
        /// A contact was ended.
        ContactEnded = "contact.ended",
        /// A table of what levels may do was published.
        LimitsPublished = "limits.published",
        /// A person's level was changed.
        LevelChanged = "person.level_changed",
        /// What was about to be paid was not what its payer approved: somebody changed it.
        ApprovalOfAnother = "approval.of_another",
        /// Approvals of a person were blocked, after failures in a row.
        ApprovalsBlocked = "approvals.blocked",
        /// A version of what people are asked to agree to was published.
        ConsentTextPublished = "consent_text.published",
        /// A person agreed to something.
        ConsentGranted = "consent.granted",
        /// A person took a consent back.
        ConsentWithdrawn = "consent.withdrawn",
        /// A person took out what is kept of them.
        PersonExported = "person.exported",
        /// A person was forgotten: their key was destroyed.
        PersonErased = "person.erased",
        /// Somebody was invited to work for the tenant, or invited anew.
        OperatorInvited = "operator.invited",
        /// They registered a passkey.
        OperatorSignedUp = "operator.signed_up",
        /// An operator signed in.
        OperatorSignedIn = "operator.signed_in",
        /// An operator set the password they fall back on.
        OperatorPasswordSet = "operator.password_set",
        /// They ended it.
        OperatorPasswordEnded = "operator.password_ended",
        /// An operator left.
        OperatorClosed = "operator.closed",
        /// An operator got a role.
        RoleGranted = "role.granted",
        /// A role of an operator was ended.
        RoleEnded = "role.ended",
        /// An operator looked at a customer's data.
        CustomerLookedAt = "customer.looked_at",
        /// An operator opened a customer's data in an emergency.
        GlassBroken = "glass.broken",
        /// Somebody asked for what takes four eyes.
        EyesAsked = "four_eyes.asked",
        /// Somebody else confirmed it.
        EyesConfirmed = "four_eyes.confirmed",
        /// Somebody else refused it.
        EyesRejected = "four_eyes.rejected",
        /// Whoever asked took it back, before anybody decided.
        EyesWithdrawn = "four_eyes.withdrawn",
        /// A rule of strong authentication was published: what goes without it, or what a synced passkey suffices for alone.
        ScaRulePublished = "sca_rule.published",
        /// Such a rule was switched off.
        ScaRuleEnded = "sca_rule.ended",
        /// What takes four eyes was changed.
        EyesSet = "four_eyes.set",
    }
}

words! {
    /// How it went.
    Outcome {
        /// It was done.
        Done = "done",
        /// It was tried, and refused.
        Refused = "refused",
    }
}

words! {
    /// What sort of actor.
    ActorKind {
        /// A machine client.
        Client = "client",
        /// A customer.
        Person = "person",
        /// Somebody of the tenant's staff.
        Staff = "staff",
        /// Whoever runs commands beside the database: known to the machine, not to us.
        Operator = "operator",
        /// The house itself.
        System = "system",
    }
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A machine client, by its number.
    Client(i64),
    /// A customer.
    Person(Uuid),
    /// Somebody of the tenant's staff.
    Staff(Uuid),
    /// Whoever runs commands beside the database.
    Operator,
    /// The house itself.
    System,
}

impl Actor {
    /// What sort it is.
    #[must_use]
    pub const fn kind(self) -> ActorKind {
        match self {
            Self::Client(_) => ActorKind::Client,
            Self::Person(_) => ActorKind::Person,
            Self::Staff(_) => ActorKind::Staff,
            Self::Operator => ActorKind::Operator,
            Self::System => ActorKind::System,
        }
    }

    /// Which one of its sort; empty where there is but one.
    #[must_use]
    pub fn id(self) -> String {
        match self {
            Self::Client(number) => number.to_string(),
            Self::Person(id) | Self::Staff(id) => id.to_string(),
            Self::Operator | Self::System => String::new(),
        }
    }
}

impl From<keyring::Actor> for Actor {
    fn from(actor: keyring::Actor) -> Self {
        match actor {
            keyring::Actor::Client(client) => Self::Client(client),
            keyring::Actor::Person(person) => Self::Person(person.id),
            keyring::Actor::Operator(operator) => Self::Staff(operator.id),
        }
    }
}

/// To what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// A tenant, by its number.
    Tenant(i64),
    /// A key, by its prefix, which is no secret.
    Key(String),
    /// A correction of the books.
    Adjustment(Uuid),
    /// An endpoint of hooks.
    HookEndpoint(Uuid),
    /// An order to tell again.
    HookReplay(Uuid),
    /// A range of transfers, by its first seq.
    Range(i64),
    /// A record of the journal, by its seq.
    Record(i64),
    /// A customer.
    Person(Uuid),
    /// A device of a person.
    Device(Uuid),
    /// A passkey.
    Passkey(Uuid),
    /// A contact of a person.
    Contact(Uuid),
    /// A recovery.
    Recovery(Uuid),
    /// A payment.
    Payment(Uuid),
    /// Somebody of the tenant's staff.
    Operator(Uuid),
    /// What somebody asked for that takes four eyes.
    Request(Uuid),
}

impl Object {
    /// What sort it is, in a word that never changes.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Key(_) => "key",
            Self::Adjustment(_) => "adjustment",
            Self::HookEndpoint(_) => "hook_endpoint",
            Self::HookReplay(_) => "hook_replay",
            Self::Range(_) => "range",
            Self::Record(_) => "record",
            Self::Person(_) => "person",
            Self::Device(_) => "device",
            Self::Passkey(_) => "passkey",
            Self::Contact(_) => "contact",
            Self::Recovery(_) => "recovery",
            Self::Payment(_) => "payment",
            Self::Operator(_) => "operator",
            Self::Request(_) => "request",
        }
    }

    /// Which one.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Tenant(number) | Self::Range(number) | Self::Record(number) => number.to_string(),
            Self::Key(prefix) => prefix.clone(),
            Self::Adjustment(id)
            | Self::HookEndpoint(id)
            | Self::HookReplay(id)
            | Self::Person(id)
            | Self::Device(id)
            | Self::Passkey(id)
            | Self::Contact(id)
            | Self::Recovery(id)
            | Self::Payment(id)
            | Self::Operator(id)
            | Self::Request(id) => id.to_string(),
        }
    }
}

/// One thing there is to say of an act. There is no variant for text that came from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A number.
    Number(i64),
    /// Yes or no.
    Flag(bool),
    /// A word of ours.
    Word(&'static str),
    /// Words of ours.
    Words(Vec<&'static str>),
    /// An id.
    Id(Uuid),
    /// A moment.
    Time(DateTime<Utc>),
    /// A SHA-256 hash.
    Digest([u8; 32]),
}

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Word(word) => serializer.serialize_str(word),
            Self::Words(words) => words.serialize(serializer),
            Self::Id(id) => id.serialize(serializer),
            Self::Time(time) => time.serialize(serializer),
            Self::Digest(digest) => serializer.serialize_str(&HEXLOWER.encode(digest)),
        }
    }
}

/// What there is to say of an act besides who, what and to what: a few facts by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Detail(BTreeMap<&'static str, Fact>);

impl Detail {
    /// As a JSON object, its names in order.
    #[must_use]
    pub fn to_text(&self) -> String {
        // Nothing in it can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One act, to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose log.
    pub tenant: i64,
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// To what.
    pub object: Object,
    /// The person whose data was looked at or changed, where it was anybody's.
    pub subject: Option<Uuid>,
    /// How it went.
    pub outcome: Outcome,
    /// What else there is to say.
    pub detail: Detail,
}

impl Entry {
    /// An act that was done.
    #[must_use]
    pub fn done(tenant: i64, actor: impl Into<Actor>, action: Action, object: Object) -> Self {
        let (actor, outcome) = (actor.into(), Outcome::Done);
        Self { tenant, actor, action, object, subject: None, outcome, detail: Detail::default() }
    }

    /// The same act, refused.
    #[must_use]
    pub fn refused(self) -> Self {
        Self { outcome: Outcome::Refused, ..self }
    }

    /// The same act, on this person's data.
    #[must_use]
    pub fn about(self, person: Uuid) -> Self {
        Self { subject: Some(person), ..self }
    }

    /// The same act, and one thing more to say of it.
    #[must_use]
    pub fn with(mut self, name: &'static str, fact: Fact) -> Self {
        self.detail.0.insert(name, fact);
        self
    }
}
