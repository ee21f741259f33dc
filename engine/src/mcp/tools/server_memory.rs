//! The tools of the MCP server `memory` by their own names, over the graph of one project. Clients and prompts that know
//! that server find here what they know: the same arguments, answers and annotations.

use engine_core::limits::{ANSWER_BYTES_MAX, GRAPH_NODES_MAX};
use engine_core::parts::{ROOM, cost};
use engine_core::wire::{
    AddObservations, AddedObservations, CreateEntities, CreateRelations, EndEntities, EndObservations,
    EndRelations, Entity, ErrorCode, GraphView, NewObservations, ObservationDeletion, OpenNodes, Relation,
};
use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::mcp::tool::{Answer, Arguments, Effect, Output, Tool};
use crate::operations::{Operations, SEQ_MAX};
use crate::projection::{Known, Moment};
use crate::refusal::{Refusal, internal};

/// Argument that says which project's graph it is. The server adds it; a client's own is replaced.
pub(in crate::mcp) const PROJECT: &str = "project";

/// All of them, in the order in which that server lists them.
pub(in crate::mcp) const TOOLS: &[&Tool] = &[
    &Tool {
        name: "create_entities",
        title: "Create entities",
        description: "Adds entities to the knowledge graph. One whose name is there already is left as it is.",
        effect: Effect::Adds,
        input: || object(json!({ "entities": list(&entity()) })),
        output: Output::Structured(|| answer(json!({ "entities": list(&closed(entity())) }))),
        call: |operations, arguments| Box::pin(create_entities(operations, arguments)),
    },
    &Tool {
        name: "create_relations",
        title: "Create relations",
        description: "Relates entities of the knowledge graph, from one to another, such as works_at. A relation that is there already is left as it is.",
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

/// An object all of whose properties are required.
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

/// A list of objects. That server passes over fields it does not know, and so do these.
fn taken<T: DeserializeOwned>(arguments: &mut Arguments, name: &str) -> Result<(Vec<T>, String), Refusal> {
    let taken = arguments.required(name)?;
    Ok((taken, arguments.required(PROJECT)?))
}

/// The answer as that server gives it: its text is JSON of a part of it, spread over lines.
fn told(structured: &impl Serialize, part: &impl Serialize) -> Result<Answer, Refusal> {
    let text = serde_json::to_string_pretty(part).map_err(|fault| internal(&fault))?;
    Answer::new(structured, text)
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
    // That server takes an empty list, and so do these.
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
    // An entity that has no type yet, for as long as it is counted.
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

/// A graph as that server answers it.
#[derive(Debug, Default, Serialize)]
struct KnowledgeGraph {
    entities: Vec<Entity>,
    relations: Vec<Relation>,
}

/// Where the next part of an answer begins: so many things behind the start of what there was after this event. A client gets it with
/// a part that is not the last and hands it back. The schemas, which are that server's, do not have it.
struct Cursor {
    through: u64,
    begins: usize,
}

/// Argument that holds one.
const CURSOR: &str = "cursor";

impl Cursor {
    fn taken(arguments: &mut Arguments, operations: &Operations) -> Result<Cursor, Refusal> {
        let Some(text) = arguments.take::<String>(CURSOR)? else {
            return Ok(Cursor { through: operations.head()?.seq, begins: 0 });
        };
        let read = text.split_once('-').and_then(|(through, begins)| {
            Some(Cursor { through: through.parse().ok()?, begins: begins.parse().ok()? })
        });
        let cursor = read.filter(|cursor| cursor.through <= SEQ_MAX);
        cursor.ok_or_else(|| {
            Refusal::new(ErrorCode::InvalidArgument, "cursor is none that a part of this answer came with")
                .hint("leave it out to begin at the start")
        })
    }

    /// The part that begins here, and what to do for the next one.
    fn answer(&self, found: KnowledgeGraph, tool: &str) -> Result<Answer, Refusal> {
        let Cursor { through, begins } = self;
        let (Part { shown, ends }, all) = part(found, *begins);
        let answer = told(&shown, &shown)?;
        if *begins == 0 && ends == all {
            return Ok(answer);
        }
        let next = match ends < all {
            true => format!(
                "Call {tool} again with the same arguments and \"cursor\": \"{through}-{ends}\" for the next part."
            ),
            false => "This is the last part.".to_owned(),
        };
        Ok(answer.note(format!(
            "PART of the graph: {begins} to {ends} of {all} entities, observations and relations. {next}"
        )))
    }
}

/// As much of a graph as an answer has room for, and behind how many of its things it ends.
struct Part {
    shown: KnowledgeGraph,
    ends: usize,
}

/// A part of a graph, counted in entities, observations and relations, and how many of those it has in all. An entity whose
/// observations are in two parts is in both.
fn part(found: KnowledgeGraph, begins: usize) -> (Part, usize) {
    let KnowledgeGraph { entities, relations } = found;
    let all = entities.iter().map(|it| 1 + it.observations.len()).sum::<usize>() + relations.len();
    let (mut shown, mut at, mut used) = (KnowledgeGraph::default(), 0, 0);
    let mut fits = |texts: &[&String], frame: usize| {
        used += 2 * texts.iter().map(|text| cost(text)).sum::<usize>() + frame;
        used <= ROOM
    };
    'entities: for Entity { name, entity_type, observations } in entities {
        let (first, last) = (at, at + observations.len());
        at = last + 1;
        if last < begins {
            continue;
        }
        if !fits(&[&name, &entity_type], ENTITY_FRAME) {
            return (Part { shown, ends: first.max(begins) }, all);
        }
        shown.entities.push(Entity { name, entity_type, observations: Vec::new() });
        for (place, observation) in (first + 1..).zip(observations) {
            if place < begins {
                continue;
            }
            if !fits(&[&observation], OBSERVATION_FRAME) {
                at = place;
                break 'entities;
            }
            if let Some(entity) = shown.entities.last_mut() {
                entity.observations.push(observation);
            }
        }
    }
    let entities_end = all - relations.len();
    if at < entities_end {
        return (Part { shown, ends: at }, all);
    }
    for (place, relation) in (entities_end..).zip(relations) {
        if place < begins {
            continue;
        }
        if !fits(&[&relation.from, &relation.to, &relation.relation_type], ENTITY_FRAME) {
            return (Part { shown, ends: place }, all);
        }
        shown.relations.push(relation);
    }
    (Part { shown, ends: all }, all)
}

/// Bytes around an entity or a relation, and around an observation, in both forms of an answer: names of fields, marks and blanks.
const ENTITY_FRAME: usize = 256;
const OBSERVATION_FRAME: usize = 32;

/// Says that what was done is not told in full.
fn shortened(answer: Answer, shown: usize, all: usize) -> Answer {
    match shown == all {
        true => answer,
        false => answer.note(format!(
            "Everything was written. This names {shown} of {all}, which is what an answer has room for; read the others with open_nodes."
        )),
    }
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
    // Every text has an empty one in it.
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
        let moment = operations.moment(None, Some(Known::Through(cursor.through)));
        let GraphView { entities, relations, .. } = operations.open_nodes(request, moment).await?;
        found = KnowledgeGraph { entities, relations };
    }
    cursor.answer(found, "open_nodes")
}

/// All pages of one state of the graph, or of what has a text in it, up to the size of any answer.
async fn pages(
    operations: &Operations,
    project: &str,
    query: Option<String>,
    through: u64,
) -> Result<KnowledgeGraph, Refusal> {
    let moment: Moment = operations.moment(None, Some(Known::Through(through)));
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
            return Err(Refusal::new(ErrorCode::AnswerTooLarge, "the graph is more than an answer may hold")
                .hint("search for a part of it with search_nodes, or open nodes by their names"));
        }
        found.entities.extend(entities);
        found.relations.extend(relations);
        after = next;
        if after.is_none() {
            break;
        }
    }
    // A relation between entities of two pages of a search stands in both.
    found.relations.sort();
    found.relations.dedup();
    Ok(found)
}

