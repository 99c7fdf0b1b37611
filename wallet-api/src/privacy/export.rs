//! Everything that is kept of a person, as lines of JSON: one object a line, each with its `kind`, the last one `end`.
//!
//! A page at a time, so memory holds one page however much there is. Lines are read as they stand when their page is read; what
//! is written meanwhile may be in it.

use data_encoding::HEXLOWER;
use diesel::PgConnection;
use ledger::{History, JournalId, Place, read};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::identity::passkeys::{self, Holder};
use crate::identity::{break_glass, contacts, devices, people, sca, sessions};
use crate::payments::PAYMENT;
use crate::platform::audit;
use crate::platform::db::Db;
use crate::platform::problem::Problem;
use crate::platform::vault::Vault;
use crate::{consents, levels};

/// Rows read at a time.
const PAGE: u16 = 200;

/// Whose, and where it is read.
#[derive(Clone)]
pub struct Source {
    /// The database.
    pub db: Db,
    /// What this node knows of the journal's open ranges.
    pub history: History,
    /// Whose data it is.
    pub tenant: i64,
    /// The person.
    pub person: Uuid,
    /// Their accounts: id, name in the API, asset code.
    pub accounts: Vec<(Uuid, String, String)>,
    /// What opens what is sealed of them.
    pub vault: Vault,
    /// Now.
    pub now: chrono::DateTime<chrono::Utc>,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum At {
    /// Who they are, what they come in with, what they may.
    Person,
    /// What they agreed to, after a number.
    Consents(i32),
    /// One of their accounts, entries before a place.
    Entries(usize, Option<Place>),
    /// What they approved, after a payment.
    Evidence(Uuid),
    /// Who did what with their data, before a seq.
    Audit(i64),
    /// Nothing but the last line.
    End,
}

/// An export on its way.
pub struct Export {
    source: Source,
    at: Option<At>,
    lines: u64,
}

impl Export {
    /// From the beginning.
    #[must_use]
    pub const fn of(source: Source) -> Self {
        Self { source, at: Some(At::Person), lines: 0 }
    }

    /// The next lines; none when all of them were told.
    ///
    /// # Errors
    /// What the database says.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        while let Some(at) = self.at {
            let source = self.source.clone();
            let read = move |conn: &mut PgConnection| source.page(conn, at);
            let (mut lines, next) = self.source.db.of(self.source.tenant).read(read).await?;
            self.at = next;
            if matches!(at, At::End) {
                lines.push(json!({"kind": "end", "lines": self.lines.saturating_add(1)}));
            }
            self.lines = self.lines.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
            if !lines.is_empty() {
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                return Ok(Some(text.into_bytes()));
            }
        }
        Ok(None)
    }
}

/// Some lines, and what comes after them.
type Lines = (Vec<Value>, Option<At>);

impl Source {
    fn page(&self, conn: &mut PgConnection, at: At) -> Result<Lines, Problem> {
        match at {
            At::Person => Ok((self.who(conn)?, Some(At::Consents(0)))),
            At::Consents(after) => self.consents(conn, after),
            At::Entries(which, before) => self.entries(conn, which, before),
            At::Evidence(after) => self.evidence(conn, after),
            At::Audit(before) => self.looks(conn, before),
            At::End => Ok((Vec::new(), None)),
        }
    }

    fn who(&self, conn: &mut PgConnection) -> Result<Vec<Value>, Problem> {
        let (tenant, person) = (self.tenant, self.person);
        let found = people::find(conn, tenant, person)?.ok_or_else(crate::profile::unknown)?;
        let mut lines = vec![json!({
            "kind": "person", "format": 1, "person": person, "exported_at": self.now, "level": found.level.word(),
            "locale": found.locale.tag(),
        })];
        lines.extend(contacts::list(conn, &self.vault, tenant, person)?.iter().map(|proved| {
            json!({
                "kind": "contact", "contact": proved.id, "of": proved.contact.kind().word(),
                "value": proved.contact.reveal(), "proved_at": proved.proved_at,
            })
        }));
        lines.extend(devices::named_list(conn, &self.vault, tenant, person)?.iter().map(|(device, name)| {
            json!({
                "kind": "device", "device": device.id, "name": name, "has_key": device.key.is_some(), "created_at": device.created_at,
                "last_seen_at": device.last_seen_at, "revoked_at": device.revoked_at,
            })
        }));
        lines.extend(sessions::living(conn, self.now, tenant, person)?.iter().map(|session| {
            json!({
                "kind": "session", "session": session.id, "device": session.device, "created_at": session.created_at,
                "last_seen_at": session.seen_at, "until": session.until,
            })
        }));
        lines.extend(passkeys::list(conn, tenant, Holder::person(person))?.iter().map(|passkey| {
            json!({
                "kind": "passkey", "passkey": passkey.id, "name": passkey.name, "created_at": passkey.created_at,
                "last_used_at": passkey.last_used_at, "backed_up": passkey.backed_up, "revoked_at": passkey.revoked_at,
                "credential": HEXLOWER.encode(&passkey.credential_id),
            })
        }));
        lines.extend(levels::history(conn, tenant, person)?.into_iter().map(|(level, since, allowed)| {
            let of = |limit| allowed.of(limit);
            json!({
                "kind": "limits", "level": level.word(), "since": since, "stored_minor": of(levels::Limit::Stored),
                "payment_minor": of(levels::Limit::Payment), "day_minor": of(levels::Limit::Day),
                "month_minor": of(levels::Limit::Month),
            })
        }));
        Ok(lines)
    }

