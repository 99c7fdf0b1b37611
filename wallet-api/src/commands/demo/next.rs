//! What a reader can do once the story is told: addresses, the key, and lines to paste into another terminal.

use std::io;
use std::path::Path;

use super::page::Page;
use super::story::Cast;

/// Where the demo serves.
pub(super) struct Place<'a> {
    pub(super) url: &'a str,
    pub(super) key: &'a str,
    pub(super) tenant: &'a str,
    pub(super) data_dir: &'a Path,
}

/// Says how to go on.
pub(super) fn print(page: &mut Page<'_>, place: &Place<'_>, cast: &Cast) -> io::Result<()> {
    let Place { url, key, tenant, data_dir } = place;
    page.title("Your turn")?;
    page.say(&format!("Serving at {url} until Ctrl-C. Paste this into another terminal, then any of what follows:"))?;
    for line in [
        String::new(),
        format!("export TESSERA_URL={url}"),
        format!("export TESSERA_KEY={key}"),
        format!("export CUSTOMER={}", cast.customer),
        format!("export MERCHANT={}", cast.merchant),
        format!("export CAMPAIGN={}", cast.campaign),
        format!("export ENDPOINT={}", cast.endpoint),
        API.to_owned(),
    ] {
        page.copy(&line)?;
    }
    for (what, lines) in TRY {
        page.copy(&format!("\n# {what}"))?;
        for line in *lines {
            page.copy(line)?;
        }
    }
    let (tessera, data_dir) = (std::env::args().next().unwrap_or_else(|| "tessera".into()), data_dir.display());
    page.copy("\n# the books, while all this runs")?;
    page.copy(&format!("{tessera} verify --tenant {tenant} --data-dir {data_dir}\n"))?;
    page.say("The hooks of what you do appear here:")
}

/// Stands before an address and what curl is to send there.
const API: &str =
    r#"api() { curl -sS -H "Authorization: Bearer $TESSERA_KEY" -H 'Content-Type: application/json' "$@"; echo; }"#;

/// What, and the lines that do it. A key that is used again gives the first answer again.
const TRY: &[(&str, &[&str])] = &[
    (
        "pay 12.00 euro from the wallet; the second time you paste it, nothing moves",
        &[
            "api $TESSERA_URL/v1/payments -H 'Idempotency-Key: try-1' -d '{",
            "  \"customer\":\"'$CUSTOMER'\", \"merchant\":\"'$MERCHANT'\",",
            "  \"amount\":{\"amount\":\"1200\",\"asset\":\"EUR\"}, \"instrument\":{\"kind\":\"wallet\"}}'",
        ],
    ),
    (
        "balances, statement, card",
        &[
            "api $TESSERA_URL/v1/customers/$CUSTOMER/balances",
            "api $TESSERA_URL/v1/customers/$CUSTOMER/statement",
            "api $TESSERA_URL/v1/customers/$CUSTOMER/card",
        ],
    ),
    ("what the hooks' endpoint was told", &["api $TESSERA_URL/v1/hook-endpoints/$ENDPOINT/deliveries"]),
];
