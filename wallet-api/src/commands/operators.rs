//! `tessera operators`: who works for a tenant, and what they may. For the house; nobody grants roles over HTTP.

use std::io::Write;

use diesel::{Connection as _, PgConnection};
use serde_json::{Value, json};
use uuid::Uuid;

use super::node::RedisArgs;
use super::vault::{OpenArgs, Opened};
use crate::identity;
use crate::identity::operators::{self, HeldRole, Hours, NewOperator, NewRole, Operator};
use crate::platform::audit::Actor;
use crate::platform::clock::Clock;
use crate::platform::ids::Ids;
use crate::platform::keyring::Role;
use crate::platform::redis::News;
use crate::platform::vault::Vault;

/// What to do with operators.
#[derive(Debug, clap::Subcommand)]
pub enum OperatorsCommand {
    /// Invite somebody, or somebody anew who lost their passkey: theirs end with the new one. Shown once, good for 24 hours.
    Invite(InviteArgs),
    /// Give an operator a role, or end one. Their sessions end.
    Roles(RolesArgs),
    /// End an operator: their passkeys, sessions and keys open nothing any more, and nobody approves what they asked for.
    Close(CloseArgs),
    /// List the operators, with their roles.
    List(ListArgs),
    /// Set from which amount on refunds take four eyes, or that none do. It counts at once.
    FourEyes(FourEyesArgs),
}

/// Whom to invite.
#[derive(Debug, clap::Args)]
pub struct InviteArgs {
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    redis: RedisArgs,
    /// For whom they work.
    #[arg(long)]
    tenant: String,
    /// Their name.
    #[arg(long)]
    name: String,
    /// Their mail address.
    #[arg(long)]
    email: String,
    /// Their first role: shop-staff, biller, merchant, marketing, finance, bank, developer or admin.
    #[arg(long)]
    role: Option<Role>,
    /// The merchant or biller of a role that is for one, by its id.
    #[arg(long, requires = "role")]
    merchant: Option<Uuid>,
    /// When the role is in force, in the tenant's time zone: "mon-fri 8-20, sat 9-13"; always, without it.
    #[arg(long, requires = "role")]
    hours: Option<Hours>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What takes four eyes.
#[derive(Debug, clap::Args)]
#[group(id = "refunds", required = true, multiple = false, args = ["refunds_above", "refunds_off"])]
pub struct FourEyesArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Whose refunds.
    #[arg(long)]
    tenant: String,
    /// All that is refunded of one payment, in cents, above which somebody else decides.
    #[arg(long, value_name = "CENTS", value_parser = clap::value_parser!(i64).range(0..))]
    refunds_above: Option<i64>,
    /// Refunds take nobody else.
    #[arg(long)]
    refunds_off: bool,
}

/// Which role to give or to end.
#[derive(Debug, clap::Args)]
pub struct RolesArgs {
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    redis: RedisArgs,
    /// For whom they work.
    #[arg(long)]
    tenant: String,
    /// Their mail address.
    email: String,
    /// The role to give.
    #[arg(long, required_unless_present = "end", conflicts_with = "end")]
    grant: Option<Role>,
    /// The role to end.
    #[arg(long)]
    end: Option<Role>,
    /// The merchant or biller that it is for, by its id.
    #[arg(long)]
    merchant: Option<Uuid>,
    /// When it is in force, in the tenant's time zone; always, without it.
    #[arg(long, requires = "grant")]
    hours: Option<Hours>,
}

/// Who leaves.
#[derive(Debug, clap::Args)]
pub struct CloseArgs {
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    redis: RedisArgs,
    /// For whom they worked.
    #[arg(long)]
    tenant: String,
    /// Their mail address.
    email: String,
}

/// Whose operators.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// The tenant.
    #[arg(long)]
    tenant: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// An open vault, a connection, and a tenant's number.
fn open(args: &OpenArgs, tenant: &str) -> anyhow::Result<(Opened, i64)> {
    let mut opened = args.open()?;
    let tenant = identity::tenant_by_slug(&mut opened.conn, tenant)?;
    opened.vault.level(&mut opened.conn)?;
    Ok((opened, tenant.id))
}

/// `tessera operators …`
pub fn operators(what: OperatorsCommand, out: &mut dyn Write) -> anyhow::Result<()> {
    match what {
        OperatorsCommand::Invite(args) => invite(args, out),
        OperatorsCommand::Roles(args) => roles(&args, out),
        OperatorsCommand::Close(args) => close(&args, out),
        OperatorsCommand::List(args) => list(&args, out),
        OperatorsCommand::FourEyes(args) => four_eyes(&args, out),
    }
}

