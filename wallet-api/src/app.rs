//! The application: every slice's routes over one platform, as an actix app and as the OpenAPI document they write.

use std::sync::{Arc, LazyLock};

use actix_web::{HttpResponse, get, web};
use ledger::{Journal, Role};
use serde::Serialize;
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};
use utoipa_actix_web::AppExt;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::billers::Merchants;
use crate::books::{self, Books};
use crate::engagement::hooks;
use crate::identity::Doors;
use crate::levels::Levels;
use crate::loyalty::Programmes;
use crate::payments::own::Approver;
use crate::payments::{Payments, Refusals};
use crate::platform::Platform;
use crate::platform::audit;
use crate::platform::http::reference::{self, Reference};
use crate::platform::http::{Methods, ReadyCheck, common, contract};
use crate::platform::keyring::{Kind, May, Scope};
use crate::platform::limits::{Class, Classes, Limits, Look, Policy, Writer};
use crate::platform::link::{self, LinkEnd};
use crate::platform::metrics::{Exporter, get_metrics};
use crate::platform::password::Passwords;
use crate::platform::post::Post;
use crate::platform::problem::{Problem, ProblemBody};
use crate::platform::redis::{self, News};
use crate::platform::vault::{TenantColumn, VaultError};
use crate::profile::Customers;
use crate::proofs::Proofs;
use crate::{
    approvals, billers, consents, identity, levels, loyalty, pages, payments, privacy, profile, proofs, reports,
    requests, sandbox,
};

/// Everything the routes stand on.
#[derive(Clone)]
pub struct Parts {
    /// The ground.
    pub platform: Platform,
    /// The books.
    pub journal: Journal,
    /// Payments, and through them customers, merchants and programmes.
    pub payments: Payments,
    /// The books as they are.
    pub books: Books,
    /// Where hooks may go.
    pub hook_policy: Arc<hooks::guard::Policy>,
    /// Wakes who sends hooks.
    pub hook_wake: hooks::Wake,
    /// Where other nodes carry their requests to.
    pub link: LinkEnd,
    /// What is counted.
    pub exporter: Exporter,
    /// How much is too much.
    pub limits: Limits,
    /// How this node and its Redis fare.
    pub redis: redis::State,
    /// What the log is proved with.
    pub proofs: Proofs,
    /// What people come in by.
    pub doors: Doors,
    /// What sends mail.
    pub post: Post,
    /// What looks at passwords.
    pub passwords: Passwords,
}

/// Routes that are limited otherwise than their method says.
const CLASSES: Classes = &[
    ("POST", "/v1/payments", Class::Money),
    ("POST", "/v1/top-ups", Class::Money),
    ("POST", "/v1/me/payments", Class::Money),
    ("POST", "/v1/me/payments/{id}/approval", Class::Money),
    ("POST", "/v1/campaigns/{id}/fund", Class::Money),
    ("POST", "/v1/ledger/transactions", Class::Money),
    ("GET", "/v1/ledger/records", Class::Bulk),
    ("GET", "/v1/ledger/totals", Class::Bulk),
    ("GET", "/v1/ledger/liability", Class::Bulk),
    ("GET", "/v1/ledger/liability/roll-forward", Class::Bulk),
    ("GET", "/v1/ledger/liability/value", Class::Bulk),
    ("GET", "/v1/ledger/accounts/{id}/statement/file", Class::Bulk),
    ("GET", "/v1/ledger/trial-balance/file", Class::Bulk),
    ("GET", "/v1/requests/{key}", Class::Money),
    ("POST", "/v1/requests/{key}/resolve", Class::Money),
    ("POST", "/v1/quotes", Class::Read),
    ("POST", "/my/{tenant}/pay", Class::Money),
    ("POST", "/my/{tenant}/payments/{id}/approval", Class::Money),
    ("POST", "/v1/me/export", Class::Bulk),
    ("GET", "/v1/hook-endpoints/{id}/deliveries", Class::Bulk),
    ("GET", "/v1/hook-endpoints/{id}/deliveries/{sequence}/attempts", Class::Bulk),
];

