//! Operations on entities, their observations and relations.

use engine_core::limits::{
    ENTITY_NAME_CHARS_MAX, GRAPH_DEPTH_MAX, GRAPH_NODES_DEFAULT, GRAPH_NODES_MAX, SEARCH_LIMIT_DEFAULT,
    SEARCH_LIMIT_MAX, SEARCH_LIMIT_MIN,
};
use engine_core::wire::patterns::NAME_PATTERN;
use engine_core::wire::{
    AddObservations, CreateEntities, CreateRelations, EndEntities, EndObservations, EndRelations,
    EntitiesCreated, ErrorCode, GraphEnded, GraphView, NearMemories, NeighboursAnswer, ObservationsAdded,
    OpenNodes, RelationsCreated,
};
use serde_json::{Value, json};

use super::super::operation::{ANY, BODY, CHECKED, Operation, Parameter, READ, REMEMBERS, WRITE};
use super::parameters::{
    AS_OF, KEY, KNOWN_AT, MIN_SEQ, OF_PROJECT, PROJECT, body, needed, ok, query, question, settled, written,
};

/// Listed in the order of the user guide.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation {
        method: "post",
        path: "/v1/entities",
        id: "createEntities",
        tag: "graph",
        summary: "Create entities",
        description: "Creates those entities whose names are new; existing ones are left unchanged.",
        parameters: &[KEY],
        body: body::<CreateEntities>(entities),
        answers: &[written::<EntitiesCreated>("The new ones"), settled::<EntitiesCreated>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ],
    },
    Operation {
        method: "post",
        path: "/v1/entities/end",
        id: "endEntities",
        tag: "graph",
        summary: "End entities",
        description: "Ends entities, with their observations and relations: they are no longer true.",
        parameters: &[KEY],
        body: body::<EndEntities>(ended_entities),
        answers: &[written::<GraphEnded>("How many ended"), settled::<GraphEnded>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ],
    },
    Operation {
        method: "post",
        path: "/v1/entities/observations",
        id: "addObservations",
        tag: "graph",
        summary: "Add observations",
        description: "Adds observations to existing entities.",
        parameters: &[KEY],
        body: body::<AddObservations>(observations),
        answers: &[
            written::<ObservationsAdded>("The new observations of each entity"),
            settled::<ObservationsAdded>(),
        ],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ, &[ErrorCode::EntityNotFound]],
    },
    Operation {
        method: "post",
        path: "/v1/entities/observations/end",
        id: "endObservations",
        tag: "graph",
        summary: "End observations",
        description: "Ends observations: they are no longer true.",
        parameters: &[KEY],
        body: body::<EndObservations>(ended_observations),
        answers: &[written::<GraphEnded>("How many ended"), settled::<GraphEnded>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ],
    },
    Operation {
        method: "post",
        path: "/v1/relations",
        id: "createRelations",
        tag: "graph",
        summary: "Create relations",
        description: "Creates relations between entities; existing ones are left unchanged.",
        parameters: &[KEY],
        body: body::<CreateRelations>(relations),
        answers: &[written::<RelationsCreated>("The new ones"), settled::<RelationsCreated>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ],
    },
    Operation {
        method: "post",
        path: "/v1/relations/end",
        id: "endRelations",
        tag: "graph",
        summary: "End relations",
        description: "Ends relations: they are no longer true.",
        parameters: &[KEY],
        body: body::<EndRelations>(relations),
        answers: &[written::<GraphEnded>("How many ended"), settled::<GraphEnded>()],
        refused_by: &[ANY, CHECKED, BODY, WRITE, READ],
    },
    Operation {
        method: "get",
        path: "/v1/graph",
        id: "readGraph",
        tag: "graph",
        summary: "Read the graph",
        description: "A page of the whole graph, ordered by name.",
        parameters: &[PROJECT, AFTER, LIMIT, AS_OF, KNOWN_AT, MIN_SEQ],
        body: None,
        answers: &[ok::<GraphView>("The page")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ, &[ErrorCode::AnswerTooLarge]],
    },
    Operation {
        method: "get",
        path: "/v1/graph/search",
        id: "searchGraph",
        tag: "graph",
        summary: "Search the graph",
        description: "Entities with a text in their name, type or observations; case is ignored.",
        parameters: &[TEXT, PROJECT, AFTER, LIMIT, AS_OF, KNOWN_AT, MIN_SEQ],
        body: None,
        answers: &[ok::<GraphView>("The entities found")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ, &[ErrorCode::AnswerTooLarge]],
    },
    Operation {
        method: "post",
        path: "/v1/graph/open",
        id: "openGraph",
        tag: "graph",
        summary: "Open entities",
        description: "Entities by their names, with their relations.",
        parameters: &[AS_OF, KNOWN_AT],
        body: body::<OpenNodes>(names),
        answers: &[ok::<GraphView>("The entities that exist")],
        refused_by: &[ANY, REMEMBERS, CHECKED, BODY, READ, &[ErrorCode::AnswerTooLarge]],
    },
    Operation {
        method: "get",
        path: "/v1/graph/neighbours",
        id: "readNeighbours",
        tag: "graph",
        summary: "Neighbours of an entity",
        description: "Entities within `depth` relations of one, in either direction.",
        parameters: &[NAME, PROJECT, DEPTH, AS_OF, KNOWN_AT, MIN_SEQ],
        body: None,
        answers: &[ok::<NeighboursAnswer>("The neighbours, nearest first")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ],
    },
    Operation {
        method: "get",
        path: "/v1/graph/memories",
        id: "readNearMemories",
        tag: "graph",
        summary: "Memories near the entities of a question",
        description: "Memories about the entities that the question names, or about entities near those.",
        parameters: &[
            TEXT,
            OF_PROJECT,
            DEPTH,
            query(
                "limit",
                "Maximum number of memories.",
                || json!({ "type": "integer", "minimum": SEARCH_LIMIT_MIN, "maximum": SEARCH_LIMIT_MAX, "default": SEARCH_LIMIT_DEFAULT }),
                || json!(10),
            ),
            AS_OF,
            KNOWN_AT,
            MIN_SEQ,
        ],
        body: None,
        answers: &[ok::<NearMemories>("The memories, best first")],
        refused_by: &[ANY, REMEMBERS, CHECKED, READ],
    },
];

