//! JSON Schemas of tools, made from the types that are read and written.

use engine_core::limits::IDEMPOTENCY_KEY_CHARS_MAX;
use engine_core::wire::ErrorBody;
use rmcp::model::JsonObject;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// Argument of every tool that writes.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency_key";

/// Schema of arguments.
pub(super) fn input<T: JsonSchema>() -> JsonObject {
    // What models are told about is read by programs that do not follow references.
    let settings = SchemaSettings::draft2020_12().for_deserialize().with(|it| it.inline_subschemas = true);
    object(&settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// Schema of arguments of a tool that writes: they may have an idempotency key.
pub(super) fn writing<T: JsonSchema>() -> JsonObject {
    with_property(
        input::<T>(),
        IDEMPOTENCY_KEY,
        json!({
            "type": "string", "minLength": 1, "maxLength": IDEMPOTENCY_KEY_CHARS_MAX, "pattern": "^[ -~]+$",
            "description": "Makes a repetition of this call safe: with the same key and the same arguments it is done once. Choose a new one for each new call.",
        }),
        false,
    )
}

/// Adds an argument.
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

/// Widths of numbers are words of the program's language, and strict readers refuse a format that they do not know, those of times
/// among them. Limits and descriptions say the same.
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

/// Schema of an answer.
pub(super) fn output<T: JsonSchema>() -> JsonObject {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|it| it.inline_subschemas = true);
    object(&settings.into_generator().into_root_schema_for::<T>().to_value())
}

/// The schema of an answer or of an error. Some clients hold errors against a tool's output schema as well, and the
/// schema of a tool has to be that of one object.
pub(super) fn or_error(schema: JsonObject) -> JsonObject {
    let error = output::<ErrorBody>();
    let property = error.get("properties").and_then(|properties| properties.get("error")).cloned();
    let mut schema = with_property(schema, "error", property.unwrap_or(json!({})), false);
    let success = schema.remove("required").unwrap_or_else(|| json!([]));
    schema.insert("anyOf".to_owned(), json!([having(&success), having(&json!(["error"]))]));
    schema
}

/// The schema of an object that has these fields. They are named as fields too: strict readers take another name for a slip.
fn having(names: &Value) -> Value {
    let fields = names.as_array().into_iter().flatten().filter_map(Value::as_str);
    let fields: JsonObject = fields.map(|name| (name.to_owned(), json!({}))).collect();
    json!({ "type": "object", "properties": fields, "required": names })
}

/// Without the name of the Rust type, which says nothing to a client, and without a dialect: what is used here means the same in
/// draft 7 and in 2020-12, and readers of one of them refuse a schema that names the other.
fn object(schema: &Value) -> JsonObject {
    let mut schema = schema.clone();
    without_formats(&mut schema);
    let mut schema = schema.as_object().cloned().unwrap_or_default();
    schema.remove("title");
    schema.remove("$schema");
    // A tool without arguments still has a schema of an object.
    schema.entry("properties").or_insert_with(|| json!({}));
    schema
}
