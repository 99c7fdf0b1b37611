//! `tessera tenant` and `tessera keys`.

use std::io::Write;

use chrono_tz::Tz;
use clap::Subcommand;
use diesel::{Connection, PgConnection};
use serde_json::json;
use uuid::Uuid;

use super::node::{DatabaseArgs, RedisArgs};
use crate::identity::{self, NewKey, NewTenant};
use crate::platform::audit::Actor;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;
use crate::platform::keyring::{Scope, Tenant};
use crate::platform::money::EUR;
use crate::platform::redis::News;
use crate::platform::text::Lang;

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Add a tenant with empty books.
    Create {
        #[command(flatten)]
        database: DatabaseArgs,
        /// 1 to 63 of a-z, 0-9 and inner -; for good.
        slug: String,
        /// The name people see; without it, the slug.
        #[arg(long)]
        name: Option<String>,
        /// Play money, and a clock that can be moved; for good.
        #[arg(long)]
        sandbox: bool,
        /// Where its days begin and end.
        #[arg(long, default_value = "Europe/Rome")]
        zone: Tz,
        /// The language it writes to its customers in: it or en.
        #[arg(long, default_value = "it", value_parser = lang)]
        locale: Lang,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// List the tenants.
    List {
        #[command(flatten)]
        database: DatabaseArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key. It is shown once.
    Create {
        #[command(flatten)]
        database: DatabaseArgs,
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// What it is for.
        #[arg(long)]
        name: String,
        /// What it may do: may be given several times; `admin` may do everything.
        #[arg(long = "scope", required = true)]
        scopes: Vec<Scope>,
        /// One more key of this client, instead of a new client.
        #[arg(long)]
        client: Option<i64>,
        /// The operator whose key it is, by id: where four eyes are asked for the key's are theirs, its looks are told, and it ends with them.
        #[arg(long)]
        operator: Option<Uuid>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// End a key, by the prefix between its underscores. It works for at most one second more.
    Revoke {
        #[command(flatten)]
        database: DatabaseArgs,
        #[command(flatten)]
        redis: RedisArgs,
        /// Whose.
        #[arg(long)]
        tenant: String,
        /// The key's prefix.
        prefix: String,
    },
}

fn lang(tag: &str) -> Result<Lang, String> {
    Lang::from_tag(tag).ok_or_else(|| "it or en".to_owned())
}

/// Adds a tenant with empty books that know the euro.
///
/// # Errors
/// What refuses the tenant, or the database.
pub fn create_tenant(conn: &mut PgConnection, ids: &Ids, wish: &NewTenant) -> anyhow::Result<Tenant> {
    let now = Clock::System.now();
    conn.transaction(|conn| {
        let tenant = identity::create_tenant(conn, ids, now, Actor::Operator, wish)?;
        let journal = ledger::JournalId(tenant.id);
        ledger::create_journal(conn, journal, ids.uuid_v7(now), tenant.sandbox)?;
        ledger::define_asset(conn, journal, EUR, 2)?;
        Ok(tenant)
    })
}

/// `tessera tenant …`
pub fn tenant(what: TenantCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match what {
        TenantCommand::Create { database, slug, name, sandbox, zone, locale, json } => {
            let database = database.join()?;
            let conn = &mut PgConnection::establish(&database.url)?;
            let wish = NewTenant { name: name.unwrap_or_else(|| slug.clone()), slug, sandbox, zone, locale };
            let tenant = create_tenant(conn, &Ids::system(), &wish)?;
            if json {
                writeln!(out, "{}", json!({"id": tenant.id, "slug": tenant.slug, "sandbox": tenant.sandbox}))?;
            } else {
                writeln!(
                    out,
                    "tenant {} has empty books. Next: tessera keys create --tenant {0} --name … --scope …",
                    tenant.slug
                )?;
            }
        }
        TenantCommand::List { database, json } => {
            let database = database.join()?;
            let conn = &mut PgConnection::establish(&database.url)?;
            let tenants = identity::tenants(conn)?;
            if json {
                let rows: Vec<_> =
                    tenants.iter().map(|one| json!({"id": one.id, "slug": one.slug, "sandbox": one.sandbox})).collect();
                writeln!(out, "{}", json!({"tenants": rows}))?;
            } else {
                for one in tenants {
                    writeln!(out, "{}\t{}\t{}", one.id, one.slug, if one.sandbox { "sandbox" } else { "live" })?;
                }
            }
        }
    }
    Ok(())
}

/// `tessera keys …`
pub fn keys(what: KeysCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match what {
        KeysCommand::Create { database, tenant, name, scopes, client, operator, json } => {
            let database = database.join()?;
            let conn = &mut PgConnection::establish(&database.url)?;
            let tenant = identity::tenant_by_slug(conn, &tenant)?;
            let wish = NewKey { tenant: tenant.id, name, scopes, client };
            if let Some(operator) = operator {
                identity::operators::number(conn, tenant.id, operator)?;
            }
            let (ids, now) = (Ids::system(), Clock::System.now());
            let made = identity::create_key_of(conn, &ids, now, Actor::Operator, (&wish, operator))?;
            let key = made.key.reveal();
            if json {
                writeln!(out, "{}", json!({"id": made.id, "client": made.client, "key": key}))?;
            } else {
                writeln!(out, "{key}\nThis key is not shown again. Send it as: Authorization: Bearer <key>")?;
            }
        }
        KeysCommand::Revoke { database, redis, tenant, prefix } => {
            let redis = redis.settings()?;
            let database = database.join()?;
            let conn = &mut PgConnection::establish(&database.url)?;
            let tenant = identity::tenant_by_slug(conn, &tenant)?;
            identity::revoke_key(conn, Clock::System.now(), Actor::Operator, tenant.id, &prefix)?;
            // Only to be faster: nodes that hear nothing find out within that second.
            if let Some(Err(error)) = redis.map(|redis| redis.tell(&News::Key(prefix))) {
                tracing::warn!(%error, "redis did not pass it on");
            }
            writeln!(out, "revoked; it works for at most one second more")?;
        }
    }
    Ok(())
}
