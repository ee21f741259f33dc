//! The type of a tool, and how its results are written. To add a tool, add a file in `tools` and an entry in
//! `tools::ALL`.

use std::pin::Pin;

use engine_core::arguments::CoercedArguments;
use engine_core::limits::TOOL_ANSWER_BYTES_MAX;
use engine_core::policy::scrubbed;
use engine_core::request::{Refused, idempotency_key, without_values};
use engine_core::wire::ErrorCode;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, ToolAnnotations};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::schema::{self, IDEMPOTENCY_KEY};
use crate::operations::{Operations, SentKey, bind};
use crate::refusal::{Refusal, internal};

/// One tool: its description for a model, and the operation that it calls.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Name of the tool. Programs and prompts use it, so it never changes.
    pub(super) name: &'static str,
    /// Title of the tool, for people.
    pub(super) title: &'static str,
    /// Description of what the tool does, when to use it, and what to use instead.
    pub(super) description: &'static str,
    pub(super) effect: Effect,
    /// JSON Schema of the tool's arguments.
    pub(super) input: fn() -> JsonObject,
    pub(super) output: Output,
    pub(super) call: fn(Operations, Arguments) -> Answering,
}

/// Form of the results of a tool.
#[derive(Debug, Clone, Copy)]
pub(super) enum Output {
    /// Ids and numbers: structured content that matches this JSON Schema, and a short text for a model.
    Structured(fn() -> JsonObject),
    /// Unstructured content only, as a text or as JSON; used for results with texts of memories. If a result also has
    /// structured content, some clients show a model only that, others only the unstructured content, and some both.
    /// Without structured content, every client shows a text exactly once.
    Text,
}

/// Argument that selects the form of a result without structured content: `text` or `json`.
const FORMAT: &str = "format";

/// Effect of a call on the memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The call changes nothing.
    Reads,
    /// The call adds to the memories.
    Adds,
    /// The call forgets memories, or makes reads no longer return them by default.
    Ends,
}

/// The future of a tool's result.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>;

/// A result in two forms: structured for programs, and a text for a model or a person.
#[derive(Debug)]
pub(super) struct Answer {
    structured: Value,
    text: String,
    /// A remark about the result, sent as separate content.
    note: Option<String>,
}

impl Answer {
    pub(super) fn new(structured: &impl Serialize, text: String) -> Result<Answer, Refusal> {
        let structured = serde_json::to_value(structured).map_err(|fault| internal(&fault))?;
        Ok(Answer { structured, text, note: None })
    }

    /// Adds a field to the structured form.
    pub(super) fn with(mut self, field: &str, value: Value) -> Answer {
        self.structured[field] = value;
        self
    }

    /// Adds a remark about the result.
    pub(super) fn note(self, note: String) -> Answer {
        Answer { note: Some(note), ..self }
    }

    /// Size of both forms of the result as sent, in bytes.
    #[cfg(test)]
    pub(super) fn bytes(self) -> usize {
        let result = self.into_result(Output::Structured(JsonObject::new), false);
        serde_json::to_vec(&result).map_or(0, |bytes| bytes.len())
    }

    fn into_result(self, output: Output, as_json: bool) -> CallToolResult {
        let Answer { structured, text, note } = self;
        let mut result = match output {
            Output::Text if as_json => {
                CallToolResult::success(vec![ContentBlock::text(structured.to_string())])
            }
            Output::Text => CallToolResult::success(vec![ContentBlock::text(text)]),
            Output::Structured(_) => {
                let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
                result.structured_content = Some(structured);
                result
            }
        };
        result.content.extend(note.map(ContentBlock::text));
        result
    }
}

/// Replaces a result that exceeds the limit of the protocol's clients with an error. Tools split long results
/// themselves; this check is only a safeguard.
fn bounded(result: CallToolResult) -> CallToolResult {
    let bytes = serde_json::to_vec(&result).map_or(usize::MAX, |bytes| bytes.len());
    if bytes <= TOOL_ANSWER_BYTES_MAX {
        return result;
    }
    let text = format!(
        "ANSWER_TOO_LARGE: the answer has {bytes} bytes; the limit is {TOOL_ANSWER_BYTES_MAX}\nrequest fewer results"
    );
    CallToolResult::error(vec![ContentBlock::text(text)])
}

/// Maximum number of ignored arguments that a result names, and maximum number of characters of each name.
const IGNORED_NAMED: usize = 8;
const IGNORED_CHARS: usize = 64;

/// Returns the remark about arguments that were ignored.
fn note(ignored: &[String]) -> String {
    let named = ignored.iter().take(IGNORED_NAMED);
    let named: Vec<String> = named.map(|name| name.chars().take(IGNORED_CHARS).collect()).collect();
    let more = if ignored.len() > IGNORED_NAMED { " and others" } else { "" };
    let named = named.join(", ");
    format!("Ignored, because this tool has no such arguments: {}{more}.", scrubbed(&named))
}

