//! The reference as a page: what an operation asks and answers, what each schema holds.

use std::fmt::Write as _;

use serde_json::Value;

use super::document::{self, Operation};
use crate::platform::text::{Lang, text};

/// Writes the page of a document.
pub(super) fn page(document: &Value, lang: Lang) -> String {
    let page = Page { document, lang };
    let info = document.get("info").unwrap_or(&Value::Null);
    let (title, version) = (escaped(document::string(info, "title")), escaped(document::string(info, "version")));
    let (it, en) = (page.here(Lang::It), page.here(Lang::En));
    let description = prose(document::string(info, "description"));
    let [skip, language, contents, documents, try_it, operations, schemas] =
        ["skip", "language", "contents", "document", "collection", "operations", "schemas"].map(|id| page.word(id));
    let (nav, sections, shapes) = (page.navigation(), page.sections(), page.schemas());
    format!(
        "<!doctype html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"stylesheet\" href=\"/docs/reference.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">{skip}</a>\n\
         <header>\n<p class=\"title\">{title} <span class=\"version\">{version}</span></p>\n\
         <ul class=\"links\"><li><a href=\"/docs/openapi.yaml\">{documents}</a></li>\
         <li><a href=\"/docs/wallet.http\">{try_it}</a></li></ul>\n\
         <nav aria-label=\"{language}\"><ul class=\"links\"><li><a href=\"/docs?lang=en\" lang=\"en\" hreflang=\"en\"{en}>English</a></li>\
         <li><a href=\"/docs?lang=it\" lang=\"it\" hreflang=\"it\"{it}>Italiano</a></li></ul></nav>\n</header>\n\
         <div class=\"columns\">\n<nav class=\"contents\" aria-label=\"{contents}\">\n{nav}</nav>\n\
         <main id=\"main\" tabindex=\"-1\">\n<h1>{title}</h1>\n<p lang=\"en\">{description}</p>\n\
         <h2 id=\"operations\">{operations}</h2>\n{sections}<h2 id=\"schemas\">{schemas}</h2>\n{shapes}</main>\n</div>\n</body>\n</html>\n",
        lang.tag(),
    )
}

struct Page<'a> {
    document: &'a Value,
    lang: Lang,
}

