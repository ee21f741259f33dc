//! `/v1/entities`, `/v1/relations` and `/v1/graph`. Entities and relations have the shapes of the MCP server `memory`, so
//! that its clients find what they know.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{NAME_PATTERN, TEXT_PATTERN};
use crate::limits::{
    ENTITY_NAME_CHARS_MAX, GRAPH_BATCH_MAX, GRAPH_NODES_MAX, NAME_CHARS_MAX, OBSERVATION_CHARS_MAX,
    OBSERVATIONS_MAX, REASON_CHARS_MAX,
};

/// An entity and what was observed of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Its name, at most 256 characters: one entity in the project.
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Kind of entity.
    #[serde(rename = "entityType")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub entity_type: String,
    /// What was observed of it, oldest first.
    #[serde(deserialize_with = "super::object::or_default", default)]
    #[schemars(inner(length(min = 1, max = OBSERVATION_CHARS_MAX), regex(pattern = TEXT_PATTERN)))]
    pub observations: Vec<String>,
}

/// A relation between two entities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Name of the entity it starts from.
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub from: String,
    /// Name of the entity it leads to.
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub to: String,
    /// Kind of relation, in the active voice.
    #[serde(rename = "relationType")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub relation_type: String,
}

macro_rules! request {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)+
            /// What it belongs to; default `default`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
            pub project: Option<String>,
            /// The conversation it came from.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
            pub session: Option<String>,
            /// Who says so; default `anonymous`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
            pub actor: Option<String>,
        }
    };
}

request! {
    /// Body of `POST /v1/entities`. Entities whose names are there already are left as they are.
    CreateEntities {
        /// At most 500.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        entities: Vec<Entity>,
        /// Since when they are, and what was observed is true; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
    }
}

request! {
    /// Body of `POST /v1/entities/observations`. What is there already, word by word, is left as it is.
    AddObservations {
        /// At most 500.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        observations: Vec<NewObservations>,
        /// Since when they are true; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
    }
}

request! {
    /// Body of `POST /v1/relations`. Relations that are there already are left as they are.
    CreateRelations {
        /// At most 500.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        relations: Vec<Relation>,
        /// Since when they are true; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
    }
}

request! {
    /// Body of `POST /v1/entities/end`: these entities, their observations and relations are true no longer.
    EndEntities {
        /// At most 500 names; those that are not there are passed over.
        #[serde(rename = "entityNames")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX), inner(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
        entity_names: Vec<String>,
        /// First moment at which they are not any more; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
        reason: Option<String>,
    }
}

request! {
    /// Body of `POST /v1/entities/observations/end`: these observations are true no longer.
    EndObservations {
        /// At most 500; what is not there is passed over.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        deletions: Vec<ObservationDeletion>,
        /// First moment at which they are not true any more; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
        reason: Option<String>,
    }
}

request! {
    /// Body of `POST /v1/relations/end`: these relations are true no longer.
    EndRelations {
        /// At most 500; those that are not there are passed over.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        relations: Vec<Relation>,
        /// First moment at which they are not true any more; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
        reason: Option<String>,
    }
}

/// What is to be said about one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewObservations {
    /// Name of the entity, which has to be there.
    #[serde(rename = "entityName")]
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub entity_name: String,
    /// What was observed, at most 256 of 4,096 characters each.
    #[schemars(length(min = 1, max = OBSERVATIONS_MAX), inner(length(min = 1, max = OBSERVATION_CHARS_MAX), regex(pattern = TEXT_PATTERN)))]
    pub contents: Vec<String>,
}

/// What is not true any more of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationDeletion {
    /// Name of the entity.
    #[serde(rename = "entityName")]
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub entity_name: String,
    /// The observations, word by word.
    #[schemars(length(min = 1, max = OBSERVATIONS_MAX), inner(length(min = 1, max = OBSERVATION_CHARS_MAX), regex(pattern = TEXT_PATTERN)))]
    pub observations: Vec<String>,
}

/// Answer to `POST /v1/entities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntitiesCreated {
    /// Those that are new.
    pub entities: Vec<Entity>,
    /// Sequence number of the last event; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Answer to `POST /v1/relations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelationsCreated {
    /// Those that are new.
    pub relations: Vec<Relation>,
    /// Sequence number of the last event; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Answer to `POST /v1/entities/observations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObservationsAdded {
    /// For each entity what is new.
    pub results: Vec<AddedObservations>,
    /// Sequence number of the last event; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// What is new about one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddedObservations {
    /// Name of the entity.
    #[serde(rename = "entityName")]
    pub entity_name: String,
    /// What was not there yet.
    #[serde(rename = "addedObservations")]
    pub added_observations: Vec<String>,
}

/// Answer to what ends something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GraphEnded {
    /// Entities, observations or relations that have an end now.
    pub ended: u64,
    /// Sequence number of the last event; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Body of `POST /v1/graph/open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenNodes {
    /// Names of entities, at most 1,000; those that are not there are passed over.
    #[schemars(length(min = 1, max = GRAPH_NODES_MAX), inner(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub names: Vec<String>,
    /// What they belong to; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
}

/// Answer to `GET /v1/graph`, `GET /v1/graph/search` and `POST /v1/graph/open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GraphView {
    /// In the order of their names.
    pub entities: Vec<Entity>,
    /// Of the whole graph, those that start from an entity of this page; otherwise those that start from or lead to one.
    pub relations: Vec<Relation>,
    /// There are more: ask again with `after=` this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// Answer to `GET /v1/graph/neighbours`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NeighboursAnswer {
    /// Nearest first, at most 1,000.
    pub neighbours: Vec<Neighbour>,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// An entity and how far it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Relations between it and the nearest of those asked for, whichever way they lead.
    pub hops: u32,
}

/// Answer to `GET /v1/graph/memories`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NearMemories {
    /// Best first, then newest first.
    pub memories: Vec<NearMemory>,
    /// The answer reflects the log up to this event.
    pub applied_seq: u64,
}

/// A memory that is about something a question names, or about something near it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NearMemory {
    /// The memory's id.
    pub id: String,
    /// Sequence number of its event.
    pub seq: u64,
    /// Title, or empty.
    pub title: String,
    /// 1/(1 + relations between an entity the question names and the nearest one the memory is about).
    pub score: f64,
}
