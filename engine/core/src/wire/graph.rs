//! `/v1/entities`, `/v1/relations` and `/v1/graph`. Entities and relations have the JSON shapes of the MCP server
//! `memory`, so that its clients work unchanged.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::patterns::{NAME_PATTERN, TEXT_PATTERN};
use crate::limits::{
    ENTITY_NAME_CHARS_MAX, GRAPH_BATCH_MAX, GRAPH_NODES_MAX, NAME_CHARS_MAX, OBSERVATION_CHARS_MAX,
    OBSERVATIONS_MAX, REASON_CHARS_MAX,
};

/// An entity and its observations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Entity {
    /// Name of the entity, at most 256 characters; unique in the project.
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Type of the entity, at most 64 characters.
    #[serde(rename = "entityType")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub entity_type: String,
    /// Observations about the entity, oldest first; each at most 4,096 characters.
    #[serde(deserialize_with = "super::object::or_default", default)]
    #[schemars(inner(length(min = 1, max = OBSERVATION_CHARS_MAX), regex(pattern = TEXT_PATTERN)))]
    pub observations: Vec<String>,
}

/// A directed relation between two entities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// Name of the source entity.
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub from: String,
    /// Name of the target entity.
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub to: String,
    /// Type of the relation in the active voice, such as `works at`; at most 64 characters.
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
            /// Project; default `default`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
            pub project: Option<String>,
            /// Session the request belongs to.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
            pub session: Option<String>,
            /// Actor that sends the request; default `anonymous`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
            pub actor: Option<String>,
        }
    };
}

request! {
    /// Body of `POST /v1/entities`. Entities whose names exist already are left unchanged.
    CreateEntities {
        /// The entities to create, 1 to 500.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        entities: Vec<Entity>,
        /// Start of validity of the entities and their observations; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
    }
}

request! {
    /// Body of `POST /v1/entities/observations`. Observations that exist already with exactly the same text are left
    /// unchanged.
    AddObservations {
        /// The observations to add, for 1 to 500 entities.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        observations: Vec<NewObservations>,
        /// Start of validity of the observations; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
    }
}

request! {
    /// Body of `POST /v1/relations`. Relations that exist already are left unchanged.
    CreateRelations {
        /// The relations to create, 1 to 500.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        relations: Vec<Relation>,
        /// Start of validity of the relations; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_from: Option<Timestamp>,
    }
}

request! {
    /// Body of `POST /v1/entities/end`: ends the validity of entities, their observations and their relations.
    EndEntities {
        /// Names of the entities, 1 to 500; unknown names are ignored.
        #[serde(rename = "entityNames")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX), inner(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
        entity_names: Vec<String>,
        /// First moment at which they are no longer valid; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        /// Reason, at most 1,000 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
        reason: Option<String>,
    }
}

request! {
    /// Body of `POST /v1/entities/observations/end`: ends the validity of observations.
    EndObservations {
        /// The observations to end, for 1 to 500 entities; unknown ones are ignored.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        deletions: Vec<ObservationDeletion>,
        /// First moment at which they are no longer valid; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        /// Reason, at most 1,000 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
        reason: Option<String>,
    }
}

request! {
    /// Body of `POST /v1/relations/end`: ends the validity of relations.
    EndRelations {
        /// The relations to end, 1 to 500; unknown ones are ignored.
        #[serde(deserialize_with = "super::object::each")]
        #[schemars(length(min = 1, max = GRAPH_BATCH_MAX))]
        relations: Vec<Relation>,
        /// First moment at which they are no longer valid; default now. RFC 3339.
        #[serde(deserialize_with = "super::moment::maybe", default, skip_serializing_if = "Option::is_none")]
        valid_until: Option<Timestamp>,
        /// Reason, at most 1,000 characters.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1, max = REASON_CHARS_MAX), regex(pattern = NAME_PATTERN))]
        reason: Option<String>,
    }
}

