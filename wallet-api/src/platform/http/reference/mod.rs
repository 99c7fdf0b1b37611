//! The API reference a node serves by itself: a page at `/docs`, the OpenAPI document, and requests to try.
//!
//! The page is written from the document, once per language, and is whole as it is sent: no script, nothing from any other
//! host, so it works where there is no network and under a policy that allows nothing but its own stylesheet. The chrome
//! is in Italian or English; descriptions are the document's, in English, and say so to a screen reader. Anyone may read
//! it: it holds no secret and no data. Not here: what the document says (the routes' own annotations), trying requests from
//! the page (`/docs/wallet.http` is for that).

mod collection;
mod document;
mod page;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::openapi::OpenApi as Document;

pub use collection::collection;

use crate::platform::problem::Problem;
use crate::platform::text::Lang;

/// All that the page may load is its own stylesheet.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("reference.css");

/// The reference, written out.
#[derive(Debug)]
pub struct Reference {
    english: String,
    italian: String,
    yaml: String,
    collection: String,
}

impl Reference {
    /// Writes the reference of a document.
    #[must_use]
    pub fn of(document: &Document) -> Self {
        let yaml = document.to_yaml().unwrap_or_else(|error| {
            tracing::error!(%error, "the OpenAPI document cannot be written");
            String::new()
        });
        let json = serde_json::to_value(document).unwrap_or_default();
        let page = |lang| page::page(&json, lang);
        Self { english: page(Lang::En), italian: page(Lang::It), yaml, collection: collection(&json) }
    }
}

/// Where to find the reference of this app.
#[derive(Clone, Copy)]
struct Source(fn() -> &'static Reference);

/// The routes of the reference; `source` is asked when somebody first reads it.
pub fn routes(source: fn() -> &'static Reference) -> impl FnOnce(&mut web::ServiceConfig) {
    move |config| {
        config
            .app_data(web::Data::new(Source(source)))
            .route("/docs", web::get().to(get_page))
            .route("/docs/reference.css", web::get().to(get_style))
            .route("/docs/openapi.yaml", web::get().to(get_document))
            .route("/docs/wallet.http", web::get().to(get_collection));
    }
}

#[derive(Debug, Deserialize)]
struct Wish {
    lang: Option<String>,
}

async fn get_page(
    source: web::Data<Source>,
    wish: web::Query<Wish>,
    header_lang: Lang,
) -> Result<HttpResponse, Problem> {
    let lang = wish.lang.as_deref().and_then(Lang::from_tag).unwrap_or(header_lang);
    let reference = (source.0)();
    let page = match lang {
        Lang::En => &reference.english,
        Lang::It => &reference.italian,
    };
    let mut answer = answer("text/html; charset=utf-8");
    answer.insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    answer.insert_header((header::CONTENT_LANGUAGE, lang.tag()));
    answer.insert_header((header::VARY, "accept-language"));
    Ok(answer.body(page.as_str()))
}

async fn get_style() -> HttpResponse {
    answer("text/css; charset=utf-8").body(STYLE)
}

async fn get_document(source: web::Data<Source>) -> HttpResponse {
    answer("application/yaml; charset=utf-8").body((source.0)().yaml.as_str())
}

async fn get_collection(source: web::Data<Source>) -> HttpResponse {
    answer("text/plain; charset=utf-8").body((source.0)().collection.as_str())
}

/// An answer that may be kept and must be asked for again: it changes with the release.
fn answer(content_type: &'static str) -> actix_web::HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::CONTENT_TYPE, content_type)).insert_header((header::CACHE_CONTROL, "no-cache"));
    answer
}
