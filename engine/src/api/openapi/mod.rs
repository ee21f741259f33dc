//! The OpenAPI 3.1 document of this API. Schemas are generated from the types that the API reads and writes. [`table`]
//! adds what a type cannot express; [`operation`] defines the types of its entries. A test checks that the table and
//! the router have the same operations.

mod operation;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use engine_core::access::{OPERATIONS, Scope};
use engine_core::wire::{ErrorBody, ErrorCode};
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use operation::{Answer, Body, Operation, Parameter};
use table::operations;

/// The document is generated once, because it changes only with the binary.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// `GET /v1/openapi.json`.
pub(super) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str())
}

const ABOUT: &str = "\
A memory for AI agents on an append-only, hash-chained log. A memory is durable when the answer to its save arrives. Unknown fields and parameters \
of a request are refused; answers may gain fields. Every error has the body `ErrorBody`; programs \
decide on its `code`. The same operations are available as tools of the Model Context Protocol at /mcp.";

/// Name of the security scheme.
const KEY: &str = "key";
/// JSON pointer to the schemas.
const DEFINITIONS: &str = "/components/schemas";

/// Schemas of requests and of responses; both are written below `components`.
struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

fn document() -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|it| {
            it.definitions_path = DEFINITIONS.into();
            // The document itself declares that all schemas are JSON Schema 2020-12.
            it.meta_schema = None;
        })
    };
    let mut schemas = Schemas {
        requests: settings().for_deserialize().into_generator(),
        answers: settings().for_serialize().into_generator(),
    };
    schemas.answers.subschema_for::<ErrorBody>();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations() {
        let described = describe(operation, &mut schemas);
        paths.entry(operation.path).or_default().insert(operation.method.to_owned(), described);
    }
    let mut definitions = schemas.requests.take_definitions(true);
    definitions.values_mut().for_each(null_is_absent);
    let mut answers = schemas.answers.take_definitions(true);
    // A field with a default may be absent in a request but is always present in a response. A type that is used for
    // both therefore has two schemas.
    let both: BTreeMap<String, String> = answers
        .iter()
        .filter(|(name, schema)| definitions.get(*name).is_some_and(|other| other != *schema))
        .map(|(name, _)| (format!("{DEFINITIONS}/{name}"), format!("{DEFINITIONS}/{name}Answer")))
        .collect();
    let responses = paths.values_mut().flat_map(Map::values_mut).filter_map(|it| it.get_mut("responses"));
    responses.chain(answers.values_mut()).for_each(|schema| rename(schema, &both));
    for (name, schema) in answers {
        let renamed = both.get(&format!("{DEFINITIONS}/{name}")).and_then(|path| path.rsplit('/').next());
        definitions.insert(renamed.unwrap_or(&name).to_owned(), schema);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Memory engine",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The engine that serves this document" }],
        "tags": [
            { "name": "memories", "description": "Saving, reading, ending and rating memories" },
            { "name": "retrieval", "description": "Searching memories, and building contexts for prompts" },
            { "name": "forgetting", "description": "Forgetting memories, and retention rules" },
            { "name": "items", "description": "Values under a namespace and a key" },
            { "name": "graph", "description": "Entities, observations and relations" },
            { "name": "clients", "description": "Endpoints for clients of other products" },
            { "name": "log", "description": "Events of the log, checkpoints and proofs" },
            { "name": "description", "description": "Description of this API" },
        ],
        "paths": paths,
        "components": { "schemas": definitions, "securitySchemes": { KEY: {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "mek_…",
            "description": "A key of the engine. Each operation lists the scope that the key needs. An engine may be \
                configured to serve requests without a key.",
        } } },
    })
}

/// Allows null for every optional property.
fn null_is_absent(schema: &mut Value) {
    let Value::Object(fields) = schema else {
        if let Value::Array(items) = schema {
            items.iter_mut().for_each(null_is_absent);
        }
        return;
    };
    let required = fields.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|it| it == name));
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.iter_mut().filter(|(name, _)| !is_required(name)).for_each(|(_, it)| or_null(it));
    }
    fields.values_mut().for_each(null_is_absent);
}

fn or_null(schema: &mut Value) {
    let null = json!({ "type": "null" });
    let Value::Object(fields) = schema else { return };
    if let Some(kind) = fields.get_mut("type") {
        if kind.is_string() {
            *kind = json!([kind.take(), "null"]);
        }
    } else if let Some(Value::Array(variants)) = fields.get_mut("anyOf") {
        if !variants.contains(&null) {
            variants.push(null);
        }
    } else if let Some(target) = fields.remove("$ref") {
        fields.insert("anyOf".to_owned(), json!([{ "$ref": target }, null]));
    }
}

/// Replaces references to schemas in `names`, which maps JSON pointers without `#` to new ones.
fn rename(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref")
                && let Some(other) = names.get(target.trim_start_matches('#'))
            {
                *target = format!("#{other}");
            }
            fields.values_mut().for_each(|value| rename(value, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename(value, names)),
        _ => {}
    }
}

