//! Reads the file of `@modelcontextprotocol/server-memory` (`memory.jsonl`): one line per entity, with its
//! observations, and one line per relation.

use serde_json::{Map, Value};

use super::{Record, Refused, needed};
use crate::strict;

const PRODUCT: &str = "server-memory";

/// Parses a line. A line may also be a whole graph, as the tool `read_graph` returns it.
pub fn line(line: &[u8]) -> Vec<Record> {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line).trim_ascii();
    if let Err(why) = strict::check(line) {
        return vec![Record::refused(Refused::NotStrict(why))];
    }
    match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) if is_graph(&fields) => graph(&fields),
        Ok(Value::Object(fields)) => vec![record(&fields, fields.get("type").and_then(Value::as_str))],
        _ => vec![Record::refused(Refused::NotA("a JSON object"))],
    }
}

fn is_graph(fields: &Map<String, Value>) -> bool {
    !fields.contains_key("type")
        && ["entities", "relations"].iter().any(|list| fields.get(*list).is_some_and(Value::is_array))
}

fn graph(fields: &Map<String, Value>) -> Vec<Record> {
    let each = |list: &str, kind: &'static str| -> Vec<Record> {
        let items = fields.get(list).and_then(Value::as_array).into_iter().flatten();
        let read = |item: &Value| match item {
            Value::Object(fields) => record(fields, Some(kind)),
            _ => Record::refused(Refused::NotA("a JSON object")),
        };
        items.map(read).collect()
    };
    let mut records = each("entities", "entity");
    records.extend(each("relations", "relation"));
    records
}

fn record(fields: &Map<String, Value>, kind: Option<&str>) -> Record {
    let outcome = match kind {
        Some("entity") => entity(fields),
        Some("relation") => relation(fields),
        Some(_) => Err(Refused::UnknownType),
        None => Err(Refused::Missing("type")),
    };
    outcome.unwrap_or_else(Record::refused)
}

fn entity(fields: &Map<String, Value>) -> Result<Record, Refused> {
    let name = needed(fields, "name")?;
    // The type may be missing in a file, because the product requires it in tool calls only.
    let kind = if fields.contains_key("entityType") { needed(fields, "entityType")? } else { "" };
    let observations = match fields.get("observations") {
        Some(Value::Array(observations)) => observations.as_slice(),
        None | Some(Value::Null) => &[],
        Some(_) => return Err(Refused::Shape { field: "observations", expected: "a list" }),
    };
    let mut record = Record::default();
    record.leave_out(fields, &["type", "name", "entityType", "observations"]);
    if record.entity(PRODUCT, name, kind) {
        for observation in observations {
            match observation {
                Value::String(content) => record.observation(name, content),
                _ => record
                    .refused
                    .push(Refused::Shape { field: "observations", expected: "a list of strings" }),
            }
        }
    }
    Ok(record)
}

fn relation(fields: &Map<String, Value>) -> Result<Record, Refused> {
    let mut record = Record::default();
    record.leave_out(fields, &["type", "from", "to", "relationType"]);
    let ends = (needed(fields, "from")?, needed(fields, "to")?);
    record.relation(PRODUCT, ends, needed(fields, "relationType")?);
    Ok(record)
}