fn size(entity: &Entity) -> usize {
    entity.name.len() + entity.entity_type.len() + entity.observations.iter().map(String::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph() -> KnowledgeGraph {
        let entities = (0..40).map(|n| Entity {
            name: format!("entity {n}"),
            entity_type: "thing".into(),
            observations: (0..n * 7 % 23)
                .map(|m| format!("{m} of {n}: {}", "\"x\\\n\0é".repeat(n * 20)))
                .collect(),
        });
        let relation = |n| Relation {
            from: format!("entity {n}"),
            to: "entity 0".into(),
            relation_type: "is_near".into(),
        };
        KnowledgeGraph { entities: entities.collect(), relations: (0..600).map(relation).collect() }
    }

    #[test]
    fn parts_of_a_graph_put_together_are_the_graph() {
        let (mut whole, mut begins, mut parts) = (KnowledgeGraph::default(), 0, 0);
        loop {
            let cursor = Cursor { through: 7, begins };
            let answer = cursor.answer(graph(), "read_graph").unwrap();
            let bytes = answer.bytes();
            assert!(bytes <= ANSWER_OF_TOOL, "{bytes} bytes");
            let (Part { shown, ends }, all) = part(graph(), begins);
            assert!(ends > begins, "every part has something");
            for entity in shown.entities {
                match whole.entities.last_mut().filter(|last| last.name == entity.name) {
                    Some(last) => last.observations.extend(entity.observations),
                    None => whole.entities.push(entity),
                }
            }
            whole.relations.extend(shown.relations);
            (begins, parts) = (ends, parts + 1);
            if ends == all {
                break;
            }
        }
        assert!(parts > 3, "{parts}");
        assert_eq!((whole.entities, whole.relations), (graph().entities, graph().relations));
    }

    const ANSWER_OF_TOOL: usize = engine_core::limits::TOOL_ANSWER_BYTES_MAX;
}