/// Observations to add to one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewObservations {
    /// Name of the entity, which must exist.
    #[serde(rename = "entityName")]
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub entity_name: String,
    /// The observations, 1 to 256 of at most 4,096 characters each.
    #[schemars(length(min = 1, max = OBSERVATIONS_MAX), inner(length(min = 1, max = OBSERVATION_CHARS_MAX), regex(pattern = TEXT_PATTERN)))]
    pub contents: Vec<String>,
}

/// Observations of one entity to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationDeletion {
    /// Name of the entity.
    #[serde(rename = "entityName")]
    #[schemars(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub entity_name: String,
    /// The observations to end; their texts must match exactly.
    #[schemars(length(min = 1, max = OBSERVATIONS_MAX), inner(length(min = 1, max = OBSERVATION_CHARS_MAX), regex(pattern = TEXT_PATTERN)))]
    pub observations: Vec<String>,
}

/// Answer to `POST /v1/entities`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EntitiesCreated {
    /// The entities that were created; existing ones are left out.
    pub entities: Vec<Entity>,
    /// Sequence number of the last event; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Answer to `POST /v1/relations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelationsCreated {
    /// The relations that were created; existing ones are left out.
    pub relations: Vec<Relation>,
    /// Sequence number of the last event; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Answer to `POST /v1/entities/observations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObservationsAdded {
    /// The observations that were added, by entity.
    pub results: Vec<AddedObservations>,
    /// Sequence number of the last event; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Observations that were added to one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddedObservations {
    /// Name of the entity.
    #[serde(rename = "entityName")]
    pub entity_name: String,
    /// The observations that were added; existing ones are left out.
    #[serde(rename = "addedObservations")]
    pub added_observations: Vec<String>,
}

/// Answer to the requests that end entities, observations or relations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GraphEnded {
    /// Number of entities, observations or relations whose validity was ended.
    pub ended: u64,
    /// Sequence number of the last event; absent when nothing was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Body of `POST /v1/graph/open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenNodes {
    /// Names of entities, 1 to 1,000; unknown names are ignored.
    #[schemars(length(min = 1, max = GRAPH_NODES_MAX), inner(length(min = 1, max = ENTITY_NAME_CHARS_MAX), regex(pattern = NAME_PATTERN)))]
    pub names: Vec<String>,
    /// Project; default `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = NAME_CHARS_MAX), regex(pattern = NAME_PATTERN))]
    pub project: Option<String>,
}

/// Answer to `GET /v1/graph`, `GET /v1/graph/search` and `POST /v1/graph/open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GraphView {
    /// The entities, sorted by name.
    pub entities: Vec<Entity>,
    /// Relations. For `GET /v1/graph` those that start from an entity of this page; otherwise those that start from or
    /// lead to one of the entities.
    pub relations: Vec<Relation>,
    /// Present when there are more entities: repeat the request with `after=` set to this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// Answer to `GET /v1/graph/neighbours`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NeighboursAnswer {
    /// The neighbours, nearest first; at most 1,000.
    pub neighbours: Vec<Neighbour>,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// An entity and its distance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// Name of the entity.
    pub name: String,
    /// Distance in relations to the nearest of the requested entities. Relations count in both directions.
    pub hops: u32,
}

/// Answer to `GET /v1/graph/memories`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NearMemories {
    /// The memories, best first, then newest first.
    pub memories: Vec<NearMemory>,
    /// Sequence number of the last event that the answer reflects.
    pub applied_seq: u64,
}

/// A memory that mentions an entity named in the query, or an entity near it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NearMemory {
    /// Id of the memory.
    pub id: String,
    /// Sequence number of its event.
    pub seq: u64,
    /// Title; empty if it has none.
    pub title: String,
    /// 1/(1 + d), where d is the number of relations between an entity named in the query and the nearest entity the
    /// memory mentions.
    pub score: f64,
}
