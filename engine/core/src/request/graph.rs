//! Validates requests on entities and relations.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{Refused, chars, count, name, named, size, words};
use crate::event::Draft;
use crate::limits::*;
use crate::wire::{
    AddObservations, CreateEntities, CreateRelations, EndEntities, EndObservations, EndRelations, Entity,
    NewObservations, ObservationDeletion, OpenNodes, Relation,
};
use crate::words::make_normal;

/// Attribution of graph events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Project that the events belong to.
    pub project: String,
    actor: String,
    session: Option<String>,
}

impl Author {
    fn new(
        project: Option<String>,
        actor: Option<String>,
        session: Option<String>,
    ) -> Result<Author, Refused> {
        Ok(Author {
            project: named("project", project, PROJECT_DEFAULT)?,
            actor: named("actor", actor, ACTOR_DEFAULT)?,
            session: session.map(|session| named("session", Some(session), "")).transpose()?,
        })
    }

    /// An event with this attribution.
    pub fn draft(&self, kind: &str, payload: &impl Serialize) -> Result<Draft, Refused> {
        let payload = serde_json::value::to_raw_value(payload).expect("strings and times are always JSON");
        size("an event", payload.get().len())?;
        Ok(Draft {
            kind: kind.into(),
            actor: self.actor.clone(),
            project: self.project.clone(),
            session: self.session.clone(),
            causes: Vec::new(),
            payload,
        })
    }
}

/// End of validity, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// First moment at which the entity, observation or relation is no longer valid; absent for the moment of the
    /// event.
    pub valid_until: Option<Timestamp>,
    /// Reason.
    pub reason: Option<String>,
}

impl Ends {
    fn new(valid_until: Option<Timestamp>, reason: Option<String>) -> Result<Ends, Refused> {
        if let Some(reason) = &reason {
            name("reason", reason, REASON_CHARS_MAX)?;
        }
        Ok(Ends { valid_until, reason })
    }
}

/// Validates entities to create. Of several entities with the same name, only the first is kept.
pub fn created_entities(request: CreateEntities) -> Result<(Author, Vec<Entity>), Refused> {
    count("entities", request.entities.len(), 1, GRAPH_BATCH_MAX)?;
    let mut seen = BTreeSet::new();
    let mut entities = Vec::new();
    for (i, mut entity) in request.entities.into_iter().enumerate() {
        let at = |field: &str| format!("entities[{i}].{field}");
        make_normal(&mut entity.name);
        make_normal(&mut entity.entity_type);
        name(&at("name"), &entity.name, ENTITY_NAME_CHARS_MAX)?;
        name(&at("entityType"), &entity.entity_type, NAME_CHARS_MAX)?;
        entity.observations = observations(&at("observations"), entity.observations, 0)?;
        if seen.insert(entity.name.clone()) {
            entities.push(entity);
        }
    }
    Ok((Author::new(request.project, request.actor, request.session)?, entities))
}

/// Validates observations to add.
pub fn added_observations(request: AddObservations) -> Result<(Author, Vec<NewObservations>), Refused> {
    count("observations", request.observations.len(), 1, GRAPH_BATCH_MAX)?;
    let mut added = Vec::new();
    for (i, mut new) in request.observations.into_iter().enumerate() {
        make_normal(&mut new.entity_name);
        name(&format!("observations[{i}].entityName"), &new.entity_name, ENTITY_NAME_CHARS_MAX)?;
        new.contents = observations(&format!("observations[{i}].contents"), new.contents, 1)?;
        added.push(new);
    }
    Ok((Author::new(request.project, request.actor, request.session)?, added))
}

/// Validates relations to create. Duplicates are removed.
pub fn created_relations(request: CreateRelations) -> Result<(Author, Vec<Relation>), Refused> {
    let relations = relations(request.relations)?;
    Ok((Author::new(request.project, request.actor, request.session)?, relations))
}

/// Validates entities to end. Duplicates are removed.
pub fn ended_entities(mut request: EndEntities) -> Result<(Author, Vec<String>, Ends), Refused> {
    count("entityNames", request.entity_names.len(), 1, GRAPH_BATCH_MAX)?;
    for (i, entity) in request.entity_names.iter_mut().enumerate() {
        make_normal(entity);
        name(&format!("entityNames[{i}]"), entity, ENTITY_NAME_CHARS_MAX)?;
    }
    let names = once(request.entity_names);
    let author = Author::new(request.project, request.actor, request.session)?;
    Ok((author, names, Ends::new(request.valid_until, request.reason)?))
}

/// Validates observations to end.
pub fn ended_observations(
    request: EndObservations,
) -> Result<(Author, Vec<ObservationDeletion>, Ends), Refused> {
    count("deletions", request.deletions.len(), 1, GRAPH_BATCH_MAX)?;
    let mut ended = Vec::new();
    for (i, mut deletion) in request.deletions.into_iter().enumerate() {
        make_normal(&mut deletion.entity_name);
        name(&format!("deletions[{i}].entityName"), &deletion.entity_name, ENTITY_NAME_CHARS_MAX)?;
        deletion.observations =
            observations(&format!("deletions[{i}].observations"), deletion.observations, 1)?;
        ended.push(deletion);
    }
    let author = Author::new(request.project, request.actor, request.session)?;
    Ok((author, ended, Ends::new(request.valid_until, request.reason)?))
}

