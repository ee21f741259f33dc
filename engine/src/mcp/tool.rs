//! What a tool is. Adding one is a file in `tools` and its entry in `tools::ALL`.

use std::pin::Pin;

use engine_core::request::{Refused, idempotency_key};
use engine_core::wire::ErrorCode;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, ToolAnnotations};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::schema;
use crate::operations::{Operations, SentKey, bind};
use crate::refusal::{Refusal, internal};

/// One tool: how it is described to a model, and the operation behind it.
#[derive(Debug)]
pub(crate) struct Tool {
    /// Its name; programs and prompts call it by this, so it never changes.
    pub(super) name: &'static str,
    /// The same for a person.
    pub(super) title: &'static str,
    /// What it does, when to use it, what to use instead.
    pub(super) description: &'static str,
    pub(super) effect: Effect,
    /// JSON Schema of its arguments.
    pub(super) input: fn() -> JsonObject,
    /// JSON Schema of its answer, without errors.
    pub(super) output: fn() -> JsonObject,
    pub(super) call: fn(Operations, Arguments) -> Answering,
}

/// What a call does to the memories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Reads,
    /// It adds to them.
    Adds,
    /// Something is shown no longer by default; what was saved stays in the log.
    Ends,
}

/// An answer that is under way.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Answer, Refusal>> + Send>>;

/// An answer twice: for programs, and in a few lines for a model or a person.
#[derive(Debug)]
pub(super) struct Answer {
    structured: Value,
    text: String,
}

impl Answer {
    pub(super) fn new(structured: &impl Serialize, text: String) -> Result<Answer, Refusal> {
        let structured = serde_json::to_value(structured).map_err(|fault| internal(&fault))?;
        Ok(Answer { structured, text })
    }

    fn into_result(self) -> CallToolResult {
        let mut result = CallToolResult::success(vec![ContentBlock::text(self.text)]);
        result.structured_content = Some(self.structured);
        result
    }
}

impl Tool {
    /// Calls it. What the operation refuses is an answer too: the model reads the reason and may correct itself.
    pub(super) async fn run(&self, operations: Operations, arguments: JsonObject) -> CallToolResult {
        match (self.call)(operations, Arguments(arguments)).await {
            Ok(answer) => answer.into_result(),
            Err(refusal) => {
                let body = refusal.into_body();
                let (code, message, hint) = (body.error.code.as_str(), &body.error.message, &body.error.hint);
                let text = format!("{code}: {message}\n{hint}");
                let mut result = CallToolResult::error(vec![ContentBlock::text(text.trim_end())]);
                result.structured_content = Some(json!(body));
                result
            }
        }
    }

    /// Calls it as a tool of somebody else's: a refusal is a text alone, which fits any output schema.
    pub(super) async fn run_as_given(&self, operations: Operations, arguments: JsonObject) -> CallToolResult {
        match (self.call)(operations, Arguments(arguments)).await {
            Ok(answer) => answer.into_result(),
            Err(refusal) => CallToolResult::error(vec![ContentBlock::text(refusal.message())]),
        }
    }

    /// As `tools/list` shows it.
    pub(super) fn described(&self) -> rmcp::model::Tool {
        self.described_as_given().with_raw_output_schema(schema::or_error((self.output)()).into())
    }

    /// The same of a tool of somebody else's, whose output schema stays what it is.
    pub(super) fn described_as_given(&self) -> rmcp::model::Tool {
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(self.effect == Effect::Reads)
            .destructive(self.effect == Effect::Ends)
            .idempotent(self.effect != Effect::Adds)
            .open_world(false);
        rmcp::model::Tool::new(self.name, self.description, (self.input)())
            .with_title(self.title)
            .with_raw_output_schema((self.output)().into())
            .with_annotations(annotations)
    }
}

/// The arguments of a call, to be taken out one by one or read as a whole.
#[derive(Debug)]
pub(super) struct Arguments(JsonObject);

impl Arguments {
    /// Takes one argument out; `null` is the same as none.
    pub(super) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Refusal> {
        let value = self.0.remove(name).filter(|value| !value.is_null());
        value.map(serde_json::from_value).transpose().map_err(|fault| not_valid(&format!("{name}: {fault}")))
    }

    /// Takes one argument out that must be there.
    pub(super) fn required<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, Refusal> {
        self.take(name)?.ok_or_else(|| not_valid(&format!("missing field `{name}`")))
    }

    /// Reads the others.
    pub(super) fn read<T: DeserializeOwned>(self) -> Result<T, Refusal> {
        serde_json::from_value(Value::Object(self.0)).map_err(|fault| not_valid(&fault.to_string()))
    }

    /// Reads the others as a request that writes, and its idempotency key. `path` is where REST takes the same request.
    pub(super) fn write<T: DeserializeOwned + Serialize>(
        self,
        path: &str,
    ) -> Result<(T, Option<SentKey>), Refusal> {
        self.write_as::<T, T>(path)
    }

    /// The same with arguments that are not the request as REST has it.
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

/// Argument of every tool that writes.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency_key";

fn not_valid(fault: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidArgument, format!("the arguments are not valid: {fault}"))
        .hint("see the tool's input schema")
}

/// A whole number within bounds.
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
