//! Arguments whose types differ from the schema are accepted where their meaning is unambiguous. `null` is accepted for
//! optional fields.

use serde_json::{Map, Value, json};

use crate::mcp::{JSON, call, done, post};
use crate::process::{Running, eventually};

/// A valid value for the argument of this name.
fn fitting(name: &str, id: &str) -> Value {
    match name {
        "query" | "content" | "title" | "note" | "reason" => json!("kettle"),
        "id" | "superseded_by" => json!(id),
        "ids" | "mandatory_ids" => json!([id]),
        "tags" | "entities" | "mandatory_types" => json!(["note"]),
        "as_of" | "known_at" | "time" | "occurred_at" | "valid_from" | "valid_until" => {
            json!("2026-01-02T03:04:05Z")
        }
        "useful" | "dry_run" => json!(true),
        "rating" => json!(0.5),
        "token_budget" => json!(200),
        "format" => json!("json"),
        "same_text" => json!("say"),
        _ => json!(1),
    }
}

/// Other JSON forms of a value that models and their clients send.
fn spellings(value: &Value) -> Vec<Value> {
    match value {
        Value::Number(number) => {
            let text = number.to_string();
            let mut all = vec![json!(text), json!(format!(" {text} ")), json!([number]), json!([text])];
            all.extend(number.as_i64().map(|whole| json!(whole as f64)));
            all.extend(number.as_i64().map(|whole| json!(format!("{whole}.0"))));
            all
        }
        Value::Bool(flag) => {
            let (text, digit) = (flag.to_string(), i32::from(*flag));
            vec![
                json!(text),
                json!(text.to_uppercase()),
                json!(digit),
                json!(digit.to_string()),
                json!([flag]),
            ]
        }
        Value::Array(items) => vec![json!(value.to_string()), items[0].clone()],
        _ => Vec::new(),
    }
}

fn properties(tool: &Value) -> &Map<String, Value> {
    tool["inputSchema"]["properties"].as_object().unwrap()
}

#[test]
fn every_argument_is_taken_in_every_way_models_write_it() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let saved =
        done(&engine, "memory_save", &json!({ "content": "The kettle is blue.", "tags": "[\"colour\"]" }));
    let id = saved["id"].as_str().unwrap();
    assert_eq!(done(&engine, "memory_get", &json!({ "id": id }))["tags"], json!(["colour"]));
    let list = post(&engine, JSON, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#).json();
    let mut tried = 0;
    for tool in list["result"]["tools"].as_array().unwrap() {
        let name = tool["name"].as_str().unwrap();
        let required = tool["inputSchema"]["required"].as_array().cloned().unwrap_or_default();
        let base: Map<String, Value> = required
            .iter()
            .filter_map(Value::as_str)
            .map(|field| (field.to_owned(), fitting(field, id)))
            .collect();
        for (field, schema) in properties(tool) {
            let is_text = schema["type"].to_string().contains("string");
            let value = fitting(field, id);
            // A name is any text, even one that looks like a number.
            let value = if is_text && value.is_number() { json!("1") } else { value };
            let mut forms = spellings(&value);
            if !base.contains_key(field) {
                forms.push(Value::Null);
                if !is_text {
                    forms.extend([json!(""), json!("null"), json!("None")]);
                }
            }
            for form in forms {
                let mut arguments = base.clone();
                arguments.insert(field.clone(), form);
                let result = call(&engine, name, &Value::Object(arguments.clone()));
                let text = result["content"][0]["text"].as_str().unwrap();
                assert!(!text.contains("the arguments are not valid"), "{name} {arguments:?}: {text}");
                tried += 1;
            }
        }
        let mut more = base.clone();
        more.insert("clientContext".into(), json!({ "session": 7 }));
        let result = call(&engine, name, &Value::Object(more));
        let said = result["content"].to_string();
        assert!(said.contains("clientContext") && !said.contains("are not valid"), "{name}: {said}");
    }
    assert!(tried > 150, "{tried}");
    // The arguments object is itself encoded as a string, as some models send it.
    let text = json!({ "name": "memory_search", "arguments": json!({ "query": "kettle" }).to_string() });
    let text = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": text }).to_string();
    let found = post(&engine, JSON, &text).json();
    assert_eq!(found["result"]["isError"], false, "{found}");
    let refused = call(&engine, "memory_save", &json!({ "content": "x", "tags": "a, b" }));
    let said = refused["content"][0]["text"].as_str().unwrap();
    assert!(refused["isError"] == true && said.contains("expected a list"), "{said}");
    let refused = call(&engine, "memory_as_of", &json!({ "as_of": "2026-01-02T03:04:05" }));
    let said = refused["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("2026-01-31T12:00:00Z"), "the message describes the format: {said}");
}

#[test]
fn the_graph_takes_arguments_in_every_way_too() {
    let data = tempfile::tempdir().unwrap();
    let config = data.path().join("config.yaml");
    std::fs::write(&config, "mcp: {serverMemoryTools: true}\n").unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), config.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    let ana = json!({ "name": "Ana", "entityType": "person", "observations": "likes tea" });
    for entities in [json!([ana]), json!(json!([ana]).to_string()), ana.clone(), json!([ana.to_string()])] {
        let result = call(&engine, "create_entities", &json!({ "entities": entities, "requestId": 7 }));
        assert_eq!(result["isError"], false, "{entities}: {result}");
    }
    let found = call(&engine, "open_nodes", &json!({ "names": "Ana" }));
    let expected = json!([{ "name": "Ana", "entityType": "person", "observations": ["likes tea"] }]);
    assert_eq!(found["structuredContent"]["entities"], expected, "{found}");
}

