//! The tools of the MCP server `memory` under their original names, on the graph of one project. Clients and prompts
//! written for that server can use them unchanged, because arguments, results and annotations are the same.
//!
//! ```text
//! knowledge_graph  the graph as these tools return it
//! part             answers in parts, with a cursor
//! ```

use engine_core::limits::{ANSWER_BYTES_MAX, GRAPH_NODES_MAX};
use engine_core::wire::{
    AddObservations, AddedObservations, CreateEntities, CreateRelations, EndEntities, EndObservations,
    EndRelations, Entity, ErrorCode, GraphView, NewObservations, ObservationDeletion, OpenNodes, Relation,
};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::mcp::tool::{Answer, Arguments, Effect, Output, Tool};
use crate::operations::Operations;
use crate::refusal::Refusal;
use engine_projection::{LogState, Moment};

mod knowledge_graph;
mod part;

use knowledge_graph::{KnowledgeGraph, told};
use part::{Cursor, Part, part, shortened};

/// Argument with the project of the graph. This server always sets it, and replaces a value sent by the client.
pub(in crate::mcp) const PROJECT: &str = "project";

/// All tools, in the order in which the MCP server `memory` lists them.
pub(in crate::mcp) const TOOLS: &[&Tool] = &[
    &Tool {
        name: "create_entities",
        title: "Create entities",
        description: "Adds entities to the knowledge graph. An entity whose name already exists is not changed.",
        effect: Effect::Adds,
        input: || object(json!({ "entities": list(&entity()) })),
        output: Output::Structured(|| answer(json!({ "entities": list(&closed(entity())) }))),
        call: |operations, arguments| Box::pin(create_entities(operations, arguments)),
    },
    &Tool {
        name: "create_relations",
        title: "Create relations",
        description: "Relates entities of the knowledge graph, from one to another, such as works_at. A relation that already exists is not changed.",
        effect: Effect::Adds,
        input: || object(json!({ "relations": list(&relation()) })),
        output: Output::Structured(|| answer(json!({ "relations": list(&closed(relation())) }))),
        call: |operations, arguments| Box::pin(create_relations(operations, arguments)),
    },
    &Tool {
        name: "add_observations",
        title: "Add observations",
        description: "Adds what was observed of entities that are in the knowledge graph. With an entity that is not there nothing is added.",
        effect: Effect::Adds,
        input: || {
            object(json!({ "observations": list(&record(json!({
                "entityName": text("Name of the entity they are about"),
                "contents": texts("What was observed, one fact each"),
            }))) }))
        },
        output: Output::Structured(|| {
            answer(json!({ "results": list(&closed(record(json!({
                "entityName": { "type": "string" },
                "addedObservations": { "type": "array", "items": { "type": "string" } },
            })))) }))
        }),
        call: |operations, arguments| Box::pin(add_observations(operations, arguments)),
    },
    &Tool {
        name: "delete_entities",
        title: "Delete entities",
        description: "Takes entities out of the knowledge graph, with their observations and their relations.",
        effect: Effect::Ends,
        input: || object(json!({ "entityNames": texts("Names of the entities") })),
        output: Output::Structured(success),
        call: |operations, arguments| Box::pin(delete_entities(operations, arguments)),
    },
    &Tool {
        name: "delete_observations",
        title: "Delete observations",
        description: "Takes observations out of the knowledge graph, word by word as they were added.",
        effect: Effect::Ends,
        input: || {
            object(json!({ "deletions": list(&record(json!({
                "entityName": text("Name of the entity they are about"),
                "observations": texts("The observations, word by word"),
            }))) }))
        },
        output: Output::Structured(success),
        call: |operations, arguments| Box::pin(delete_observations(operations, arguments)),
    },
    &Tool {
        name: "delete_relations",
        title: "Delete relations",
        description: "Takes relations out of the knowledge graph.",
        effect: Effect::Ends,
        input: || {
            let mut relations = list(&relation());
            relations["description"] = json!("The relations");
            object(json!({ "relations": relations }))
        },
        output: Output::Structured(success),
        call: |operations, arguments| Box::pin(delete_relations(operations, arguments)),
    },
    &Tool {
        name: "read_graph",
        title: "Read the graph",
        description: "Reads all of the knowledge graph.",
        effect: Effect::Reads,
        input: || object(json!({})),
        output: Output::Structured(graph),
        call: |operations, arguments| Box::pin(read_graph(operations, arguments)),
    },
    &Tool {
        name: "search_nodes",
        title: "Search the graph",
        description: "Finds entities of the knowledge graph that have a text in their name, type or observations, with the relations at them.",
        effect: Effect::Reads,
        input: || {
            let query = "Text to look for, whatever its case";
            object(json!({ "query": text(query) }))
        },
        output: Output::Structured(graph),
        call: |operations, arguments| Box::pin(search_nodes(operations, arguments)),
    },
    &Tool {
        name: "open_nodes",
        title: "Open entities",
        description: "Reads entities of the knowledge graph by their names, with the relations at them.",
        effect: Effect::Reads,
        input: || object(json!({ "names": texts("Names of the entities") })),
        output: Output::Structured(graph),
        call: |operations, arguments| Box::pin(open_nodes(operations, arguments)),
    },
];

