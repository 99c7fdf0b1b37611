//! Telling the journal what a person's limits are: in versions, each of which reaches it once or never, and in order.
//!
//! A version is written down first ([`Version`]), with the person's row locked: so the last one has the last level. Then it is
//! told as one linked batch under keys that are a function of person and version. Before a version is told, every earlier one
//! whose fate is not known is given up by its key: it has happened, or it never will. So whoever dies half way, or comes late,
//! can undo nothing: the limits in the journal are those of the last version told, and payments see them in commit order (T49).
//! The journal is asked without a transaction open (JOURNAL 21), which is why a lock alone would not do.

use chrono::{DateTime, Utc};
use diesel::PgConnection;
use ledger::{Body, Command, JournalError, JournalId, Key, Record, StoreError};
use serde_json::{Value, json};
use uuid::Uuid;

use super::account::{self, Counting};
use super::model::{Allowed, Tables};
use super::store;
use crate::identity::people::{self, Level};
use crate::platform::Platform;
use crate::platform::books::{HOUSE, ask_linked, give_up, journal_of};
use crate::platform::chart::Purpose;
use crate::platform::ids::derived;
use crate::platform::keyring::Tenant;
use crate::platform::problem::Problem;

/// How often to begin again when others change the same person's limits at the same time.
const TRIES: usize = 8;

/// A version of a person's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// From one on.
    pub(super) number: i32,
    /// Of which level.
    pub(super) level: Level,
    /// Of which table; none before the first begins.
    pub(super) table_from: Option<DateTime<Utc>>,
    /// What they are.
    pub(super) allowed: Allowed,
    /// From which record on, if that is known.
    pub(super) seq: Option<i64>,
    /// Whether the journal has it; false when it was given up.
    pub(super) is_set: Option<bool>,
}

/// What is to be done for a person's limits to be in force.
enum Step {
    /// The customer is no person: nothing limits them.
    Nobody,
    /// They are.
    InForce(Version),
    /// Give these up, then tell this one.
    Tell(Vec<i32>, Version),
}

/// Whom and by which tables.
#[derive(Clone, Copy)]
pub(super) struct Whom<'a> {
    pub(super) platform: &'a Platform,
    pub(super) journal: &'a ledger::Journal,
    pub(super) tenant: &'a Tenant,
    pub(super) person: Uuid,
    pub(super) tables: &'a Tables,
    /// The tenant's money.
    pub(super) money: ledger::AssetId,
    /// The tenant's time.
    pub(super) now: DateTime<Utc>,
}

