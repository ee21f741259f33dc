//! Which scope each operation needs, and how it is bound to projects. The document, the guide and the tests use this
//! table.

use std::fmt::Write as _;

use super::Scope;

/// How an operation is bound to the projects of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The request names the project, or means the caller's only one.
    Named,
    /// The request names ids. Those of other projects do not exist for the caller.
    ById,
    /// It is about the log as a whole and has no texts.
    Log,
    /// It is about every project: only callers of every project may do it.
    Engine,
    /// It tells nothing about memories.
    Free,
}

impl Bound {
    /// The column of the guide.
    fn text(self) -> &'static str {
        match self {
            Bound::Named => "the named project",
            Bound::ById => "the projects of the ids",
            Bound::Log => "no project, no text",
            Bound::Engine => "every project (`*`)",
            Bound::Free => "no project",
        }
    }
}

/// One operation with its routes and tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationRow {
    /// What it does, for the guide.
    pub about: &'static str,
    /// Methods and paths of the API.
    pub routes: &'static [(&'static str, &'static str)],
    /// Names of MCP tools.
    pub tools: &'static [&'static str],
    /// What it needs; none if any caller may do it.
    pub scope: Option<Scope>,
    /// Where it may be done.
    pub bound: Bound,
}

const fn row(
    about: &'static str,
    scope: Option<Scope>,
    bound: Bound,
    routes: &'static [(&'static str, &'static str)],
    tools: &'static [&'static str],
) -> OperationRow {
    OperationRow { about, routes, tools, scope, bound }
}

const READ: Option<Scope> = Some(Scope::Read);
const WRITE: Option<Scope> = Some(Scope::Write);
const ADMIN: Option<Scope> = Some(Scope::Admin);

/// Every operation.
pub const OPERATIONS: &[OperationRow] = &[
    row(
        "save memories",
        WRITE,
        Bound::Named,
        &[("POST", "/v1/memories"), ("POST", "/v1/memories/batch")],
        &["memory_save"],
    ),
    row("save documents", WRITE, Bound::Named, &[("POST", "/v1/documents")], &[]),
    row("append events", WRITE, Bound::Named, &[("POST", "/v1/events")], &[]),
    row(
        "end a memory",
        WRITE,
        Bound::ById,
        &[("POST", "/v1/memories/{id}/invalidate")],
        &["memory_invalidate"],
    ),
    row("rate a memory", WRITE, Bound::ById, &[("POST", "/v1/feedback")], &["memory_feedback"]),
    row(
        "forget memories; a dry run needs `read` instead",
        WRITE,
        Bound::ById,
        &[("POST", "/v1/forget")],
        &["memory_forget"],
    ),
    row(
        "search, and build contexts",
        READ,
        Bound::Named,
        &[("GET", "/v1/search"), ("POST", "/v1/checkout")],
        &["memory_search", "memory_checkout", "memory_explain", "memory_as_of"],
    ),
    row(
        "read memories and their history",
        READ,
        Bound::ById,
        &[
            ("GET", "/v1/memories/{id}"),
            ("GET", "/v1/memories/{id}/history"),
            ("POST", "/v1/memories/entries"),
        ],
        &["memory_get"],
    ),
    row(
        "read timelines and events",
        READ,
        Bound::Named,
        &[("GET", "/v1/timeline"), ("GET", "/v1/events")],
        &["memory_timeline"],
    ),
    row("write items", WRITE, Bound::Named, &[("PUT", "/v1/items"), ("DELETE", "/v1/items")], &[]),
    row(
        "read items",
        READ,
        Bound::Named,
        &[
            ("GET", "/v1/items"),
            ("GET", "/v1/items/versions"),
            ("POST", "/v1/items/search"),
            ("POST", "/v1/items/namespaces"),
        ],
        &[],
    ),
    row(
        "write the graph",
        WRITE,
        Bound::Named,
        &[
            ("POST", "/v1/entities"),
            ("POST", "/v1/entities/end"),
            ("POST", "/v1/entities/observations"),
            ("POST", "/v1/entities/observations/end"),
            ("POST", "/v1/relations"),
            ("POST", "/v1/relations/end"),
        ],
        &[
            "create_entities",
            "create_relations",
            "add_observations",
            "delete_entities",
            "delete_observations",
            "delete_relations",
        ],
    ),
    row(
        "read the graph",
        READ,
        Bound::Named,
        &[
            ("GET", "/v1/graph"),
            ("GET", "/v1/graph/search"),
            ("POST", "/v1/graph/open"),
            ("GET", "/v1/graph/neighbours"),
            ("GET", "/v1/graph/memories"),
        ],
        &["read_graph", "search_nodes", "open_nodes"],
    ),
    row(
        "the memory tool; every command needs `read`, all but `view` need `write` too",
        WRITE,
        Bound::Named,
        &[("POST", "/v1/adapters/anthropic-memory")],
        &[],
    ),
    row(
        "write items of a store",
        WRITE,
        Bound::Named,
        &[("PUT", "/store/items"), ("DELETE", "/store/items")],
        &[],
    ),
    row(
        "read items of a store",
        READ,
        Bound::Named,
        &[("GET", "/store/items"), ("POST", "/store/items/search"), ("POST", "/store/namespaces")],
        &[],
    ),
    row(
        "head, checkpoints and consistency of the log",
        READ,
        Bound::Log,
        &[("GET", "/v1/log/head"), ("GET", "/v1/log/checkpoint"), ("GET", "/v1/log/consistency")],
        &[],
    ),
    row("proof of an event", READ, Bound::ById, &[("GET", "/v1/log/proof/{seq}")], &["memory_proof"]),
    row("read the ranking weights", READ, Bound::Log, &[("GET", "/v1/retrieval/weights")], &[]),
    row(
        "set the ranking weights",
        ADMIN,
        Bound::Engine,
        &[("PUT", "/v1/retrieval/weights"), ("DELETE", "/v1/retrieval/weights")],
        &[],
    ),
    row(
        "plan and apply retention",
        ADMIN,
        Bound::Engine,
        &[("POST", "/v1/retention/plan"), ("POST", "/v1/retention/apply")],
        &[],
    ),
    row("state of the engine", None, Bound::Free, &[], &["memory_status"]),
    row("description of the API", None, Bound::Free, &[("GET", "/v1/openapi.json")], &[]),
];

/// The table in Markdown.
#[must_use]
pub fn table() -> String {
    let mut text = "| operation | routes and tools | scope | bound to |\n|---|---|---|---|\n".to_owned();
    for OperationRow { about, routes, tools, scope, bound } in OPERATIONS {
        let routes = routes.iter().map(|(method, path)| format!("`{method} {path}`"));
        let tools = tools.iter().map(|tool| format!("`{tool}`"));
        let places = routes.chain(tools).collect::<Vec<_>>().join(", ");
        let scope = scope.map_or("any".to_owned(), |scope| format!("`{}`", scope.word()));
        let _infallible = writeln!(text, "| {about} | {places} | {scope} | {} |", bound.text());
    }
    text
}
