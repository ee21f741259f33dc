//! JSON Schemas of the arguments and answers of tools, generated from the Rust types.

use engine_core::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use engine_core::wire::ErrorBody;
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// Argument that every writing tool accepts.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// Schema of the arguments of a tool.
pub(super) fn input<T: JsonSchema>() -> JsonObject {
    // Subschemas are inlined because some clients do not resolve references.
    let settings = SchemaSettings::draft2020_12().for_deserialize().with(|it| it.inline_subschemas = true);
    object(&settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// Schema of the arguments of a writing tool, with an optional idempotency key.
pub(super) fn writing<T: JsonSchema>() -> JsonObject {
    with_property(
        input::<T>(),
        IDEMPOTENCY_KEY,
        json!({
            "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX, "pattern": "^[ -~]+$",
            "description": "Makes it safe to repeat this call: calls with the same key and the same arguments take effect once. Use a new key for each new call.",
        }),
        false,
    )
}

/// Adds a property to a schema.
pub(super) fn with_property(
    mut schema: JsonObject,
    name: &str,
    property: Value,
    required: bool,
) -> JsonObject {
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.insert(name.to_owned(), property);
    }
    if required && let Value::Array(names) = schema.entry("required").or_insert_with(|| json!([])) {
        names.push(name.into());
    }
    schema
}

/// Removes every `format` from a schema. Number formats such as `uint64` are specific to Rust, and strict validators
/// refuse formats that they do not know, including the formats of times. Limits and descriptions contain the same
/// information.
fn without_formats(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.retain(|name, value| name != "format" || !value.is_string());
            fields.values_mut().for_each(without_formats);
        }
        Value::Array(items) => items.iter_mut().for_each(without_formats),
        _ => {}
    }
}

/// Schema of the result of a tool.
pub(super) fn output<T: JsonSchema>() -> JsonObject {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|it| it.inline_subschemas = true);
    object(&settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// Returns a schema that accepts a result or an error. Some clients validate errors against the output schema too, and
/// the output schema of a tool must describe a single object.
pub(super) fn or_error(schema: JsonObject) -> JsonObject {
    let error = output::<ErrorBody>();
    let property = error.get("properties").and_then(|properties| properties.get("error")).cloned();
    let mut schema = with_property(schema, "error", property.unwrap_or(json!({})), false);
    let success = schema.remove("required").unwrap_or_else(|| json!([]));
    schema.insert("anyOf".to_owned(), json!([having(&success), having(&json!(["error"]))]));
    schema
}

/// Returns the schema of an object with these required fields. The fields are also listed as properties, because strict
/// validators refuse a required name that is not a property.
fn having(names: &Value) -> Value {
    let fields = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    let fields: JsonObject = fields.map(|name| (name.to_owned(), json!({}))).collect();
    json!({ "type": "object", "properties": fields, "required": names })
}

/// Removes `$schema` and the title, which is the name of the Rust type. The keywords used here have the same meaning in
/// draft 7 and in 2020-12, and validators of one dialect refuse a schema that names the other.
fn object(schema: &Value) -> JsonObject {
    let mut schema = schema.clone();
    without_formats(&mut schema);
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.remove("title");
    schema.remove("$schema");
    // The schema of a tool without arguments must be a schema of an object too.
    schema.entry("properties").or_insert_with(|| json!({}));
    schema
}
