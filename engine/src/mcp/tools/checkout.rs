//! `memory_checkout`.

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
    description: "Packs the memories that fit a question best into one text within a budget of tokens, each with its citation, \
        ready to be read before answering. Use it at the start of a task, or when several memories together may hold the answer; \
        memory_search lists them one by one instead. What must be there whatever the question is, such as rules and preferences, \
        can be named by type or id. The answer says how likely it is that the context holds what was asked.",
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
                        "\n(The budget was lowered to {}: an answer has at most {TOOL_ANSWER_BYTES_MAX} bytes. memory_search and memory_get find the others.)",
                        answer.token_budget
                    );
                }
                return Answer::new(&*answer, text);
            }
            // Ends at the smallest budget there is.
            request.token_budget = Some((answer.token_budget / 2).max(TOKEN_BUDGET_MIN));
        }
    })
}

fn text(answer: &CheckoutAnswer) -> String {
    let mut text = match answer.context.as_str() {
        "" => "No memory fits.".to_owned(),
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

/// What is said of memories that were found and left out. Those without a score were not too long: they have nothing
/// to say.
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