/// Where tenants' own secrets are sealed: every column of cells that the tenant owns, so that rotations find them.
pub const SEALED_COLUMNS: &[TenantColumn] =
    &[identity::claims::SEALED, identity::operators::NAMES, identity::operators::EMAILS];

/// What the limits see of the writer.
fn look(journal: &Journal) -> Look {
    let journal = journal.clone();
    Arc::new(move || {
        let status = journal.status();
        Writer {
            queued: u64::try_from(status.queued).unwrap_or(u64::MAX),
            committed: status.records,
            batches: status.batches,
        }
    })
}

impl Parts {
    /// Puts the slices together over one platform and one journal.
    #[must_use]
    pub fn new(
        platform: Platform,
        journal: Journal,
        hook_policy: hooks::guard::Policy,
        hook_wake: hooks::Wake,
        link: LinkEnd,
        exporter: Exporter,
    ) -> Self {
        let payments = Payments {
            platform: platform.clone(),
            journal: journal.clone(),
            customers: Arc::new(Customers::default()),
            merchants: Arc::new(Merchants::default()),
            programmes: Arc::new(Programmes::default()),
            levels: Arc::new(Levels::default()),
            refusals: Arc::new(Refusals::default()),
            approver: Approver::new(platform.clone()),
        };
        let books = Books::new(platform.clone(), journal.clone());
        let limits = Limits::new(Policy::default(), CLASSES, look(&journal));
        let (hook_policy, redis, proofs) = (Arc::new(hook_policy), redis::State::default(), Proofs::default());
        let (doors, post) = (Doors::new(&platform.ids, Vec::new()), Post::none());
        let passwords = Passwords::new(&platform.ids);
        Self {
            platform,
            journal,
            payments,
            books,
            hook_policy,
            hook_wake,
            link,
            exporter,
            limits,
            redis,
            proofs,
            doors,
            post,
            passwords,
        }
    }
}

impl Parts {
    /// Lets this node and the others tell each other things by Redis, until the task is dropped. Needs a tokio runtime.
    #[must_use]
    pub fn join_redis(&self, settings: redis::Settings) -> redis::Task {
        let keyring = self.platform.keyring.clone();
        let (programmes, merchants) = (Arc::clone(&self.payments.programmes), Arc::clone(&self.payments.merchants));
        let levels = Arc::clone(&self.payments.levels);
        let wake = self.hook_wake.clone();
        let heed = move |news: &News| match news {
            News::Hooks(_) => wake.wake_here(),
            News::Key(prefix) => keyring.doubt(Kind::Key, prefix),
            News::Access(prefix) => keyring.doubt(Kind::Access, prefix),
            News::Config(tenant) => {
                programmes.doubt(*tenant);
                merchants.doubt(*tenant);
                levels.doubt(*tenant);
            }
        };
        let task = redis::Task::start(settings, self.redis.clone(), self.limits.clone(), Arc::new(heed));
        let tell = task.teller();
        self.payments.programmes.tell_by(Box::new(move |tenant| tell(News::Config(tenant))));
        let tell = task.teller();
        self.payments.merchants.tell_by(Box::new(move |tenant| tell(News::Config(tenant))));
        let tell = task.teller();
        self.payments.levels.tell_by(Box::new(move |tenant| tell(News::Config(tenant))));
        let tell = task.teller();
        self.platform.keyring.tell_by(Box::new(move |kind, prefix| match kind {
            Kind::Key => tell(News::Key(prefix.to_owned())),
            Kind::Access => tell(News::Access(prefix.to_owned())),
            Kind::Refresh | Kind::Invitation => {} // nobody remembers one
        }));
        let tell = task.teller();
        self.hook_wake.tell_by(Box::new(move |tenant| tell(News::Hooks(tenant))));
        task
    }
}