/// Returns the schema, or the schema that it refers to.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let target = |schema: &Value| Some(schema["$ref"].as_str()?.trim_start_matches('#').to_owned());
    let mut schema = schema;
    if let Some(variants) = schema["anyOf"].as_array() {
        schema = variants.iter().find(|variant| variant["$ref"].is_string()).unwrap_or(schema);
    }
    target(schema).map_or(schema, |target| document.pointer(&target).unwrap())
}

/// Collects bodies with null in place of each optional field, and the same bodies without the field.
fn with_nulls(document: &Value, schema: &Value, body: &Value, found: &mut Vec<(String, Value, Value)>) {
    let schema = resolved(document, schema);
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if !required.iter().any(|known| known == name) {
            let (mut null, mut absent) = (body.clone(), body.clone());
            null[name] = Value::Null;
            absent.as_object_mut().unwrap().remove(name);
            found.push((name.clone(), null, absent));
        }
        // The function also visits objects in lists, and nested objects.
        let (inner, one) = match &body[name] {
            Value::Array(items) if items.first().is_some_and(Value::is_object) => {
                (&property["items"], &items[0])
            }
            value @ Value::Object(_) => (property, value),
            _ => continue,
        };
        let mut within = Vec::new();
        with_nulls(document, inner, one, &mut within);
        for (field, null, absent) in within {
            let put = |value: Value| {
                let mut body = body.clone();
                body[name] = if body[name].is_array() { json!([value]) } else { value };
                body
            };
            found.push((format!("{name}.{field}"), put(null), put(absent)));
        }
    }
}

#[test]
fn null_means_absent_for_every_optional_field() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let id = engine.save("x").json()["id"].as_str().unwrap().to_owned();
    let document = engine.get("/v1/openapi.json").json();
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let content = &operation["requestBody"]["content"]["application/json"];
            if content.is_null() {
                continue;
            }
            let example = content["example"].to_string().replace("0123456789abcdef0123456789abcdef", &id);
            let mut bodies = Vec::new();
            with_nulls(&document, &content["schema"], &serde_json::from_str(&example).unwrap(), &mut bodies);
            let path = path.replace("{id}", &id);
            for (field, null, absent) in bodies {
                let send = |body: &Value| {
                    let answer =
                        engine.connect().request(&method.to_uppercase(), &path, "", &body.to_string());
                    let answer = answer.unwrap();
                    let is_shape = answer.body.contains("the body is not valid");
                    // Other errors do not count: whether the object exists and is valid may depend on the previous
                    // request.
                    (answer.status == 400, is_shape, answer.body)
                };
                let (with_null, without) = (send(&null), send(&absent));
                assert_eq!(
                    (with_null.0, with_null.1),
                    (without.0, without.1),
                    "{method} {path} {field}: {} and {}",
                    with_null.2,
                    without.2
                );
                assert!(!with_null.1, "{method} {path} {field}: {}", with_null.2);
                tried += 1;
            }
        }
    }
    assert!(tried > 80, "{tried}");
    let unknown = engine.post("/v1/memories", "", r#"{"content":"x","colour":null}"#);
    assert_eq!(unknown.status, 400, "an unknown field is refused with any value");
    let time = engine.post("/v1/memories", "", r#"{"content":"x","occurred_at":"2026-01-02T03:04:05"}"#);
    assert!(time.status == 400 && time.body.contains("2026-01-31T12:00:00Z"), "{time:?}");
}

#[test]
fn a_models_mistake_is_told_to_the_model() {
    let data = tempfile::tempdir().unwrap();
    let engine = Running::start(data.path());
    let run = |command: &Value| {
        let answer = engine.post("/v1/adapters/anthropic-memory", "", &command.to_string());
        assert_eq!(answer.status, 200, "{command}: {answer:?}");
        let answer = answer.json();
        (answer["is_error"].as_bool().unwrap(), answer["content"].as_str().unwrap().to_owned())
    };
    let secret = format!("token = \"{}\"", ["ghp", &"a1B2c3D4e5F6".repeat(3)].join("_"));
    for (command, said) in [
        (json!({ "command": "create", "path": "/memories/a", "file_text": secret }), "Nothing was written"),
        (json!({ "command": "create", "path": "/memories/a" }), "Missing field `file_text`"),
        (json!({ "command": "view", "path": "/memories", "colour": "blue" }), "has no field `colour`"),
        (json!({ "command": "look", "path": "/memories" }), "There is no such command"),
        (json!({}), "Missing field `command`"),
        (json!({ "command": "view", "path": ["/memories", "/memories/a"] }), "must be a text"),
        (json!({ "command": "view", "path": "/etc" }), "Path must start with /memories"),
    ] {
        let (is_error, content) = run(&command);
        assert!(is_error && content.contains(said), "{command}: {content}");
    }
    assert!(!run(&json!({ "command": "create", "path": "/memories/a", "file_text": "one two" })).0);
    assert!(
        !run(&json!({ "command": "str_replace", "path": "/memories/a", "old_str": " two", "new_str": null }))
            .0
    );
    let (_, shown) = run(&json!({ "command": "view", "path": "/memories/a", "view_range": "[1, -1]" }));
    assert!(shown.ends_with("     1\tone"), "{shown}");
    let (_, listed) = run(&json!({ "command": "view", "path": "/memories/" }));
    assert!(
        listed.contains("deep in /memories/, excluding") && listed.ends_with("3B\t/memories//a"),
        "{listed}"
    );
    assert_eq!(
        engine.post("/v1/adapters/anthropic-memory", "", "[]").status,
        400,
        "not a mistake of the model"
    );
}
