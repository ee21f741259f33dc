//! The tools of the MCP server, one file each.
//!
//! ```text
//! search      memory_search: finds memories that are valid now
//! save        memory_save: saves one memory
//! get         memory_get: reads one memory, in parts if it is long
//! checkout    memory_checkout: packs memories into one text within a token budget
//! invalidate  memory_invalidate: ends the validity of a memory
//! as_of       memory_as_of: reads and searches as of another time
//! timeline    memory_timeline: lists the memories around a memory, an event or a time
//! explain     memory_explain: explains a ranking
//! feedback    memory_feedback: records how useful a memory was
//! forget      memory_forget: removes memories permanently
//! proof       memory_proof: returns a receipt for an event of the log
//! status      memory_status: reports the state of the engine
//! server_memory  the tools of the MCP server `memory`, if they are enabled
//! ```

mod as_of;
mod checkout;
mod explain;
mod feedback;
mod forget;
mod get;
mod invalidate;
mod proof;
mod save;
mod search;
pub(super) mod server_memory;
mod status;
mod timeline;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use engine_core::arguments::{CoercedArguments, fitted};
use rmcp::model::JsonObject;
use serde_json::Value;

use super::tool::Tool;

/// All tools in the order in which clients see them; the most used tool is first.
pub(super) const ALL: &[&Tool] = &[
    &search::TOOL,
    &save::TOOL,
    &get::TOOL,
    &checkout::TOOL,
    &invalidate::TOOL,
    &as_of::TOOL,
    &timeline::TOOL,
    &explain::TOOL,
    &feedback::TOOL,
    &forget::TOOL,
    &proof::TOOL,
    &status::TOOL,
];

/// Schemas of arguments by tool name, generated once.
static INPUTS: LazyLock<BTreeMap<&str, Value>> = LazyLock::new(|| {
    let tools = ALL.iter().chain(server_memory::TOOLS);
    tools.map(|tool| (tool.name, Value::Object(tool.arguments()))).collect()
});

/// Converts the arguments of a call to the types of the tool's schema, because models and clients write the same value
/// in different ways.
pub(super) fn fitted_arguments(tool: &Tool, arguments: JsonObject) -> CoercedArguments {
    match INPUTS.get(tool.name) {
        Some(schema) => fitted(schema, arguments),
        None => CoercedArguments { arguments, ignored: Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use engine_core::access::OPERATIONS;
    use serde_json::{Value, json};

    use super::*;
    use crate::mcp::tool::{Effect, Output};

    #[test]
    fn tools_are_described_in_full() {
        let names: BTreeSet<&str> = ALL.iter().map(|tool| tool.name).collect();
        assert_eq!(names.len(), ALL.len(), "duplicate name");
        for tool in ALL {
            let shown = serde_json::to_value(tool.described()).unwrap();
            let name = tool.name;
            assert!(name.starts_with("memory_"), "{name}");
            assert!(!tool.title.is_empty() && tool.description.len() > 80, "{name}");
            let structured = matches!(tool.output, Output::Structured(_));
            assert_eq!(shown["outputSchema"].is_object(), structured, "{name}");
            for schema in
                ["inputSchema", "outputSchema"].into_iter().filter(|field| shown[*field].is_object())
            {
                assert_eq!(shown[schema]["type"], "object", "{name}");
                assert!(!shown[schema].to_string().contains("$ref"), "{name}: {schema} refers");
            }
            let properties = shown["inputSchema"]["properties"].as_object().unwrap();
            let undescribed = properties.iter().filter(|(_, property)| property["description"].is_null());
            assert_eq!(undescribed.count(), 0, "{name}: {properties:?}");
            assert_eq!(shown["inputSchema"]["additionalProperties"], json!(false), "{name}");
            let writes = properties.contains_key("idempotency_key");
            assert_eq!(writes, tool.effect != Effect::Reads, "{name}");
            assert_eq!(shown["annotations"]["readOnlyHint"], json!(!writes), "{name}");
            assert_eq!(shown["annotations"]["openWorldHint"], json!(false), "{name}");
        }
    }

    /// With many tools, models choose the right tool less often.
    #[test]
    fn there_are_not_too_many_tools() {
        assert!((8..=12).contains(&ALL.len()), "{}", ALL.len());
    }

    /// Returns the schema without descriptions and with `required` sorted.
    fn shape(mut schema: Value) -> Value {
        if let Some(fields) = schema.as_object_mut() {
            fields.retain(|name, value| name != "description" || !value.is_string());
            if let Some(Value::Array(names)) = fields.get_mut("required") {
                names.sort_by_key(ToString::to_string);
            }
            fields.values_mut().for_each(|value| *value = shape(value.take()));
        }
        schema
    }

    /// `server_memory.json` is the response of version 2026.8.31 of the MCP server `memory` to `tools/list`.
    #[test]
    fn the_tools_of_server_memory_have_its_shapes() {
        let theirs: Vec<Value> = serde_json::from_str(include_str!("server_memory.json")).unwrap();
        let ours: Vec<Value> =
            server_memory::TOOLS.iter().map(|tool| json!(tool.described_as_given())).collect();
        assert_eq!((ours.len(), theirs.len()), (9, 9));
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            assert_eq!(ours["name"], theirs["name"]);
            for field in ["inputSchema", "outputSchema"] {
                assert_eq!(shape(ours[field].clone()), theirs[field], "{}: {field}", theirs["name"]);
            }
            for (hint, value) in theirs["annotations"].as_object().unwrap() {
                assert_eq!(&ours["annotations"][hint], value, "{}: {hint}", theirs["name"]);
            }
        }
    }

    #[test]
    fn every_tool_has_its_row_in_the_table_of_scopes() {
        let mut listed: Vec<&str> = OPERATIONS.iter().flat_map(|row| row.tools).copied().collect();
        let mut tools: Vec<&str> = ALL.iter().chain(server_memory::TOOLS).map(|tool| tool.name).collect();
        listed.sort_unstable();
        tools.sort_unstable();
        assert_eq!(listed, tools, "each once");
    }

    #[test]
    fn every_tool_is_in_the_guide() {
        let guide = include_str!("../../../../docs/guide/mcp.md");
        let rows = guide.lines().filter_map(|line| line.strip_prefix("| `memory_")?.split_once('`'));
        let rows: Vec<String> = rows.map(|(name, _)| format!("memory_{name}")).collect();
        assert_eq!(rows, ALL.iter().map(|tool| tool.name).collect::<Vec<_>>());
    }

    #[test]
    fn an_error_fits_every_output_schema() {
        for tool in ALL.iter().filter(|tool| matches!(tool.output, Output::Structured(_))) {
            let schema = serde_json::to_value(tool.described()).unwrap()["outputSchema"].take();
            assert_eq!(schema["required"], Value::Null, "{}", tool.name);
            assert_eq!(schema["anyOf"][1]["required"], json!(["error"]), "{}", tool.name);
            assert_eq!(schema["properties"]["error"]["type"], "object", "{}", tool.name);
        }
    }
}
