//! Splits graphs into parts, each of which fits into one result.

use engine_core::parts::{ROOM, cost};
use engine_core::wire::{Entity, ErrorCode};

use super::knowledge_graph::{KnowledgeGraph, told};
use crate::mcp::tool::{Answer, Arguments};
use crate::operations::{Operations, SEQ_MAX};
use crate::refusal::Refusal;

/// Where a part begins: the state of the graph after event `through`, and the number of entities, observations and
/// relations to skip. A client receives a cursor with every part except the last, and sends it back to get the next
/// part. The cursor is not in the schemas, because they must equal those of the MCP server `memory`.
pub(super) struct Cursor {
    pub(super) through: u64,
    begins: usize,
}

/// Argument with the cursor.
const CURSOR: &str = "cursor";

impl Cursor {
    pub(super) fn taken(arguments: &mut Arguments, operations: &Operations) -> Result<Cursor, Refusal> {
        let Some(text) = arguments.take::<String>(CURSOR)? else {
            return Ok(Cursor { through: operations.head()?.seq, begins: 0 });
        };
        let read = text.split_once('-').and_then(|(through, begins)| {
            Some(Cursor { through: through.parse().ok()?, begins: begins.parse().ok()? })
        });
        let cursor = read.filter(|cursor| cursor.through <= SEQ_MAX);
        cursor.ok_or_else(|| {
            Refusal::new(ErrorCode::InvalidArgument, "cursor is not one that this tool returned with a part")
                .hint("leave it out to begin at the start")
        })
    }

    /// Returns the part that begins at this cursor, with a note on how to get the next part.
    pub(super) fn answer(&self, found: KnowledgeGraph, tool: &str) -> Result<Answer, Refusal> {
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

/// The part of a graph that fits into a result, and the position after it.
pub(super) struct Part {
    pub(super) shown: KnowledgeGraph,
    ends: usize,
}

/// Returns the part of a graph that begins at a position, and the size of the whole graph. Positions and sizes count
/// entities, observations and relations. An entity whose observations are split over two parts is in both parts.
pub(super) fn part(found: KnowledgeGraph, begins: usize) -> (Part, usize) {
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

/// Overhead in bytes of an entity or a relation, and of an observation, in both forms of a result: field names,
/// punctuation and white space.
const ENTITY_FRAME: usize = 256;
const OBSERVATION_FRAME: usize = 32;

/// Adds a note if the result does not list everything that was written.
pub(super) fn shortened(answer: Answer, shown: usize, all: usize) -> Answer {
    match shown == all {
        true => answer,
        false => answer.note(format!(
            "Everything was written. This answer lists {shown} of {all} because it has no space for more; read the others with open_nodes."
        )),
    }
}

#[cfg(test)]
mod tests {
    use engine_core::wire::Relation;

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
