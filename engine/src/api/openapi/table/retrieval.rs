//! Operations that search memories, build contexts for prompts and set the ranking weights.

use engine_core::limits::{QUERY_CHARS_MAX, SEARCH_LIMIT_DEFAULT, SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN};
use engine_core::wire::{CheckoutAnswer, CheckoutRequest, SearchAnswer, SetWeights, WeightsSet, WeightsView};
use serde_json::{Value, json};

use super::super::operation::{ANY, BODY, CHECKED, Operation, Parameter, READ, WRITE};
use super::parameters::{
    AS_OF, KEY, KNOWN_AT, MIN_SEQ, OF_PROJECT, OF_SESSION, OF_TYPE, OFFSET, TAGS_ALL, TAGS_ANY, again, body,
    ok, query, written,
};

/// In the order of the user guide.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "get",
        path: "/v1/search",
        id: "searchMemories",
        tag: "retrieval",
        summary: "Search memories",
        description: "Finds memories, best first; without words it lists the newest.",
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
                "How many at most.",
                || json!({ "type": "integer", "minimum": SEARCH_LIMIT_MIN, "maximum": SEARCH_LIMIT_MAX, "default": SEARCH_LIMIT_DEFAULT }),
                || json!(10),
            ),
            OFFSET,
            AS_OF,
            KNOWN_AT,
            MIN_SEQ,
        ],
        body: None,
        answers: &[ok::<SearchAnswer>("What was found")],
        refused_by: &[ANY, CHECKED, READ],
    },
    Operation {
        method: "post",
        path: "/v1/checkout",
        id: "checkoutContext",
        tag: "retrieval",
        summary: "Memories for a prompt",
        description: "Packs memories into a text for a prompt within a budget of tokens, each with its citation: what has to go in, and what fits the query best.",
        parameters: &[],
        body: body::<CheckoutRequest>(prompt),
        answers: &[ok::<CheckoutAnswer>("The context, and what is in it")],
        refused_by: &[ANY, CHECKED, BODY, READ],
    },
    Operation {
        method: "get",
        path: "/v1/retrieval/weights",
        id: "readWeights",
        tag: "retrieval",
        summary: "Weights of features",
        description: "What each feature counts when memories are ranked.",
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
        description: "These weights and no others count from now on.",
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
        description: "The weights of the program count again.",
        parameters: &[],
        body: None,
        answers: &[written::<WeightsSet>("Reset")],
        refused_by: &[ANY, WRITE],
    },
];

const WORDS: Parameter = query(
    "q",
    "What to look for. Nothing in it is an operator.",
    || json!({ "type": "string", "maxLength": QUERY_CHARS_MAX }),
    || json!("blue kettle"),
);

const MODE: Parameter = query(
    "mode",
    "`hybrid`: by words, meaning and the structure memories were saved in. `lexical`: each of the words has to occur.",
    || json!({ "type": "string", "enum": ["hybrid", "lexical"], "default": "hybrid" }),
    || json!("hybrid"),
);

const EXPLAIN: Parameter = query(
    "explain",
    "Whether each memory comes with what every feature added to its score.",
    || json!({ "type": "boolean", "default": false }),
    || json!(true),
);

fn prompt() -> Value {
    json!({ "query": "What colour is the kettle?", "project": "kitchen", "token_budget": 500 })
}

fn weights() -> Value {
    json!({ "weights": { "lexical": 2.0, "static": 1.0 }, "reason": "an experiment" })
}