/// Validates relations to end. Duplicates are removed.
pub fn ended_relations(request: EndRelations) -> Result<(Author, Vec<Relation>, Ends), Refused> {
    let relations = relations(request.relations)?;
    let author = Author::new(request.project, request.actor, request.session)?;
    Ok((author, relations, Ends::new(request.valid_until, request.reason)?))
}

/// Validates names to look up. Returns the project and the names without duplicates.
pub fn opened_names(mut request: OpenNodes) -> Result<(String, Vec<String>), Refused> {
    count("names", request.names.len(), 1, GRAPH_NODES_MAX as usize)?;
    for (i, entity) in request.names.iter_mut().enumerate() {
        make_normal(entity);
        name(&format!("names[{i}]"), entity, ENTITY_NAME_CHARS_MAX)?;
    }
    Ok((named("project", request.project, PROJECT_DEFAULT)?, once(request.names)))
}

/// Validates an entity name from a URL.
pub fn entity_name(field: &str, value: &str) -> Result<(), Refused> {
    name(field, value, ENTITY_NAME_CHARS_MAX)
}

/// Validates a search text for entities.
pub fn graph_question(q: &str) -> Result<(), Refused> {
    if q.trim().is_empty() {
        return Err(Refused::Empty("q".into()));
    }
    words(q)
}

fn relations(mut relations: Vec<Relation>) -> Result<Vec<Relation>, Refused> {
    count("relations", relations.len(), 1, GRAPH_BATCH_MAX)?;
    for (i, relation) in relations.iter_mut().enumerate() {
        [&mut relation.from, &mut relation.to, &mut relation.relation_type].into_iter().for_each(make_normal);
        let at = |field: &str| format!("relations[{i}].{field}");
        name(&at("from"), &relation.from, ENTITY_NAME_CHARS_MAX)?;
        name(&at("to"), &relation.to, ENTITY_NAME_CHARS_MAX)?;
        name(&at("relationType"), &relation.relation_type, NAME_CHARS_MAX)?;
    }
    Ok(once(relations))
}

/// Validates observations, which may have several lines, and removes duplicates.
fn observations(field: &str, observations: Vec<String>, min: usize) -> Result<Vec<String>, Refused> {
    count(field, observations.len(), min, OBSERVATIONS_MAX)?;
    for (i, observation) in observations.iter().enumerate() {
        let field = format!("{field}[{i}]");
        if observation.trim().is_empty() {
            return Err(Refused::Empty(field));
        }
        chars(&field, observation, OBSERVATION_CHARS_MAX)?;
    }
    Ok(once(observations))
}

fn once<T: Clone + Ord>(all: Vec<T>) -> Vec<T> {
    let mut seen = BTreeSet::new();
    all.into_iter().filter(|one| seen.insert(one.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::request::parse;

    fn create(request: &Value) -> Result<(Author, Vec<Entity>), Refused> {
        created_entities(parse(request.to_string().as_bytes())?)
    }

    #[test]
    fn what_is_said_twice_is_left_once() {
        let entity = |name: &str, kind: &str| json!({"name": name, "entityType": kind, "observations": ["a", "b", "a"]});
        let (author, entities) =
            create(&json!({"entities": [entity("x", "one"), entity("x", "two")], "actor": "me"})).unwrap();
        assert_eq!((author.project.as_str(), author.actor.as_str()), ("default", "me"));
        assert_eq!(entities.len(), 1);
        assert_eq!((entities[0].entity_type.as_str(), entities[0].observations.len()), ("one", 2));
        let relation = json!({"from": "a", "to": "b", "relationType": "knows"});
        let request = json!({"relations": [relation, relation]}).to_string();
        assert_eq!(created_relations(parse(request.as_bytes()).unwrap()).unwrap().1.len(), 1);
    }

    #[test]
    fn what_breaks_a_rule_is_refused_by_name() {
        let one = |entity: Value| create(&json!({"entities": [entity]}));
        let named = |name: String| one(json!({"name": name, "entityType": "t"}));
        assert!(named("é".repeat(256)).is_ok());
        let observed =
            |observations: Value| one(json!({"name": "n", "entityType": "t", "observations": observations}));
        assert!(observed(json!(["two\nlines"])).is_ok());
        let refused = [
            (named("é".repeat(257)), "entities[0].name has 257 characters"),
            (named(" ".into()), "entities[0].name must not be empty"),
            (named("a\nb".into()), "entities[0].name must not have control characters"),
            (one(json!({"name": "n", "entityType": ""})), "entities[0].entityType must not be empty"),
            (one(json!({"name": "n", "type": "t"})), "unknown field"),
            (observed(json!([""])), "entities[0].observations[0] must not be empty"),
            (observed(json!(["x".repeat(4097)])), "entities[0].observations[0] has 4097 characters"),
            (observed(json!(vec!["x"; 257])), "entities[0].observations has 257 items"),
            (create(&json!({"entities": []})), "entities has 0 items"),
        ];
        for (found, message) in refused {
            let fault = found.unwrap_err().to_string();
            assert!(fault.contains(message), "{fault}, not {message}");
        }
    }
}
