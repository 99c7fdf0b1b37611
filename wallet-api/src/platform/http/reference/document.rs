//! The parts of an OpenAPI document that the reference and the collection are written from.

use serde_json::{Map, Value, json};

/// How deep an example goes before it ends: a schema may name itself.
const DEEPEST: usize = 8;

/// An operation of the API.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    /// `GET` and so on.
    pub(super) method: String,
    pub(super) path: &'a str,
    pub(super) id: &'a str,
    pub(super) tag: &'a str,
    pub(super) summary: &'a str,
    pub(super) description: &'a str,
    pub(super) parameters: Vec<&'a Value>,
    /// The schema of its JSON body, if it takes one.
    pub(super) body: Option<&'a Value>,
    /// Statuses and what each answers.
    pub(super) responses: Vec<(&'a str, &'a Value)>,
}

/// A string member; empty when there is none.
pub(super) fn string<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    let members = value.get(name).and_then(Value::as_object);
    members.into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn items<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Every operation, in the document's order.
pub(super) fn operations(document: &Value) -> Vec<Operation<'_>> {
    let paths = members(document, "paths");
    let all = paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path, method.to_ascii_uppercase(), operation))
    });
    all.map(|(path, method, operation)| Operation {
        method,
        path,
        id: string(operation, "operationId"),
        tag: items(operation, "tags").next().and_then(Value::as_str).unwrap_or_default(),
        summary: string(operation, "summary"),
        description: string(operation, "description"),
        parameters: items(operation, "parameters").collect(),
        body: operation.pointer("/requestBody/content/application~1json/schema"),
        responses: members(operation, "responses").collect(),
    })
    .collect()
}

/// The tags with their descriptions, in the document's order.
pub(super) fn tags(document: &Value) -> Vec<(&str, &str)> {
    items(document, "tags").map(|tag| (string(tag, "name"), string(tag, "description"))).collect()
}

/// The named schemas, in the document's order.
pub(super) fn schemas(document: &Value) -> Vec<(&str, &Value)> {
    document.get("components").map(|components| members(components, "schemas").collect()).unwrap_or_default()
}

/// The properties of an object's schema: name, schema, whether it must be there.
pub(super) fn properties(schema: &Value) -> Vec<(&str, &Value, bool)> {
    let required: Vec<&str> = items(schema, "required").filter_map(Value::as_str).collect();
    members(schema, "properties").map(|(name, schema)| (name, schema, required.contains(&name))).collect()
}

/// The variants of a schema that is one of several.
pub(super) fn variants(schema: &Value) -> Vec<&Value> {
    ["oneOf", "anyOf", "allOf"].iter().flat_map(|name| items(schema, name)).collect()
}

/// The name of the schema that this one refers to.
pub(super) fn referred(schema: &Value) -> Option<&str> {
    string(schema, "$ref").strip_prefix("#/components/schemas/")
}

/// The body of an answer: its schema, if it has one.
pub(super) fn answered(response: &Value) -> Option<&Value> {
    let content = response.get("content").and_then(Value::as_object);
    content.into_iter().flatten().find_map(|(_, media)| media.get("schema"))
}

/// A value that the schema allows, made of the document's own examples; `named` may put another one for a property.
pub(super) fn example(document: &Value, schema: &Value, named: &dyn Fn(&str, &Value) -> Option<Value>) -> Value {
    build(document, schema, named, DEEPEST)
}

fn build(document: &Value, schema: &Value, named: &dyn Fn(&str, &Value) -> Option<Value>, deep: usize) -> Value {
    let Some(deeper) = deep.checked_sub(1) else { return Value::Null };
    if let Some(name) = referred(schema) {
        let target = document.pointer(&format!("/components/schemas/{name}"));
        return target.map_or(Value::Null, |target| build(document, target, named, deeper));
    }
    let given =
        schema.get("example").or_else(|| items(schema, "examples").next()).or_else(|| items(schema, "enum").next());
    if let Some(value) = given {
        return value.clone();
    }
    if let Some(variant) = variants(schema).first() {
        return build(document, variant, named, deeper);
    }
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match (kind, string(schema, "format")) {
        (Some("object") | None, _) => {
            let required = properties(schema).into_iter().filter(|(_, _, required)| *required);
            let member = |(name, schema, _): (&str, &Value, bool)| {
                let value = named(name, schema).unwrap_or_else(|| build(document, schema, named, deeper));
                (name.to_owned(), value)
            };
            Value::Object(required.map(member).collect::<Map<_, _>>())
        }
        (Some("array"), _) => json!([schema.get("items").map(|items| build(document, items, named, deeper))]),
        (Some("integer"), _) => schema.get("minimum").cloned().unwrap_or(json!(1)),
        (Some("boolean"), _) => json!(true),
        (_, "uuid") => json!("00000000-0000-8000-8000-000000000001"),
        (_, "date-time") => json!("2026-01-01T00:00:00Z"),
        (_, "uri") => json!("https://example.com/hooks"),
        (Some(_), _) => json!("text"),
    }
}