const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

fn texts(description: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": description })
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// Schema of an object whose properties are all required.
fn record(properties: Value) -> Value {
    let names: Vec<&String> = properties.as_object().map(|it| it.keys().collect()).unwrap_or_default();
    let mut schema = json!({ "type": "object", "required": names });
    schema["properties"] = properties;
    schema
}

fn closed(mut record: Value) -> Value {
    record["additionalProperties"] = json!(false);
    record
}

fn entity() -> Value {
    record(json!({
        "name": text("Its name"),
        "entityType": text("Kind of entity"),
        "observations": texts("What was observed of it, one fact each"),
    }))
}

fn relation() -> Value {
    record(json!({
        "from": text("Name of the entity it starts from"),
        "to": text("Name of the entity it leads to"),
        "relationType": text("Kind of relation, in the active voice"),
    }))
}

fn object(properties: Value) -> JsonObject {
    let mut schema = record(properties).as_object().cloned().unwrap_or_default();
    schema.insert("$schema".to_owned(), json!(DIALECT));
    schema
        .retain(|name, value| name != "required" || value.as_array().is_some_and(|names| !names.is_empty()));
    schema
}

fn answer(properties: Value) -> JsonObject {
    let mut schema = object(properties);
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn success() -> JsonObject {
    answer(json!({ "success": { "type": "boolean" }, "message": { "type": "string" } }))
}

fn graph() -> JsonObject {
    answer(json!({ "entities": list(&closed(entity())), "relations": list(&closed(relation())) }))
}

/// Takes a list of objects and the project out of the arguments. Unknown fields are ignored, as in the MCP server
/// `memory`.
fn taken<T: DeserializeOwned>(arguments: &mut Arguments, name: &str) -> Result<(Vec<T>, String), Refusal> {
    let taken = arguments.required(name)?;
    Ok((taken, arguments.required(PROJECT)?))
}

fn done(message: &str) -> Result<Answer, Refusal> {
    Answer::new(&json!({ "success": true, "message": message }), message.to_owned())
}

/// An entity as a client sends it.
#[derive(Deserialize)]
struct SentEntity {
    name: String,
    #[serde(rename = "entityType")]
    entity_type: String,
    observations: Vec<String>,
}

async fn create_entities(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let (sent, project) = taken::<SentEntity>(&mut arguments, "entities")?;
    let entity =
        |it: SentEntity| Entity { name: it.name, entity_type: it.entity_type, observations: it.observations };
    let entities: Vec<Entity> = sent.into_iter().map(entity).collect();
    // An empty list is accepted, as in the MCP server `memory`.
    let created = match entities.is_empty() {
        true => Vec::new(),
        false => {
            let request = CreateEntities {
                entities,
                valid_from: None,
                project: Some(project),
                session: None,
                actor: None,
            };
            operations.create_entities(request, None).await?.answer.entities
        }
    };
    let all = created.len();
    let (Part { shown, .. }, _) = part(KnowledgeGraph { entities: created, relations: Vec::new() }, 0);
    let answer = told(&json!({ "entities": shown.entities }), &shown.entities)?;
    Ok(shortened(answer, shown.entities.len(), all))
}

/// A relation as a client sends it.
#[derive(Deserialize)]
struct SentRelation {
    from: String,
    to: String,
    #[serde(rename = "relationType")]
    relation_type: String,
}

fn sent_relations(arguments: &mut Arguments) -> Result<(Vec<Relation>, String), Refusal> {
    let (sent, project) = taken::<SentRelation>(arguments, "relations")?;
    let relation = |it: SentRelation| Relation { from: it.from, to: it.to, relation_type: it.relation_type };
    Ok((sent.into_iter().map(relation).collect(), project))
}

async fn create_relations(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let (relations, project) = sent_relations(&mut arguments)?;
    let created = match relations.is_empty() {
        true => Vec::new(),
        false => {
            let request = CreateRelations {
                relations,
                valid_from: None,
                project: Some(project),
                session: None,
                actor: None,
            };
            operations.create_relations(request, None).await?.answer.relations
        }
    };
    let all = created.len();
    let (Part { shown, .. }, _) = part(KnowledgeGraph { entities: Vec::new(), relations: created }, 0);
    let answer = told(&json!({ "relations": shown.relations }), &shown.relations)?;
    Ok(shortened(answer, shown.relations.len(), all))
}

/// Observations as a client sends them.
#[derive(Deserialize)]
struct SentObservations {
    #[serde(rename = "entityName")]
    entity_name: String,
    contents: Vec<String>,
}

async fn add_observations(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let (sent, project) = taken::<SentObservations>(&mut arguments, "observations")?;
    let new = |it: SentObservations| NewObservations { entity_name: it.entity_name, contents: it.contents };
    let observations: Vec<NewObservations> = sent.into_iter().map(new).collect();
    let results = match observations.is_empty() {
        true => Vec::new(),
        false => {
            let request = AddObservations {
                observations,
                valid_from: None,
                project: Some(project),
                session: None,
                actor: None,
            };
            operations.add_observations(request, None).await?.answer.results
        }
    };
    let all = results.len();
    // Temporary entities without a type. They are used only to compute how many results fit into an answer.
    let counted = |it: AddedObservations| Entity {
        name: it.entity_name,
        entity_type: String::new(),
        observations: it.added_observations,
    };
    let entities = results.into_iter().map(counted).collect();
    let (Part { shown, .. }, _) = part(KnowledgeGraph { entities, relations: Vec::new() }, 0);
    let added = |it: Entity| AddedObservations { entity_name: it.name, added_observations: it.observations };
    let results: Vec<AddedObservations> = shown.entities.into_iter().map(added).collect();
    let answer = told(&json!({ "results": results }), &results)?;
    Ok(shortened(answer, results.len(), all))
}

async fn delete_entities(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let (entity_names, project) = taken::<String>(&mut arguments, "entityNames")?;
    if !entity_names.is_empty() {
        let request = EndEntities {
            entity_names,
            valid_until: None,
            reason: None,
            project: Some(project),
            session: None,
            actor: None,
        };
        operations.end_entities(request, None).await?;
    }
    done("Entities deleted successfully")
}

/// Observations to delete, as a client sends them.
#[derive(Deserialize)]
struct SentDeletion {
    #[serde(rename = "entityName")]
    entity_name: String,
    observations: Vec<String>,
}

async fn delete_observations(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let (sent, project) = taken::<SentDeletion>(&mut arguments, "deletions")?;
    let deletion =
        |it: SentDeletion| ObservationDeletion { entity_name: it.entity_name, observations: it.observations };
    let deletions: Vec<ObservationDeletion> =
        sent.into_iter().filter(|it| !it.observations.is_empty()).map(deletion).collect();
    if !deletions.is_empty() {
        let request = EndObservations {
            deletions,
            valid_until: None,
            reason: None,
            project: Some(project),
            session: None,
            actor: None,
        };
        operations.end_observations(request, None).await?;
    }
    done("Observations deleted successfully")
}

async fn delete_relations(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let (relations, project) = sent_relations(&mut arguments)?;
    if !relations.is_empty() {
        let request = EndRelations {
            relations,
            valid_until: None,
            reason: None,
            project: Some(project),
            session: None,
            actor: None,
        };
        operations.end_relations(request, None).await?;
    }
    done("Relations deleted successfully")
}

async fn read_graph(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let project: String = arguments.required(PROJECT)?;
    let cursor = Cursor::taken(&mut arguments, &operations)?;
    let found = pages(&operations, &project, None, cursor.through).await?;
    cursor.answer(found, "read_graph")
}

async fn search_nodes(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let query: String = arguments.required("query")?;
    let project: String = arguments.required(PROJECT)?;
    // An empty query matches every entity, so the whole graph is read.
    let query = Some(query).filter(|query| !query.trim().is_empty());
    let cursor = Cursor::taken(&mut arguments, &operations)?;
    let found = pages(&operations, &project, query, cursor.through).await?;
    cursor.answer(found, "search_nodes")
}

async fn open_nodes(operations: Operations, mut arguments: Arguments) -> Result<Answer, Refusal> {
    let (names, project) = taken::<String>(&mut arguments, "names")?;
    let mut found = KnowledgeGraph::default();
    let cursor = Cursor::taken(&mut arguments, &operations)?;
    if !names.is_empty() {
        let request = OpenNodes { names, project: Some(project) };
        let moment = operations.moment(None, Some(LogState::Through(cursor.through)));
        let GraphView { entities, relations, .. } = operations.open_nodes(request, moment).await?;
        found = KnowledgeGraph { entities, relations };
    }
    cursor.answer(found, "open_nodes")
}

/// Reads all pages of one state of the graph, or of the entities that match a query, up to `ANSWER_BYTES_MAX` bytes.
async fn pages(
    operations: &Operations,
    project: &str,
    query: Option<String>,
    through: u64,
) -> Result<KnowledgeGraph, Refusal> {
    let moment: Moment = operations.moment(None, Some(LogState::Through(through)));
    let (mut found, mut after, mut bytes) = (KnowledgeGraph::default(), None, 0);
    loop {
        let (project, page) = (Some(project.to_owned()), (after, Some(GRAPH_NODES_MAX)));
        let GraphView { entities, relations, next, .. } = match query.clone() {
            Some(query) => operations.search_nodes(project, query, page, moment, None).await?,
            None => operations.read_graph(project, page.0, page.1, moment, None).await?,
        };
        bytes += entities.iter().map(size).sum::<usize>();
        bytes +=
            relations.iter().map(|it| it.from.len() + it.to.len() + it.relation_type.len()).sum::<usize>();
        if bytes > ANSWER_BYTES_MAX {
            return Err(Refusal::new(ErrorCode::AnswerTooLarge, "the graph is larger than an answer may be")
                .hint("read a part of it with search_nodes, or open nodes by their names"));
        }
        found.entities.extend(entities);
        found.relations.extend(relations);
        after = next;
        if after.is_none() {
            break;
        }
    }
    // A relation between entities on two pages of a search is on both pages, so duplicates are removed.
    found.relations.sort();
    found.relations.dedup();
    Ok(found)
}

fn size(entity: &Entity) -> usize {
    entity.name.len() + entity.entity_type.len() + entity.observations.iter().map(String::len).sum::<usize>()
}
