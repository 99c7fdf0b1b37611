//! What the OpenAPI document says of every operation, added once to all: how each can be refused, and the request's id.
//!
//! A client generator and a contract test then see what is true everywhere: any operation may be refused by the caller's
//! fault or ours, every refusal is a problem, and every answer has an `x-request-id`.

use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, Parameter, PathItem};
use utoipa::openapi::schema::{AdditionalProperties, Object, SchemaType};
use utoipa::openapi::{
    Content, ContentBuilder, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Schema, Type,
};

use crate::platform::problem::ProblemBody;

/// Completes a document whose routes are all there.
pub fn complete(document: &mut OpenApi) {
    for operation in document.paths.paths.values_mut().flat_map(operations_of) {
        for (statuses, what) in [("4XX", "Refused"), ("5XX", "Not done, or not known to be")] {
            let response = operation.responses.responses.entry(statuses.to_owned());
            response.or_insert_with(|| refusal(what).into());
        }
        operation.parameters.iter_mut().flatten().for_each(never_null);
        if let Some(RefOr::T(body)) = &mut operation.request_body {
            body.content.values_mut().for_each(not_null);
        }
        for response in operation.responses.responses.values_mut() {
            if let RefOr::T(response) = response {
                identify(response);
            }
        }
    }
    let schemas = document.components.iter_mut().flat_map(|components| components.schemas.values_mut());
    for schema in schemas {
        let RefOr::T(Schema::OneOf(either)) = schema else { continue };
        for variant in &mut either.items {
            if let RefOr::T(Schema::Object(object)) = variant {
                close(object);
            }
        }
    }
}

/// The methods there are at an address.
pub fn methods(item: &PathItem) -> impl Iterator<Item = &'static str> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [("GET", get), ("PUT", put), ("POST", post), ("DELETE", delete), ("PATCH", patch)];
    all.into_iter().filter(|(_, operation)| operation.is_some()).map(|(method, _)| method)
}

fn operations_of(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn refusal(what: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemBody::name()))).build();
    ResponseBuilder::new().description(what).content("application/problem+json", body).build()
}

fn identify(response: &mut Response) {
    let header = HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(Type::String))).description(Some(
        "Names this request in our log: the one you sent, if it is 1 to 64 of A-Z, a-z, 0-9, -, _ and .",
    ));
    response.headers.insert("x-request-id".to_owned(), header.build().into());
}

/// A parameter that may be left out is not `null` instead: in a header or a query that is a word.
fn never_null(parameter: &mut RefOr<Parameter>) {
    let RefOr::T(Parameter { schema: Some(RefOr::T(Schema::Object(object))), .. }) = parameter else { return };
    if let SchemaType::Array(types) = &mut object.schema_type {
        types.retain(|one| *one != Type::Null);
        if let [only] = types.as_slice() {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
}

/// A body that may be left out is not `null` instead.
fn not_null(content: &mut RefOr<Content>) {
    let RefOr::T(content) = content else { return };
    if let Some(RefOr::T(Schema::OneOf(either))) = &mut content.schema {
        let null = SchemaType::Type(Type::Null);
        either.items.retain(|one| !matches!(one, RefOr::T(Schema::Object(object)) if object.schema_type == null));
        if let [only] = either.items.as_slice() {
            content.schema = Some(only.clone());
        }
    }
}

/// What is told apart by a tag takes no unknown member either, nor do the objects in it: nothing that is read by this API does.
/// An object that names no members of its own may be anything, and stays so.
fn close(object: &mut Object) {
    if object.properties.is_empty() {
        return;
    }
    object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    for member in object.properties.values_mut() {
        if let RefOr::T(Schema::Object(inner)) = member {
            close(inner);
        }
    }
}