/// Puts every slice's data and routes, and those that each node has, into an actix app. Wrap the app in
/// [`crate::platform::http::edge`], outermost.
pub fn configure(parts: &Parts) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let parts = parts.clone();
    move |config| {
        let ready = ready_check(&parts);
        let Parts { platform, journal, payments, books, hook_policy, hook_wake, .. } = parts;
        let Parts { link, exporter, limits, redis, proofs, doors, post, passwords, .. } = parts;
        config
            .app_data(web::Data::new(platform))
            .app_data(web::Data::new(journal))
            .app_data(web::Data::from(Arc::clone(&payments.customers)))
            .app_data(web::Data::from(Arc::clone(&payments.merchants)))
            .app_data(web::Data::from(Arc::clone(&payments.programmes)))
            .app_data(web::Data::from(Arc::clone(&payments.levels)))
            .app_data(web::Data::new(payments))
            .app_data(web::Data::new(books))
            .app_data(web::Data::from(hook_policy))
            .app_data(web::Data::new(hook_wake))
            .app_data(web::Data::new(exporter))
            .app_data(web::Data::new(limits))
            .app_data(web::Data::new(redis))
            .app_data(web::Data::new(proofs))
            .app_data(web::Data::new(doors))
            .app_data(web::Data::new(post))
            .app_data(web::Data::new(passwords))
            .app_data(methods().clone())
            .app_data(pages::FACES)
            .route("/metrics", web::get().to(get_metrics));
        routes(&mut ServiceConfig::new(config));
        common(ready)(config);
        link::routes(link)(config);
        reference::routes(written_reference)(config);
        pages::routes(config);
    }
}

/// Every slice's routes. They are tried in this order, and those with an id in them by a regular expression each: the
/// address that is asked tens of thousands of times a second comes first.
fn routes(config: &mut ServiceConfig) {
    config
        .configure(books::routes)
        .configure(payments::routes)
        .configure(profile::routes)
        .configure(loyalty::routes)
        .configure(billers::routes)
        .configure(hooks::routes)
        .configure(proofs::routes)
        .configure(reports::routes)
        .configure(requests::routes)
        .configure(sandbox::routes)
        .configure(identity::routes)
        .configure(levels::routes)
        .configure(approvals::routes)
        .configure(consents::routes)
        .configure(privacy::routes)
        .configure(audit::routes)
        .service(get_node);
}

/// The OpenAPI document of the routes, as `openapi/wallet.yaml` holds it.
#[must_use]
pub fn openapi() -> Document {
    let mut document =
        actix_web::App::new().into_utoipa_app().openapi(Api::openapi()).configure(routes).split_for_parts().1;
    contract::complete(&mut document);
    document
}

/// The API reference, written when somebody first reads it.
fn written_reference() -> &'static Reference {
    static REFERENCE: LazyLock<Reference> = LazyLock::new(|| Reference::of(&openapi()));
    &REFERENCE
}

/// What can be done at each address, for those who tried something else.
fn methods() -> &'static Methods {
    static METHODS: LazyLock<Methods> = LazyLock::new(|| {
        let document = openapi();
        let all = document
            .paths
            .paths
            .iter()
            .flat_map(|(path, item)| contract::methods(item).map(move |method| (path.as_str(), method)));
        let pages = pages::PAGES.iter().map(|(method, path, _)| (*path, *method));
        Methods::of(all.chain([(link::PATH, "POST")]).chain(pages))
    });
    &METHODS
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tessera wallet API",
        description = "Payments, loyalty and the customer's card over one double-entry journal. Amounts are whole \
            minor units in strings. Every POST that moves money needs an Idempotency-Key. Refusals are RFC 9457 problems.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(ProblemBody)),
    modifiers(&ApiKey),
    tags(
        (name = "payments", description = "Payments, top-ups, quotes"),
        (name = "customers", description = "Customers, balances, statements, cards"),
        (name = "merchants", description = "Who is paid"),
        (name = "loyalty", description = "Programmes, campaigns, rules, budgets"),
        (name = "ledger", description = "The books as they are: accounts, assets, transactions, records"),
        (name = "reports", description = "Unspent points, roll-forwards, closed days, files for accountants"),
        (name = "hooks", description = "Endpoints that are told what happened"),
        (name = "proofs", description = "The signed log of the journal, and receipts of it"),
        (name = "doors", description = "Where people come in: sign-up, sign-in, recovery"),
        (name = "me", description = "A person's own: payments, sessions, devices, passkeys"),
        (name = "consents", description = "What people are asked to agree to"),
        (name = "limits", description = "What people may hold and pay, by how well they are known"),
        (name = "approvals", description = "What takes four eyes: asked by one, decided by another"),
        (name = "operators", description = "People who work for the company: how they come in, what they may"),
        (name = "audit", description = "What was done that matters, by whom, to what"),
        (name = "sandbox", description = "What only sandboxes have"),
        (name = "node", description = "How this node fares"),
    ),
)]
struct Api;