fn describe(operation: &Operation, schemas: &mut Schemas) -> Value {
    let Operation { id, tag, summary, description, parameters, body, answers, .. } = operation;
    let mut described = json!({
        "operationId": id, "tags": [tag], "summary": summary, "description": description,
        "responses": responses(answers, &operation.refusals(), schemas),
        "security": [{ KEY: scopes(operation) }, {}],
    });
    if !parameters.is_empty() {
        described["parameters"] = parameters.iter().map(|parameter| parameter.describe()).collect();
    }
    if let Some(body) = body {
        described["requestBody"] = json!({
            "required": true,
            "content": { "application/json": {
                "schema": (body.schema)(&mut schemas.requests),
                "example": (body.example)(),
            } },
        });
    }
    described
}

/// The scope that a key needs for an operation.
fn scopes(operation: &Operation) -> Vec<&'static str> {
    let is_it =
        |route: &&(&str, &str)| route.0.eq_ignore_ascii_case(operation.method) && route.1 == operation.path;
    let row = OPERATIONS.iter().find(|row| row.routes.iter().any(|route| is_it(&route)));
    row.and_then(|row| row.scope).map(Scope::word).into_iter().collect()
}

fn responses(answers: &[Answer], refusals: &BTreeSet<ErrorCode>, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    let writes = answers.iter().any(|answer| answer.status == WRITTEN);
    for answer in answers {
        let (kind, schema) = match answer.body {
            Body::Json(schema) => ("application/json", schema(&mut schemas.answers)),
            Body::Text => ("text/plain; charset=utf-8", schemars::json_schema!({ "type": "string" })),
            Body::None => {
                responses.insert(answer.status.to_string(), json!({ "description": answer.description }));
                continue;
            }
        };
        let mut described =
            json!({ "description": answer.description, "content": { kind: { "schema": schema } } });
        if writes && answer.status == REPLAYED {
            described["headers"] = json!({ "Idempotency-Replayed": {
                "description": "The request was made before with the same key; nothing was written.",
                "schema": { "type": "string", "enum": ["true"] },
            } });
        }
        responses.insert(answer.status.to_string(), described);
    }
    let mut by_status: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in refusals {
        by_status.entry(code.status()).or_default().push(*code);
    }
    for (status, codes) in by_status {
        responses.insert(status.to_string(), refusal(status, &codes));
    }
    Value::Object(responses)
}

/// Status of a new write, and of a write that was done before with the same key.
const WRITTEN: u16 = 201;
const REPLAYED: u16 = 200;

fn refusal(status: u16, codes: &[ErrorCode]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let schema = json!({
        "allOf": [
            { "$ref": "#/components/schemas/ErrorBody" },
            { "properties": { "error": { "properties": { "code": { "enum": names } } } } },
        ],
    });
    let example =
        json!({ "error": { "code": names.first(), "message": "what is wrong", "hint": "what to do" } });
    let mut described = json!({
        "description": names.join(" or "),
        "content": { "application/json": { "schema": schema, "example": example } },
    });
    if status == 401 {
        described["headers"] = json!({ "WWW-Authenticate": {
            "description": "How to authorise: the scheme Bearer, and where the resource is described.",
            "schema": { "type": "string" },
        } });
    }
    if status == 503 {
        described["headers"] = json!({ "Retry-After": {
            "description": "Seconds after which a retry may work; absent if a retry does not help, for example because the log does not verify.",
            "schema": { "type": "integer", "minimum": 1 },
        } });
    }
    described
}

impl Parameter {
    fn describe(&self) -> Value {
        json!({
            "name": self.name, "in": self.place, "required": self.required,
            "description": self.description, "schema": (self.schema)(), "example": (self.example)(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_api_belongs_to_an_operation() {
        // The last one is of the admin port, which has no document.
        let everywhere = [ErrorCode::NotFound, ErrorCode::MethodNotAllowed, ErrorCode::Forbidden];
        let told: BTreeSet<ErrorCode> =
            operations().flat_map(Operation::refusals).chain(everywhere).collect();
        assert_eq!(told, ErrorCode::ALL.iter().copied().collect());
    }

    /// The guide and the tests of access control take the scopes from the table.
    #[test]
    fn every_operation_has_its_row_in_the_table_of_scopes() {
        let listed: Vec<(String, &str)> = OPERATIONS
            .iter()
            .flat_map(|row| row.routes)
            .map(|(method, path)| (method.to_lowercase(), *path))
            .collect();
        let mut expected: Vec<(String, &str)> =
            operations().map(|operation| (operation.method.to_owned(), operation.path)).collect();
        let mut sorted = listed.clone();
        sorted.sort();
        expected.sort();
        assert_eq!(sorted, expected, "each once");
    }

    #[test]
    fn what_is_referred_to_is_there() {
        let document = document();
        let text = document.to_string();
        let targets = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next());
        let targets: BTreeSet<&str> = targets.collect();
        assert!(targets.contains("/components/schemas/SaveMemory"), "{targets:?}");
        for target in targets {
            assert!(document.pointer(target).is_some(), "{target}");
        }
    }
}
