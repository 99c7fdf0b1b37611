//! Requests to try, as a `.http` file that editors run (VS Code REST Client, JetBrains, httpyac).
//!
//! Every operation once, in an order in which each finds what it needs: what is added first gives its id to what comes
//! later. Written from the document alone, so a route that nobody thought of is in it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::document::{self, Operation};

const HEAD: &str = "# The wallet API, one request after another. Put a key of a sandbox tenant in, then send them from the top:\n\
    #   tessera tenant create try --sandbox && tessera keys create --tenant try --name http --scope admin\n\
    # Written from the OpenAPI document by `tessera openapi --http`. JetBrains spells {{$guid}} as {{$uuid}}.\n\n\
    @base = http://127.0.0.1:8080\n@key = tsk_\n";

/// Stands for what no request of the collection gives an id to.
const NOBODYS: &str = "00000000-0000-8000-8000-000000000001";

/// Writes the collection of a document.
#[must_use]
pub fn collection(document: &Value) -> String {
    let (mut out, ordered) = (HEAD.to_owned(), in_order(document));
    let makeable: BTreeSet<String> = ordered.iter().filter_map(made).collect();
    for operation in &ordered {
        let mut request = request(document, operation);
        for name in needs(document, operation).difference(&makeable) {
            request = request.replace(&format!("{{{{{name}}}}}"), NOBODYS);
        }
        out.push_str(&request);
    }
    out
}

/// The operations so that each comes after those that make what it names; fewer needs first, removals last.
fn in_order(document: &Value) -> Vec<Operation<'_>> {
    let all = document::operations(document);
    let makeable: BTreeSet<String> = all.iter().filter_map(made).collect();
    let (mut waiting, mut made_so_far, mut ordered) = (all, BTreeSet::new(), Vec::new());
    while !waiting.is_empty() {
        let needs = |operation: &Operation<'_>| needs(document, operation).intersection(&makeable).cloned().collect();
        let ready = |operation: &Operation<'_>| {
            let needs: BTreeSet<String> = needs(operation);
            needs.is_subset(&made_so_far) && operation.method != "DELETE"
        };
        let (mut now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(ready);
        waiting = later;
        if now.is_empty() {
            now.append(&mut waiting); // removals, and whatever names something that nothing makes
        }
        now.sort_by_key(|operation| needs(operation).len());
        made_so_far.extend(now.iter().filter_map(made));
        ordered.append(&mut now);
    }
    ordered
}

/// The variable that an operation's answer gives: `POST /v1/hook-endpoints` makes a `hook_endpoint`.
fn made(operation: &Operation<'_>) -> Option<String> {
    let adds = operation.method == "POST" && !operation.path.contains('{');
    let gives_id = operation.responses.iter().any(|(status, _)| *status == "201");
    let name = operation.path.rsplit('/').next()?;
    (adds && gives_id && name.ends_with('s')).then(|| singular(name))
}

fn singular(name: &str) -> String {
    name.strip_suffix('s').unwrap_or(name).replace('-', "_")
}

/// The variables that an operation names, in its path and in what its body must have.
fn needs(document: &Value, operation: &Operation<'_>) -> BTreeSet<String> {
    let text = format!("{}{}", path(operation), body(document, operation).unwrap_or_default());
    let parts = text.split("{{").skip(1).filter_map(|part| part.split("}}").next());
    parts.map(str::to_owned).collect()
}

/// `/v1/customers/{id}/card` as `/v1/customers/{{customer}}/card`; what nobody makes is somebody's that does not exist.
fn path(operation: &Operation<'_>) -> String {
    let (mut last, mut written) = ("", Vec::new());
    for piece in operation.path.split('/') {
        written.push(match piece.strip_prefix('{').and_then(|piece| piece.strip_suffix('}')) {
            Some("id") => format!("{{{{{}}}}}", singular(last)),
            Some("sequence") => "1".to_owned(), // numbers within what is named before: the first
            Some(name) => example(operation, name).unwrap_or_else(|| NOBODYS.to_owned()),
            None => piece.to_owned(),
        });
        last = piece;
    }
    written.join("/")
}

/// What a query must have, by its examples: `?asset=EUR&paid=100000`.
fn query(operation: &Operation<'_>) -> String {
    let is_needed =
        |one: &&Value| document::string(one, "in") == "query" && one.get("required") == Some(&Value::Bool(true));
    let names = operation.parameters.iter().copied().filter(is_needed).map(|one| document::string(one, "name"));
    let given: Vec<_> = names.map(|name| format!("{name}={}", example(operation, name).unwrap_or_default())).collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}

/// What the document gives as an example of a parameter.
fn example(operation: &Operation<'_>, name: &str) -> Option<String> {
    let parameter = operation.parameters.iter().find(|one| document::string(one, "name") == name)?;
    let given = parameter.get("example").or_else(|| parameter.pointer("/schema/example"))?;
    Some(given.as_str().map_or_else(|| given.to_string(), str::to_owned))
}

/// The body, with a variable where it names something by its id.
fn body(document: &Value, operation: &Operation<'_>) -> Option<String> {
    let by_id = |name: &str, schema: &Value| {
        (document::string(schema, "format") == "uuid").then(|| Value::String(format!("{{{{{name}}}}}")))
    };
    let value = document::example(document, operation.body?, &by_id);
    serde_json::to_string_pretty(&value).ok()
}

fn request(document: &Value, operation: &Operation<'_>) -> String {
    let Operation { method, id, summary, .. } = operation;
    let summary = summary.split_whitespace().collect::<Vec<_>>().join(" "); // a title is one line
    let mut out =
        format!("\n### {summary}\n# @name {id}\n{method} {{{{base}}}}{}{}\n", path(operation), query(operation));
    out.push_str("Authorization: Bearer {{key}}\n");
    let keyed = operation.parameters.iter().any(|one| document::string(one, "name") == "Idempotency-Key");
    if keyed {
        out.push_str("Idempotency-Key: {{$guid}}\n");
    }
    if let Some(body) = body(document, operation) {
        _ = write!(out, "Content-Type: application/json\n\n{body}\n"); // a String takes everything
    }
    if let Some(variable) = made(operation) {
        _ = write!(out, "\n@{variable} = {{{{{id}.response.body.$.id}}}}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_made_comes_before_what_names_it_and_removals_come_last() {
        let body = |properties: Value| json!({"content": {"application/json": {"schema": {"type": "object", "required": ["cat"], "properties": properties}}}});
        let uuid = json!({"cat": {"type": "string", "format": "uuid"}});
        let made = json!({"201": {}});
        let document = json!({"paths": {
            "/v1/bowls": {"post": {"operationId": "add_bowl", "summary": "Adds.", "requestBody": body(uuid), "responses": made}},
            "/v1/cats": {"post": {"operationId": "add_cat", "summary": "Adds.", "responses": made}},
            "/v1/cats/{id}": {"delete": {"operationId": "remove", "summary": "Removes."}, "get": {"operationId": "see", "summary": "Sees."}},
        }});
        let text = collection(&document);
        let at = |id: &str| text.find(&format!("# @name {id}\n")).unwrap();
        assert!(at("add_cat") < at("add_bowl") && at("add_cat") < at("see") && at("add_bowl") < at("remove"));
        assert!(text.contains("@cat = {{add_cat.response.body.$.id}}"));
        assert!(text.contains("\"cat\": \"{{cat}}\"") && text.contains("DELETE {{base}}/v1/cats/{{cat}}\n"));
    }
}