fn invite(args: InviteArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let InviteArgs { open: place, redis, tenant, name, email, role, merchant, hours, json } = args;
    let (Opened { vault, mut conn, .. }, number) = open(&place, &tenant)?;
    let role = role.map(|role| NewRole { role, merchant, hours });
    let new = NewOperator { name, email, role };
    let by = (Actor::Operator, number);
    let invited = operators::invite(&mut conn, &vault, &Ids::system(), Clock::System.now(), by, &new)?;
    tell(&redis, invited.ended);
    let invitation = invited.invitation.reveal();
    if json {
        let told = json!({"operator": invited.operator, "invitation": invitation, "until": invited.until});
        return Ok(writeln!(out, "{told}")?);
    }
    writeln!(out, "{invitation}")?;
    writeln!(out, "This invitation is not shown again. It is good until {}, for one passkey,", invited.until)?;
    writeln!(out, "which is made at /staff/{tenant}/invitation, below the address of your pages (--origin).")?;
    Ok(())
}

fn roles(args: &RolesArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (Opened { vault, mut conn, .. }, tenant) = open(&args.open, &args.tenant)?;
    let operator = find(&mut conn, &vault, tenant, &args.email)?;
    let (by, now) = ((Actor::Operator, tenant), Clock::System.now());
    let mut ended = Vec::new();
    if let Some(role) = args.grant {
        let role = NewRole { role, merchant: args.merchant, hours: args.hours };
        ended = operators::grant(&mut conn, &Ids::system(), now, by, operator, &role)?;
    }
    if let Some(role) = args.end {
        ended = operators::end_role(&mut conn, now, by, operator, (role, args.merchant))?;
    }
    tell(&args.redis, ended);
    Ok(writeln!(out, "done; what they were signed in with works for at most one second more")?)
}

fn close(args: &CloseArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (Opened { vault, mut conn, .. }, tenant) = open(&args.open, &args.tenant)?;
    let operator = find(&mut conn, &vault, tenant, &args.email)?;
    let ended = operators::close(&mut conn, Clock::System.now(), (Actor::Operator, tenant), operator)?;
    let keys = identity::keys_of(&mut conn, tenant, operator)?;
    tell(&args.redis, ended);
    writeln!(out, "closed; what they were signed in with works for at most one second more")?;
    if !keys.is_empty() {
        writeln!(out, "so do their keys, which nobody has ended: {}", keys.join(", "))?;
    }
    Ok(())
}

fn list(args: &ListArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (Opened { vault, mut conn, .. }, tenant) = open(&args.open, &args.tenant)?;
    let all = operators::list(&mut conn, &vault, tenant)?;
    if args.json {
        return Ok(writeln!(out, "{}", json!({"operators": all.iter().map(shown).collect::<Vec<_>>()}))?);
    }
    for one in all {
        let left = if one.closed_at.is_some() { "\tclosed" } else { "" };
        writeln!(out, "{}\t{}\t{}{left}", one.id, one.email, one.name)?;
        for HeldRole { role: NewRole { role, merchant, hours }, .. } in one.roles {
            let merchant = merchant.map(|merchant| format!(" of {merchant}")).unwrap_or_default();
            let hours = hours.map(|hours| format!(", {hours}")).unwrap_or_default();
            writeln!(out, "\t{}{merchant}{hours}", role.word())?;
        }
    }
    Ok(())
}

fn four_eyes(args: &FourEyesArgs, out: &mut dyn Write) -> anyhow::Result<()> {
    let (Opened { mut conn, .. }, tenant) = open(&args.open, &args.tenant)?;
    let now = Clock::System.now();
    conn.transaction(|conn| identity::four_eyes::set_refunds_above(conn, now, tenant, args.refunds_above))?;
    let told = match args.refunds_above {
        Some(cents) => format!("refunds above {cents} cents of a payment take four eyes"),
        None => "refunds take no four eyes".to_owned(),
    };
    Ok(writeln!(out, "{told}")?)
}

fn shown(one: &Operator) -> Value {
    let role = |held: &HeldRole| {
        let NewRole { role, merchant, hours } = held.role;
        let hours = hours.map(|hours| hours.to_string());
        json!({"role": role.word(), "merchant": merchant, "hours": hours, "since": held.granted_at})
    };
    let roles: Vec<Value> = one.roles.iter().map(role).collect();
    json!({"id": one.id, "number": one.number, "name": one.name, "email": one.email, "roles": roles, "closed_at": one.closed_at})
}

fn find(conn: &mut PgConnection, vault: &Vault, tenant: i64, email: &str) -> anyhow::Result<Uuid> {
    Ok(operators::by_email(conn, vault, tenant, email)?)
}

/// Tells the nodes, only to be faster: those that hear nothing find out within a second.
fn tell(redis: &RedisArgs, ended: Vec<String>) {
    let settings = match redis.settings() {
        Ok(Some(settings)) => settings,
        Ok(None) => return,
        Err(error) => return tracing::warn!(%error, "redis is not told"),
    };
    for prefix in ended {
        if let Err(error) = settings.tell(&News::Access(prefix)) {
            tracing::warn!(%error, "redis did not pass it on");
        }
    }
}
