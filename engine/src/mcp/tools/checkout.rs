//! The tool `memory_checkout`: a context for a question within a token budget.

use std::fmt::Write as _;

use engine_core::limits::{TOKEN_BUDGET_MIN, TOOL_ANSWER_BYTES_MAX};
use engine_core::parts::{ROOM, cost};
use engine_core::wire::{CheckoutAnswer, CheckoutRequest, Verdict};

use crate::mcp::schema;
use crate::mcp::tool::{Answer, Answering, Arguments, Effect, Output, Tool};
use crate::operations::Operations;
use crate::refusal::internal;

pub(super) const TOOL: Tool = Tool {
    name: "memory_checkout",
    title: "Memories for a prompt",
    description: "Packs the memories that match a question best into one text within a token budget, each with its \
        citation, ready to be read before answering. Use it at the start of a task, or when several memories together \
        may contain the answer; memory_search lists them one by one instead. Memories that must be included for every \
        question, such as rules and preferences, can be named by type or id. The answer reports how likely it is that \
        the context contains what was asked.",
    effect: Effect::Reads,
    input: schema::input::<CheckoutRequest>,
    output: Output::Text,
    call,
};

fn call(operations: Operations, arguments: Arguments) -> Answering {
    Box::pin(async move {
        let mut request: CheckoutRequest = arguments.read()?;
        let asked = request.token_budget;
        loop {
            let answer = operations.checkout(request.clone()).await?;
            let json = serde_json::to_string(&*answer).map_err(|fault| internal(&fault))?;
            if cost(&json) <= ROOM || answer.token_budget == TOKEN_BUDGET_MIN {
                let mut text = text(&answer);
                if request.token_budget != asked {
                    let _infallible = write!(
                        text,
                        "\n(The budget was lowered to {}: an answer has at most {TOOL_ANSWER_BYTES_MAX} bytes. Use memory_search and memory_get for the other memories.)",
                        answer.token_budget
                    );
                }
                return Answer::new(&*answer, text);
            }
            // The loop ends at the smallest budget at the latest.
            request.token_budget = Some((answer.token_budget / 2).max(TOKEN_BUDGET_MIN));
        }
    })
}

fn text(answer: &CheckoutAnswer) -> String {
    let mut text = match answer.context.as_str() {
        "" => "The context is empty.".to_owned(),
        context => context.trim_end().to_owned(),
    };
    let (tokens, budget) = (answer.tokens, answer.token_budget);
    let left = left_out(answer);
    let verdict = match answer.answerability.verdict {
        Verdict::Likely => "most of what was asked occurs in these memories",
        Verdict::Possible => "some of what was asked occurs in these memories",
        Verdict::Unlikely => {
            "hardly any of what was asked occurs in these memories: say that it is not known"
        }
    };
    let _infallible = write!(text, "\n\n({tokens} of {budget} tokens; {left}{verdict})");
    text
}

/// Returns the text about the memories that were left out. A memory with a score did not fit into the budget; a memory
/// without a score does not match the question well enough.
fn left_out(answer: &CheckoutAnswer) -> String {
    let fitting = answer.elided.iter().filter(|item| item.score > 0.0).count();
    let others = answer.elided.len() - fitting;
    let mut text = String::new();
    if fitting > 0 {
        let _infallible = write!(text, "did not fit: {fitting}; ");
    }
    if others > 0 {
        let _infallible =
            write!(text, "left out, since they match the question little or not at all: {others}; ");
    }
    text
}