const AFTER: Parameter = query(
    "after",
    "Start after this name: `next` of the previous page.",
    || json!({ "type": "string" }),
    || json!("a"),
);

const LIMIT: Parameter = query(
    "limit",
    "Maximum number of entities.",
    || json!({ "type": "integer", "minimum": 1, "maximum": GRAPH_NODES_MAX, "default": GRAPH_NODES_DEFAULT }),
    || json!(10),
);

const DEPTH: Parameter = query(
    "depth",
    "Maximum distance, in relations.",
    || json!({ "type": "integer", "minimum": 1, "maximum": GRAPH_DEPTH_MAX, "default": 1 }),
    || json!(2),
);

const TEXT: Parameter = needed("q", "The text to search for.", question, || json!("kettle"));

const NAME: Parameter = needed(
    "name",
    "Name of the entity.",
    || json!({ "type": "string", "minLength": 1, "maxLength": ENTITY_NAME_CHARS_MAX, "pattern": NAME_PATTERN }),
    || json!("kettle"),
);

fn entities() -> Value {
    json!({ "entities": [{ "name": "kettle", "entityType": "thing", "observations": ["is blue"] }], "project": "kitchen" })
}

fn ended_entities() -> Value {
    json!({ "entityNames": ["old kettle"], "reason": "thrown away", "project": "kitchen" })
}

fn observations() -> Value {
    json!({ "observations": [{ "entityName": "kettle", "contents": ["holds two litres"] }], "project": "kitchen" })
}

fn ended_observations() -> Value {
    json!({ "deletions": [{ "entityName": "kettle", "observations": ["is red"] }], "project": "kitchen" })
}

fn relations() -> Value {
    json!({ "relations": [{ "from": "kettle", "to": "kitchen", "relationType": "stands in" }], "project": "kitchen" })
}

fn names() -> Value {
    json!({ "names": ["kettle"], "project": "kitchen" })
}