    fn consents(&self, conn: &mut PgConnection, after: i32) -> Result<Lines, Problem> {
        let acts = consents::history(conn, self.tenant, self.person, after, PAGE.into())?;
        let next = acts.last().map(|last| At::Consents(last.number)).unwrap_or(At::Entries(0, None));
        let line = |act: &consents::Act| {
            json!({
                "kind": "consent", "number": act.number, "purpose": act.purpose, "granted": act.is_granted,
                "version": act.version, "locale": act.locale.tag(), "sha256": HEXLOWER.encode(&act.digest),
                "channel": act.channel.word(), "session": act.session, "audit_seq": act.audit_seq, "at": act.at,
            })
        };
        Ok((acts.iter().map(line).collect(), Some(next)))
    }

    /// Newest first, each with the payment it belongs to, if it is one's paper.
    fn entries(&self, conn: &mut PgConnection, which: usize, before: Option<Place>) -> Result<Lines, Problem> {
        let Some((account, name, asset)) = self.accounts.get(which) else {
            return Ok((Vec::new(), Some(At::Evidence(Uuid::nil()))));
        };
        let (journal, after) = (JournalId(self.tenant), Some(At::Entries(which.saturating_add(1), None)));
        let found = read::balances(conn, &self.history, journal, &[*account])?;
        let Some(opened) = found.first() else { return Ok((Vec::new(), after)) };
        let mut lines = Vec::new();
        if before.is_none() {
            lines.push(json!({
                "kind": "account", "account": name, "asset": asset, "balance_minor": opened.balance.to_string(),
                "held_minor": opened.held.to_string(),
            }));
        }
        let page = read::statement_of(conn, &self.history, journal, opened.account, before, PAGE.into())?;
        for entry in &page.entries {
            let meta: Value = serde_json::from_slice(&entry.meta).unwrap_or_default();
            let paper = read::companion(conn, journal, PAYMENT, entry.transaction)?;
            let payment = paper.and_then(|paper| serde_json::from_slice::<Value>(&paper.body).ok());
            lines.push(json!({
                "kind": "entry", "account": name, "asset": asset, "seq": entry.seq, "transaction": entry.transaction,
                "what": meta.get("kind"), "change_minor": entry.change.to_string(),
                "balance_minor": entry.balance.to_string(), "recorded_us": entry.recorded_us,
                "effective_us": entry.effective_us, "payment": payment,
            }));
        }
        if let Some(away) = page.away {
            let (first, last) = (away.first_seq, away.last_seq);
            lines.push(json!({"kind": "archived", "account": name, "first_seq": first, "last_seq": last}));
            return Ok((lines, after));
        }
        let next = page.entries.last().map(|last| At::Entries(which, Some(last.place())));
        Ok((lines, next.or(after)))
    }

    fn evidence(&self, conn: &mut PgConnection, after: Uuid) -> Result<Lines, Problem> {
        let found = sca::evidence_list(conn, self.tenant, self.person, after, PAGE.into())?;
        let next = found.last().map_or(At::Audit(i64::MAX), |(payment, ..)| At::Evidence(*payment));
        let line = |(payment, digest, approved_at): &(Uuid, Vec<u8>, chrono::DateTime<chrono::Utc>)| {
            let sha256 = HEXLOWER.encode(digest);
            json!({"kind": "approval", "payment": payment, "evidence_sha256": sha256, "approved_at": approved_at})
        };
        Ok((found.iter().map(line).collect(), Some(next)))
    }

    fn looks(&self, conn: &mut PgConnection, before: i64) -> Result<Lines, Problem> {
        let found = audit::about(conn, self.tenant, self.person, before, PAGE.into())?;
        let next = found.last().map_or(At::End, |last| At::Audit(last.seq));
        let looks = break_glass::looks(conn, &self.vault, (self.tenant, self.person), &found)?;
        let line = |(row, look): (&audit::form::Row, break_glass::Look)| {
            let mut line = json!({
                "kind": "act", "seq": row.seq, "at": row.at, "actor": {"kind": row.actor_kind, "id": row.actor_id},
                "action": row.action, "object": {"kind": row.object_kind, "id": row.object_id}, "outcome": row.outcome,
                "detail": serde_json::from_str::<Value>(&row.detail).unwrap_or_default(),
            });
            if let (Some(reason), Some(line)) = (look.reason, line.as_object_mut()) {
                line.insert("reason".to_owned(), json!(reason));
            }
            line
        };
        Ok((found.iter().zip(looks).map(line).collect(), Some(next)))
    }
}