struct ApiKey;

impl Modify for ApiKey {
    fn modify(&self, document: &mut Document) {
        let mut http = Http::new(HttpAuthScheme::Bearer);
        http.bearer_format = Some("tsk_<prefix>_<secret>".into());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(http));
        let mut bound = Http::new(HttpAuthScheme::Bearer);
        bound.bearer_format = Some("tsa_<prefix>_<secret>".into());
        bound.description =
            Some("An operator whose role is of one merchant: what is not that merchant's is not found.".into());
        components.add_security_scheme("bound", SecurityScheme::Http(bound));
    }
}

/// Ready: the database answers, it lacks no erasure that we know of, and somebody leads the journal.
fn ready_check(parts: &Parts) -> ReadyCheck {
    let (platform, journal) = (parts.platform.clone(), parts.journal.clone());
    Arc::new(move || {
        let (platform, journal) = (platform.clone(), journal.clone());
        Box::pin(async move {
            platform.db.answers().await?;
            if !platform.vault.is_level() {
                return Err(VaultError::Behind.into());
            }
            if journal.status().is_led() {
                return Ok(());
            }
            let detail = "No node leads the journal yet; try again in a moment.";
            Err(Problem::new(503, "no-leader", "Nobody writes yet", detail).retry_after(1))
        })
    })
}

/// How this node and its writer fare; counters since it started.
#[derive(Debug, Serialize, ToSchema)]
struct NodeBody {
    /// `leading` or `following`.
    #[schema(example = "leading")]
    role: &'static str,
    /// The latest epoch it leads under.
    epoch: Option<i64>,
    /// Where the first slot is led, if this node leads none.
    leader: Option<String>,
    /// Into how many slots the journals are spread; each has one writer.
    slots: usize,
    /// How many of them this node leads.
    slots_led: usize,
    /// Requests waiting for the writer.
    queued: usize,
    /// Batches committed.
    batches: u64,
    /// Records committed.
    records: u64,
    /// Batches that a later epoch kept out.
    fenced_batches: u64,
    /// Batches whose outcome was not known when their callers were answered.
    unknown_batches: u64,
    /// How often it began to lead.
    terms: u64,
    /// Requests in hand.
    in_hand: usize,
    /// Requests refused because their client or tenant asked too much.
    rate_limited: u64,
    /// Requests turned away because the node had enough.
    shed: u64,
    /// `off` without a Redis, else `up` or `down`.
    #[schema(example = "off")]
    redis: &'static str,
}

/// Tells how this node fares.
#[utoipa::path(tag = "node", security(("key" = ["admin"])), responses(
    (status = 200, body = NodeBody),
))]
#[get("/v1/node", wrap = "May(Scope::Admin)")]
async fn get_node(
    journal: web::Data<Journal>,
    limits: web::Data<Limits>,
    redis: web::Data<redis::State>,
) -> Result<HttpResponse, Problem> {
    let (status, counts) = (journal.status(), limits.counts());
    let (role, epoch, leader) = match status.role {
        Role::Leading { epoch } => ("leading", Some(epoch), None),
        Role::Following { leader } => ("following", None, leader),
    };
    Ok(HttpResponse::Ok().json(NodeBody {
        role,
        epoch,
        leader,
        slots: status.slots,
        slots_led: status.slots_led,
        queued: status.queued,
        batches: status.batches,
        records: status.records,
        fenced_batches: status.fenced_batches,
        unknown_batches: status.unknown_batches,
        terms: status.terms,
        in_hand: counts.in_hand,
        rate_limited: counts.rate_limited,
        shed: Class::ALL.iter().map(|class| *counts.shed.of(*class)).fold(0, u64::saturating_add),
        redis: redis.word(),
    }))
}
