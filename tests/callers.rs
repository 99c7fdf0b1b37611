//! Each kind of caller holds a node against its OpenAPI document, with schemathesis: people, who works for a company in each
//! role, and nobody. Each asks for everything, most of which is not theirs to ask for.
//!
//! Each has a tenant of its own, so that nobody meets what another has made or ended. What the requests are, and what the
//! answers must be, is said in `scripts/`, where `make contract` does the same with a machine's key that may do everything.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tessera_tests::staff::sign_up;
use tessera_tests::{Guest, Run as _, TestDb, World, proof_dir, tessera, vault_dir};
use wallet_api::platform::authenticator::Make;
use wallet_api::platform::keyring::Role;

use crate::doors::House;

/// Requests made up for each operation in each phase, at most, where nobody says otherwise.
const EXAMPLES: &str = "8";

/// Somebody who asks.
struct Caller {
    name: &'static str,
    world: World,
    /// What they come with; empty is nobody.
    token: String,
    /// For the next one.
    refresh: String,
    /// An address that they leave alone.
    except: &'static str,
}

/// A node, and who may come to it.
struct Place {
    house: House,
}

impl Place {
    fn tenant(&self, slug: &str) -> World {
        World::new(&self.house.db.url(), &self.house.node.authority(), slug)
    }

    fn caller(&self, name: &'static str, token: impl Into<String>) -> Caller {
        Caller { name, world: self.tenant(name), token: token.into(), refresh: String::new(), except: "" }
    }

    async fn consumer(&self) -> Caller {
        let caller = self.caller("consumer", "");
        let guest = Guest::browser(&caller.world.api, caller.name);
        let (mut authenticator, entered) = guest.sign_up(&self.house.mails, "anna@example.org", Make::DEVICE).await;
        let entered = entered.expect(201);
        // Further sessions, which they may end and ask on.
        for _ in 0..3 {
            guest.sign_in(&mut authenticator).await.expect(201);
        }
        caller.world.top_up(text(&entered, "person").parse().unwrap(), 10_000).await;
        Caller { token: text(&entered, "access_token"), refresh: text(&entered, "refresh_token"), ..caller }
    }

    /// Somebody of a role, at the shop of the things that are asked for.
    async fn operator(&self, role: Role) -> Caller {
        let caller = self.caller(role.word(), "");
        let merchant = caller.world.merchant("contract").await.to_string();
        let mut args = vec!["operators", "invite", "--json", "--tenant", caller.name, "--name", "Bruno Neri"];
        args.extend(["--email", "bruno@example.org", "--role", role.word()]);
        if role.is_bound() {
            args.extend(["--merchant", &merchant]);
        }
        let invited = tessera(&args).envs(of(&self.house.db)).run().json();
        let nobody = caller.world.api.with_key("");
        let (_, entered) = sign_up(&nobody, caller.name, &text(&invited, "invitation")).await;
        let entered = entered.expect(201);
        let (token, refresh) = (text(&entered, "access_token"), text(&entered, "refresh_token"));
        // Whoever ends their session asks as nobody from then on.
        Caller { token, refresh, except: "/v1/staff/session", ..caller }
    }
}

fn text(of: &Value, name: &str) -> String {
    of[name].as_str().unwrap_or_else(|| panic!("no {name}: {of}")).to_owned()
}

/// What a command of the house is told of a node's database.
fn of(db: &TestDb<'_>) -> [(&'static str, String); 4] {
    let folder = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    [
        ("DATABASE_URL", db.url()),
        ("DATABASE_OWNER_URL", db.owner_url()),
        ("TESSERA_VAULT_DIR", folder(vault_dir(&db.url()))),
        ("TESSERA_PROOF_DIR", folder(proof_dir())),
    ]
}

impl Caller {
    /// Asks for everything; what was wrong with the answers, if anything was.
    fn hold(&self, seed: &str) -> Result<String, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        // target/<profile>/deps/tests-<hash>: schemathesis is installed beside the profiles.
        let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
        let mut command = Command::new("sh");
        command.arg("scripts/schemathesis.sh").args((!seed.is_empty()).then_some(seed)).current_dir(root);
        command.env("CARGO_TARGET_DIR", target).env("TESSERA_URL", format!("http://{}", self.world.api.authority));
        command.env("TESSERA_KEY", &self.token).env("TESSERA_REFRESH", &self.refresh).env("EXCEPT", self.except);
        command.env("TESSERA_HOUSE_KEY", &self.world.api.key).env("TENANT", self.name);
        if std::env::var_os("EXAMPLES").is_none() {
            command.env("EXAMPLES", EXAMPLES);
        }
        let said = command.run();
        let told = format!("{}{}", said.err, said.out);
        if said.status.success() { Ok(told) } else { Err(told) }
    }
}

/// Lines of a node's log that tell of an error, but the HTTP parser's own, which speaks of requests that are no HTTP.
fn errors_in(log: &str) -> Vec<&str> {
    let is_error = |line: &&str| line.contains(r#""level":"ERROR""#) && !line.contains(r#""target":"actix_http::"#);
    log.lines().filter(is_error).collect()
}

/// The lines of a report that say how much was asked.
fn summary(told: &str) -> String {
    let is_sum = |line: &&str| line.starts_with("Tested: ") || line.contains(" generated");
    let told: Vec<&str> = told.lines().map(str::trim).filter(is_sum).collect();
    told.join(", ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: make contract"]
async fn whoever_asks_is_answered_as_the_document_says() {
    let [only, seed] = ["ONLY", "SEED"].map(|name| std::env::var(name).unwrap_or_default());
    let Some(house) = House::start(&[("TESSERA_LIMITS", "off"), ("TESSERA_ALLOW_PRIVATE_HOOKS", "true")]) else {
        return;
    };
    let place = Place { house };
    let mut failed = Vec::new();
    for name in ["nobody", "consumer"].into_iter().chain(Role::ALL.map(Role::word)) {
        if !only.is_empty() && only != name {
            continue;
        }
        let caller = match name {
            "nobody" => place.caller(name, ""),
            "consumer" => place.consumer().await,
            role => place.operator(role.parse().unwrap()).await,
        };
        let before = place.house.node.log().len();
        let held = caller.hold(&seed);
        let log = place.house.node.log();
        let errors = errors_in(&log[before..]);
        let told = match &held {
            Ok(told) | Err(told) => told,
        };
        println!("contract: {name}: {}", summary(told));
        if held.is_err() || !errors.is_empty() {
            println!("{told}\n{}", errors.join("\n"));
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "the document is not kept to {failed:?}: ONLY={} holds it for one", failed[0]);
}