impl Whom<'_> {
    /// Sees to it that the journal has this person's limits of now, and says which they are; none for who is no person.
    pub(super) async fn settle(self) -> Result<Option<(Counting, Version)>, Problem> {
        let Some(asset) = self.tables.asset else { return Ok(None) };
        let counting = Counting::of(self.tenant.id, self.person, asset);
        for _ in 0..TRIES {
            match self.step().await? {
                Step::Nobody => return Ok(None),
                Step::InForce(version) => return Ok(Some((counting, version))),
                Step::Tell(before, version) => self.tell(&before, &version, asset).await?,
            }
        }
        let detail = "Nothing happened: try again in a moment.";
        Err(Problem::new(503, "limits-busy", "The limits are being changed", detail).retry_after(1))
    }

    /// What the last version is, without a lock when it is the right one.
    async fn step(self) -> Result<Step, Problem> {
        let (tenant, person, now) = (self.tenant.id, self.person, self.platform.clock.now());
        let table = self.tables.at(self.now).copied();
        let wanted =
            move |level: Level| (table.map(|table| table.valid_from), table.map_or(Allowed::ALL, |t| t.of(level)));
        let read = move |conn: &mut PgConnection| -> Result<Option<Step>, Problem> {
            let Some(found) = people::find(conn, tenant, person)? else { return Ok(Some(Step::Nobody)) };
            let last = store::last_version(conn, tenant, person)?;
            let is_right = |last: &Version| last.is_of(found.level, wanted(found.level).0) && last.is_set == Some(true);
            Ok(last.filter(is_right).map(Step::InForce))
        };
        let db = &self.platform.db;
        if let Some(step) = db.of(tenant).read(read).await? {
            return Ok(step);
        }
        let write = move |conn: &mut PgConnection| -> Result<Step, Problem> {
            let Some(found) = people::lock(conn, tenant, person)? else { return Ok(Step::Nobody) };
            let last = store::last_version(conn, tenant, person)?;
            let (table_from, allowed) = wanted(found.level);
            // One that was given up is not told again: its keys are used.
            let version = match last.filter(|last| last.is_of(found.level, table_from) && last.is_set != Some(false)) {
                Some(last) if last.is_set == Some(true) => return Ok(Step::InForce(last)),
                Some(last) => last,
                None => {
                    let number = last.map_or(0, |last| last.number).saturating_add(1);
                    let level = found.level;
                    let version = Version { number, level, table_from, allowed, seq: None, is_set: None };
                    store::insert_version(conn, tenant, person, &version, now)?;
                    version
                }
            };
            Ok(Step::Tell(store::unknown_before(conn, tenant, person, version.number)?, version))
        };
        db.of(tenant).write(write).await
    }

    /// Gives up what came before, and tells the journal this version.
    async fn tell(self, before: &[i32], version: &Version, asset: ledger::AssetId) -> Result<(), Problem> {
        for number in before {
            let meta = json!({"kind": "limits_given_up", "customer": self.person, "version": number});
            let answer = give_up(self.journal, self.tenant, self.key(*number, 0), meta).await?;
            let is_set = !matches!(answer.record.body, Body::Abandoned | Body::Refused { .. });
            self.note(*number, (answer.record.seq, is_set)).await?;
        }
        let floor = self.wallet_floor().await?;
        let transaction = derived("limits", &[self.person.as_bytes(), &version.number.to_be_bytes()]);
        let opening = account::opening(self.tenant, self.person, transaction, asset, self.money);
        let changes = account::changes(self.tenant.id, self.person, floor, &version.allowed);
        let asked: Vec<(Key, Command)> = (0..)
            .zip(std::iter::once(opening).chain(changes))
            .map(|(place, command)| (self.key(version.number, place), command))
            .collect();
        let answers = ask_linked(self.journal, self.tenant, asked, &self.meta(version)).await;
        let mut seq = 0;
        for answer in answers {
            match answer {
                Ok(answer) if matches!(answer.record.body, Body::Refused { .. }) => {
                    return Err(Problem::internal(&Refused(answer.record.seq)));
                }
                Ok(answer) => seq = answer.record.seq.max(seq),
                // Somebody tells a later one: what that is, the next look shows.
                Err(JournalError::Abandoned { seq }) => return self.note(version.number, (seq, false)).await,
                Err(JournalError::Linked { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if seq == 0 {
            return Err(Problem::internal(&NotTogether));
        }
        self.note(version.number, (seq, true)).await
    }

    fn meta(self, version: &Version) -> Value {
        json!({
            "kind": "limits", "customer": self.person, "version": version.number, "level": version.level.word(),
            "table_from": version.table_from,
        })
    }

    async fn note(self, number: i32, fate: (i64, bool)) -> Result<(), Problem> {
        let (tenant, person) = (self.tenant.id, self.person);
        let note = move |conn: &mut PgConnection| store::note_fate(conn, tenant, person, number, fate);
        self.platform.db.of(tenant).write(note).await
    }

    /// The wallet's own floor, which limits leave as it is.
    async fn wallet_floor(self) -> Result<Option<i64>, Problem> {
        let (journal, history) = (journal_of(self.tenant), self.platform.history.clone());
        let wallet = [Purpose::Available(self.person).account(self.tenant.id)];
        let read = move |conn: &mut PgConnection| ledger::read::balances(conn, &history, journal, &wallet);
        let found = self.platform.db.of(self.tenant.id).read(read).await?;
        Ok(found.first().map_or(Some(0), |wallet| wallet.floor))
    }

    fn key(self, number: i32, place: i32) -> Key {
        key(self.tenant.id, self.person, number, place)
    }
}

/// The key of one of a version's requests: the same for whoever tells it.
fn key(tenant: i64, person: Uuid, number: i32, place: i32) -> Key {
    let (tenant, number, place) = (tenant.to_be_bytes(), number.to_be_bytes(), place.to_be_bytes());
    let parts: [&[u8]; 4] = [&tenant, person.as_bytes(), &number, &place];
    Key { scope: HOUSE, key: derived("limits_key", &parts), fingerprint: derived("limits_fingerprint", &parts) }
}

/// The version that was in force right before the record of a seq. What the journal has and nobody has noted yet, it tells.
pub(super) fn in_force_before(
    conn: &mut PgConnection,
    tenant: i64,
    person: Uuid,
    seq: i64,
) -> Result<Option<Version>, StoreError> {
    for version in store::versions_before(conn, tenant, person, seq)? {
        if version.is_set == Some(true) {
            return Ok(Some(version));
        }
        let told = ledger::read::answer_to(conn, JournalId(tenant), &key(tenant, person, version.number, 0))?;
        let is_told = |record: &Record| record.seq < seq && matches!(record.body, Body::Transaction { .. });
        if told.as_ref().is_some_and(is_told) {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

impl Version {
    fn is_of(&self, level: Level, table_from: Option<DateTime<Utc>>) -> bool {
        (self.level, self.table_from) == (level, table_from)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the journal refused a person's limits at seq {0}")]
struct Refused(i64);

#[derive(Debug, thiserror::Error)]
#[error("a person's limits stand in each other's way")]
struct NotTogether;
