//! Operations that search memories, build contexts for prompts and set the ranking weights.

use engine_core::limits::{QUERY_CHARS_MAX, SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN};
use engine_core::wire::{CheckoutAnswer, CheckoutRequest, SearchAnswer, SetWeights, WeightsSet, WeightsView};
use serde_json::{Value, json};

use super::super::operation::{ANY, BODY, CHECKED, Operation, Parameter, READ, REMEMBERS, WRITE};
use super::parameters::{
    AS_OF, KEY, KNOWN_AT, MIN_SEQ, OF_PROJECT, OF_SESSION, OF_TYPE, OFFSET, TAGS_ALL, TAGS_ANY, again, body,
    ok, query, written,
};

/// Listed in the order of the user guide.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "get",
        path: "/v1/search",
        id: "searchMemories",
        tag: "retrieval",
        summary: "Search memories",
        description: "Finds memories, best first; without a query, lists the newest.",
        parameters: &[
            WORDS,
            OF_PROJECT,
            OF_TYPE,
            OF_SESSION,
            TAGS_ANY,
            TAGS_ALL,
            MODE,
            EXPLAIN,
            query(
                "limit",
                "Maximum number of memories.",
                || json!({ "type": "integer", "minimum": SEARCH_LIMIT_MIN, "maximum": SEARCH_LIMIT_MAX, "default": SEARCH_LIMIT_DEFAULT }),
                || json!(10),
            ),
            OFFSET,
            AS_OF,
            KNOWN_AT,
            MIN_SEQ,
        ],
        body: None,
        answers: &[ok::<SearchAnswer>("The memories found")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ],
    },
    Operation {
        method: "post",
        path: "/v1/checkout",
        id: "checkoutContext",
        tag: "retrieval",
        summary: "Build a context for a prompt",
        description: "Packs memories into a text for a prompt, within a budget of tokens, each with its citation: the mandatory ones, and those that match the query best.",
        parameters: &[],
        body: body::<CheckoutRequest>(prompt),
        answers: &[ok::<CheckoutAnswer>("The context, and what is in it")],
        refused_by: &[ANY, REMEMBERS, CHECKED, BODY, READ],
    },
    Operation {
        method: "get",
        path: "/v1/retrieval/weights",
        id: "readWeights",
        tag: "retrieval",
        summary: "Read the weights",
        description: "The weight of each feature in the ranking of memories.",
        parameters: &[],
        body: None,
        answers: &[ok::<WeightsView>("The weights and their version")],
        refused_by: &[ANY, READ],
    },
    Operation {
        method: "put",
        path: "/v1/retrieval/weights",
        id: "setWeights",
        tag: "retrieval",
        summary: "Set the weights",
        description: "Replaces all weights of the ranking, from now on.",
        parameters: &[KEY],
        body: body::<SetWeights>(weights),
        answers: &[written::<WeightsSet>("Set"), again::<WeightsSet>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE],
    },
    Operation {
        method: "delete",
        path: "/v1/retrieval/weights",
        id: "resetWeights",
        tag: "retrieval",
        summary: "Reset the weights",
        description: "Restores the built-in weights.",
        parameters: &[],
        body: None,
        answers: &[written::<WeightsSet>("Reset")],
        refused_by: &[ANY, WRITE],
    },
];

const WORDS: Parameter = query(
    "q",
    "The words to search for. There are no operators.",
    || json!({ "type": "string", "maxLength": QUERY_CHARS_MAX }),
    || json!("blue kettle"),
);

const MODE: Parameter = query(
    "mode",
    "`hybrid`: ranks by words, by meaning and by the structure in which memories were saved. `lexical`: every word has to occur.",
    || json!({ "type": "string", "enum": ["hybrid", "lexical"], "default": "hybrid" }),
    || json!("hybrid"),
);

const EXPLAIN: Parameter = query(
    "explain",
    "Whether the answer lists what each feature contributed to the score of each memory.",
    || json!({ "type": "boolean", "default": false }),
    || json!(true),
);

fn prompt() -> Value {
    json!({ "query": "What colour is the kettle?", "project": "kitchen", "token_budget": 500 })
}

fn weights() -> Value {
    json!({ "weights": { "lexical": 2.0, "static": 1.0 }, "reason": "an experiment" })
}