impl Page<'_> {
    /// A word of the chrome.
    fn word(&self, id: &str) -> String {
        escaped(&text(self.lang, &format!("reference-{id}"), &[]))
    }

    fn here(&self, lang: Lang) -> &'static str {
        if lang == self.lang { " aria-current=\"true\"" } else { "" }
    }

    fn navigation(&self) -> String {
        let operations = document::operations(self.document);
        let mut out = String::new();
        for (tag, _) in document::tags(self.document) {
            let links = operations.iter().filter(|one| one.tag == tag).map(|one| {
                let (id, method, path) = (escaped(one.id), &one.method, escaped(one.path));
                format!("<li><a href=\"#op-{id}\"><span class=\"method {method}\">{method}</span> <span>{path}</span></a></li>\n")
            });
            let (anchor, links) = (escaped(tag), links.collect::<String>());
            put(&mut out, format_args!("<p><a href=\"#tag-{anchor}\">{anchor}</a></p>\n<ul>\n{links}</ul>\n"));
        }
        put(&mut out, format_args!("<p><a href=\"#schemas\">{}</a></p>\n", self.word("schemas")));
        out
    }

    fn sections(&self) -> String {
        let operations = document::operations(self.document);
        let mut out = String::new();
        for (tag, description) in document::tags(self.document) {
            let all: String = operations.iter().filter(|one| one.tag == tag).map(|one| self.operation(one)).collect();
            let (anchor, description) = (escaped(tag), prose(description));
            put(
                &mut out,
                format_args!(
                    "<section aria-labelledby=\"tag-{anchor}\">\n<h3 id=\"tag-{anchor}\">{anchor}</h3>\n\
                     <p lang=\"en\">{description}</p>\n{all}</section>\n"
                ),
            );
        }
        out
    }

    fn operation(&self, operation: &Operation<'_>) -> String {
        let (id, method, path) = (escaped(operation.id), &operation.method, escaped(operation.path));
        let mut out = format!(
            "<article class=\"operation\" aria-labelledby=\"op-{id}\">\n<h4 id=\"op-{id}\"><a href=\"#op-{id}\">\
             <span class=\"method {method}\">{method}</span> <code>{path}</code></a></h4>\n<p lang=\"en\">{}</p>\n",
            prose(operation.summary)
        );
        if !operation.description.is_empty() {
            put(&mut out, format_args!("<p lang=\"en\">{}</p>\n", prose(operation.description)));
        }
        if !operation.parameters.is_empty() {
            let rows = operation.parameters.iter().map(|one| self.parameter(one)).collect();
            out.push_str(&self.table("parameters", &["name", "where", "type", "meaning"], rows));
        }
        if let Some(schema) = operation.body {
            let example = document::example(self.document, schema, &|_, _| None);
            let json = serde_json::to_string_pretty(&example).unwrap_or_default();
            let (body, kind, for_example) = (self.word("body"), self.kind(schema), self.word("example"));
            put(
                &mut out,
                format_args!(
                    "<p>{body}: {kind}</p>\n<pre tabindex=\"0\" aria-label=\"{for_example}\"><code>{}</code></pre>\n",
                    escaped(&json)
                ),
            );
        }
        let rows = operation.responses.iter().map(|(status, response)| {
            let kind = document::answered(response).map_or_else(|| self.word("empty"), |schema| self.kind(schema));
            vec![format!("<code>{}</code>", escaped(status)), kind]
        });
        out.push_str(&self.table("answers", &["status", "type"], rows.collect()));
        out.push_str("</article>\n");
        out
    }

    fn parameter(&self, parameter: &Value) -> Vec<String> {
        let schema = parameter.get("schema").unwrap_or(&Value::Null);
        let required = parameter.get("required").and_then(Value::as_bool).unwrap_or_default();
        vec![
            self.name(document::string(parameter, "name"), required),
            escaped(document::string(parameter, "in")),
            self.kind(schema),
            in_english(document::string(parameter, "description")),
        ]
    }

    fn schemas(&self) -> String {
        let mut out = String::new();
        for (name, schema) in document::schemas(self.document) {
            let (name, description) = (escaped(name), prose(document::string(schema, "description")));
            put(
                &mut out,
                format_args!(
                    "<section class=\"schema\" aria-labelledby=\"schema-{name}\">\n<h3 id=\"schema-{name}\">{name}</h3>\n\
                     <p lang=\"en\">{description}</p>\n"
                ),
            );
            out.push_str(&self.shape(schema));
            out.push_str("</section>\n");
        }
        out
    }

    /// What a schema holds: its properties, its variants, or just its kind.
    fn shape(&self, schema: &Value) -> String {
        let properties = document::properties(schema);
        if !properties.is_empty() {
            let row = |(name, schema, required): &(&str, &Value, bool)| {
                vec![self.name(name, *required), self.kind(schema), in_english(document::string(schema, "description"))]
            };
            return self.table("members", &["name", "type", "meaning"], properties.iter().map(row).collect());
        }
        let variants: String = document::variants(schema).iter().map(|variant| self.variant(variant)).collect();
        if variants.is_empty() { format!("<p>{}</p>\n", self.kind(schema)) } else { variants }
    }

    fn variant(&self, variant: &Value) -> String {
        format!("<p lang=\"en\">{}</p>\n{}", prose(document::string(variant, "description")), self.shape(variant))
    }

    fn name(&self, name: &str, required: bool) -> String {
        let note = if required {
            format!(" <span class=\"required\">{}</span>", self.word("required"))
        } else {
            String::new()
        };
        format!("<code>{}</code>{note}", escaped(name))
    }

    /// A schema in a few words: its name, or its type with its format and values.
    fn kind(&self, schema: &Value) -> String {
        if let Some(name) = document::referred(schema) {
            let name = escaped(name);
            return format!("<a href=\"#schema-{name}\">{name}</a>");
        }
        let variants: Vec<String> = document::variants(schema).iter().map(|one| self.kind(one)).collect();
        if !variants.is_empty() {
            return variants.join(" | ");
        }
        if let Some(items) = schema.get("items") {
            return format!("{} {}", self.word("list-of"), self.kind(items));
        }
        let values = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        let values: Vec<String> = values.map(|value| format!("<code>{}</code>", escaped(&value.to_string()))).collect();
        if !values.is_empty() {
            return values.join(" | ");
        }
        let types = schema.get("type").map(|kind| match kind.as_array() {
            Some(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | "),
            None => kind.as_str().unwrap_or_default().to_owned(),
        });
        let (types, format) = (types.unwrap_or_default(), document::string(schema, "format"));
        if format.is_empty() { escaped(&types) } else { format!("{} ({})", escaped(&types), escaped(format)) }
    }

    /// A table whose first column names its rows.
    fn table(&self, caption: &str, columns: &[&str], rows: Vec<Vec<String>>) -> String {
        let head: String = columns.iter().map(|id| format!("<th scope=\"col\">{}</th>", self.word(id))).collect();
        let mut out = format!(
            "<div class=\"wide\"><table>\n<caption>{}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n",
            self.word(caption)
        );
        for row in rows {
            let mut cells = row.into_iter();
            let first = cells.next().unwrap_or_default();
            let rest: String = cells.map(|cell| format!("<td>{cell}</td>")).collect();
            put(&mut out, format_args!("<tr><th scope=\"row\">{first}</th>{rest}</tr>\n"));
        }
        out.push_str("</tbody>\n</table></div>\n");
        out
    }
}

fn put(out: &mut String, words: std::fmt::Arguments<'_>) {
    _ = out.write_fmt(words); // a String takes everything
}

fn in_english(description: &str) -> String {
    format!("<span lang=\"en\">{}</span>", prose(description))
}

/// The document's prose: escaped, what stands in backticks as code.
fn prose(words: &str) -> String {
    let mut out = String::new();
    for (place, part) in words.split('`').enumerate() {
        let part = escaped(part);
        if place % 2 == 1 {
            put(&mut out, format_args!("<code>{part}</code>"));
        } else {
            out.push_str(&part);
        }
    }
    out
}

fn escaped(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_the_document_becomes_markup() {
        let evil = "<script>alert(\"1\")</script> `a<b`";
        let document = json!({
            "info": {"title": evil, "version": "1"},
            "tags": [{"name": "t", "description": evil}],
            "paths": {"/x": {"get": {"operationId": "x", "tags": ["t"], "summary": evil, "responses": {}}}},
            "components": {"schemas": {"S": {"type": "object", "description": evil, "properties": {"<i>": {"enum": [evil]}}}}},
        });
        let page = page(&document, Lang::En);
        assert!(!page.contains("<script") && !page.contains("<i>"), "{page}");
        assert!(page.contains("&lt;script&gt;") && page.contains("<code>a&lt;b</code>"), "{page}");
    }
}
