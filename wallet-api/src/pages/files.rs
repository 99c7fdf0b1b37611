//! The two files that pages load: how they look, and how they ask for a passkey.
//!
//! Their address has a hash of what is in them, so a browser keeps them until they change.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};
use data_encoding::HEXLOWER;
use ring::digest;

pub(super) const STYLE: &str = include_str!("pages.css");
const SCRIPT: &str = include_str!("passkey.js");

const STYLE_PATH: &str = "/pages/pages.css";
const SCRIPT_PATH: &str = "/pages/passkey.js";

/// The address of the stylesheet.
pub(super) static STYLE_ADDRESS: LazyLock<String> = LazyLock::new(|| address(STYLE_PATH, STYLE));
/// The address of the script.
pub(super) static SCRIPT_ADDRESS: LazyLock<String> = LazyLock::new(|| address(SCRIPT_PATH, SCRIPT));

fn address(path: &str, content: &str) -> String {
    let hash = HEXLOWER.encode(digest::digest(&digest::SHA256, content.as_bytes()).as_ref());
    format!("{path}?v={}", hash.get(..16).unwrap_or_default())
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    let style = || async { answer("text/css; charset=utf-8", STYLE) };
    let script = || async { answer("text/javascript; charset=utf-8", SCRIPT) };
    config.route(STYLE_PATH, web::get().to(style)).route(SCRIPT_PATH, web::get().to(script));
}

fn answer(content_type: &'static str, content: &'static str) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CONTENT_TYPE, content_type));
    answer.insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable")).body(content)
}