impl Tool {
    /// Calls the tool. If the operation returns an error, the error is returned as a result too, so that the model can
    /// read the reason and correct its call.
    pub(super) async fn run(&self, operations: Operations, arguments: CoercedArguments) -> CallToolResult {
        let CoercedArguments { mut arguments, ignored } = arguments;
        let as_json = match self.output {
            Output::Text => arguments.remove(FORMAT).is_some_and(|format| format == "json"),
            Output::Structured(_) => false,
        };
        let mut result = match (self.call)(operations, Arguments(arguments)).await {
            Ok(answer) => answer.into_result(self.output, as_json),
            Err(refusal) => {
                let body = refusal.into_body();
                let (code, message, hint) = (body.error.code.as_str(), &body.error.message, &body.error.hint);
                let text = format!("{code}: {message}\n{hint}");
                let mut result = CallToolResult::error(vec![ContentBlock::text(text.trim_end())]);
                result.structured_content = Some(json!(body));
                result
            }
        };
        if !ignored.is_empty() {
            result.content.push(ContentBlock::text(note(&ignored)));
        }
        bounded(result)
    }

    /// Calls a tool that another MCP server defines. An error is returned only as text, because its structured form
    /// would not match the output schema.
    pub(super) async fn run_as_given(
        &self,
        operations: Operations,
        arguments: CoercedArguments,
    ) -> CallToolResult {
        let CoercedArguments { arguments, .. } = arguments;
        match (self.call)(operations, Arguments(arguments)).await {
            Ok(answer) => bounded(answer.into_result(self.output, false)),
            Err(refusal) => CallToolResult::error(vec![ContentBlock::text(refusal.message())]),
        }
    }

    /// JSON Schema of the tool's arguments, including `format`, which this module handles.
    pub(super) fn arguments(&self) -> JsonObject {
        let schema = (self.input)();
        match self.output {
            Output::Structured(_) => schema,
            Output::Text => {
                let format = json!({
                    "type": "string", "enum": ["text", "json"],
                    "description": "Format of the answer: text for reading (default), or json for programs.",
                });
                schema::with_property(schema, FORMAT, format, false)
            }
        }
    }

    /// The entry of the tool in `tools/list`.
    pub(super) fn described(&self) -> rmcp::model::Tool {
        match self.output {
            Output::Structured(schema) => {
                self.described_as_given().with_raw_output_schema(schema::or_error(schema()).into())
            }
            Output::Text => self.described_as_given(),
        }
    }

    /// The entry of a tool that is defined by another MCP server, with its output schema unchanged.
    pub(super) fn described_as_given(&self) -> rmcp::model::Tool {
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(self.effect == Effect::Reads)
            .destructive(self.effect == Effect::Ends)
            .idempotent(self.effect != Effect::Adds)
            .open_world(false);
        let tool = rmcp::model::Tool::new(self.name, self.description, self.arguments())
            .with_title(self.title)
            .with_annotations(annotations);
        match self.output {
            Output::Structured(schema) => tool.with_raw_output_schema(schema().into()),
            Output::Text => tool,
        }
    }
}

/// The arguments of a call. A tool can take out single arguments and parse the rest into one type.
#[derive(Debug)]
pub(super) struct Arguments(JsonObject);

impl Arguments {
    /// Takes out an optional argument; `null` counts as absent.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let value = self.0.remove(name).filter(|value| !value.is_null());
        value.map(serde_json::from_value).transpose().map_err(|fault| not_valid(&format!("{name}: {fault}")))
    }

    /// Takes out a required argument.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Refusal> {
        self.take(name)?.ok_or_else(|| not_valid(&format!("missing field `{name}`")))
    }

    /// Parses the remaining arguments.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        serde_json::from_value(Value::Object(self.0)).map_err(|fault| not_valid(&fault.to_string()))
    }

    /// Parses the remaining arguments as a write request and its idempotency key. `path` is the path of the same
    /// request in the REST API.
    pub(super) fn write<T: DeserializeOwned + Serialize>(
        self,
        path: &str,
    ) -> Result<(T, Option<SentKey>), Refusal> {
        self.write_as::<T, T>(path)
    }

    /// Like [`Arguments::write`], for arguments of a type `A` that differs from the REST request `T`.
    pub(super) fn write_as<A: DeserializeOwned, T: Serialize + From<A>>(
        mut self,
        path: &str,
    ) -> Result<(T, Option<SentKey>), Refusal> {
        let key: Option<String> = self.take(IDEMPOTENCY_KEY)?;
        let key = key.map(|key| idempotency_key(key.as_bytes())).transpose()?;
        let request = T::from(self.read::<A>()?);
        let key = key.map(|key| bind(key, path, &request)).transpose()?;
        Ok((request, key))
    }
}

/// Maximum number of characters of a parser error that are returned. The error may quote the arguments.
const FAULT_CHARS_MAX: usize = 300;

fn not_valid(fault: &str) -> Refusal {
    let fault: String = in_words_of_json(&without_values(fault)).chars().take(FAULT_CHARS_MAX).collect();
    Refusal::new(ErrorCode::InvalidArgument, format!("the arguments are not valid: {fault}"))
        .hint("see the tool's input schema")
}

/// Replaces the Rust types in a parser error with the names of JSON types.
fn in_words_of_json(fault: &str) -> String {
    let Some((before, expected)) = fault.rsplit_once("expected ") else { return fault.to_owned() };
    let word = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" | "i8" | "i16" | "i32" | "i64" | "isize" => "an integer",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        expected if expected.starts_with("struct ") => "an object",
        expected => expected,
    };
    format!("{before}expected {word}")
}

/// Checks that an optional integer is within the bounds, which are inclusive.
pub(super) fn within(
    field: &'static str,
    value: Option<u64>,
    (min, max): (u64, u64),
) -> Result<Option<u64>, Refused> {
    match value {
        Some(value) if !(min..=max).contains(&value) => Err(Refused::Range { field, min, max }),
        value => Ok(value),
    }
}
