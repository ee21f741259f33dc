//! Reads and writes entities, observations and relations. A write does not change what exists already, so every write
//! can be repeated.

use engine_core::event::{
    Draft, ENTITY_ENDED, ENTITY_OBSERVED, ENTITY_PUT, OBSERVATION_ENDED, RELATION_ENDED, RELATION_PUT,
};
use engine_core::graph::{
    EntityEndPayload, EntityPayload, ObservationsEndPayload, ObservationsPayload, RelationEndPayload,
    RelationPayload,
};
use engine_core::identity::{HasIdentifiers, NamesProjects, Visit};
use engine_core::limits::{GRAPH_NODES_DEFAULT, NAME_CHARS_MAX};
use engine_core::policy::Form;
use engine_core::request::{self, Author, Refused};
use engine_core::wire::{
    AddObservations, AddedObservations, CreateEntities, CreateRelations, EndEntities, EndObservations,
    EndRelations, EntitiesCreated, ErrorCode, GraphEnded, GraphView, NearMemories, NearMemory, Neighbour,
    NeighboursAnswer, ObservationDeletion, ObservationsAdded, OpenNodes, Relation, RelationsCreated,
};
use engine_core::words::normal_form;

use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use super::identifiers::restore_names;
use super::items::too_large;
use crate::refusal::{Refusal, ended};
use engine_log::{Key, Receipt};
use engine_projection::{
    ExistingGraph, Graph, Moment, Pages, ended_in, entities_in, graph, memories_near, neighbours,
    observations_in, opened, relations_in, searched,
};
use tracing::Instrument;

/// The plan of a write, made by comparing it with the stored state: the events to append, and the response to send when
/// the events are durable.
type Planned<T> = Result<(Vec<Draft>, T), Refusal>;

/// Names in a request that reads the graph: the project, an entity or a text that may contain entity names, and the
/// last name of the previous page.
struct GraphQuery {
    project: Option<String>,
    name: Option<String>,
    after: Option<String>,
}

impl NamesProjects for GraphQuery {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        visit(&mut self.project);
    }
}

impl HasIdentifiers for GraphQuery {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let GraphQuery { project, name, after } = self;
        [project, name, after].into_iter().flatten().for_each(|name| visit(name, Form::Whole));
    }
}

impl Operations {
    /// Creates the entities whose names are new.
    pub(crate) async fn create_entities(
        &self,
        mut request: CreateEntities,
        key: Option<SentKey>,
    ) -> Result<Written<EntitiesCreated>, Refusal> {
        let permit = self.admit_write()?;
        let caller_names = self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let valid_from = request.valid_from;
        let (author, mut entities) = request::created_entities(request)?;
        let names = entities.iter().map(|entity| entity.name.clone()).collect();
        let wanted = ExistingGraph { entities: names, ..ExistingGraph::default() };
        let writer = author.clone();
        let plan = move |standing: &ExistingGraph| {
            entities.retain(|entity| !standing.entities.contains(&entity.name));
            let mut drafts = Vec::new();
            for entity in &entities {
                let (name, kind) = (entity.name.clone(), entity.entity_type.clone());
                drafts.push(writer.draft(ENTITY_PUT, &EntityPayload { name, kind, valid_from })?);
                if !entity.observations.is_empty() {
                    let (entity, observations) = (entity.name.clone(), entity.observations.clone());
                    let payload = ObservationsPayload { entity, observations, valid_from };
                    drafts.push(writer.draft(ENTITY_OBSERVED, &payload)?);
                }
            }
            Ok((drafts, entities))
        };
        let (entities, receipt) = self.write_graph((author, false), wanted, key, plan).await?;
        let entities = match replayed(&receipt) {
            Some(batch) => self.batch(batch, entities_in).await?,
            None => entities,
        };
        Ok(caller_names.restore(written(receipt.as_ref(), |seq| EntitiesCreated { entities, seq })))
    }

    /// Adds observations to existing entities.
    ///
    /// # Errors
    /// One of the entities does not exist; in this case nothing is written.
    pub(crate) async fn add_observations(
        &self,
        mut request: AddObservations,
        key: Option<SentKey>,
    ) -> Result<Written<ObservationsAdded>, Refusal> {
        let permit = self.admit_write()?;
        let caller_names = self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let valid_from = request.valid_from;
        let (author, new) = request::added_observations(request)?;
        let asked: Vec<String> = new.iter().map(|new| new.entity_name.clone()).collect();
        let each =
            new.iter().flat_map(|new| new.contents.iter().map(|it| (new.entity_name.clone(), it.clone())));
        let wanted = ExistingGraph {
            observations: each.collect(),
            entities: asked.iter().cloned().collect(),
            ..ExistingGraph::default()
        };
        let writer = author.clone();
        let plan = move |standing: &ExistingGraph| {
            let mut known = standing.observations.clone();
            let (mut drafts, mut results) = (Vec::new(), Vec::new());
            for new in new {
                let entity = new.entity_name;
                if !standing.entities.contains(&entity) && !standing.repeated {
                    return Err(no_entity(&entity));
                }
                let is_new = |content: &String| known.insert((entity.clone(), content.clone()));
                let added: Vec<String> = new.contents.into_iter().filter(is_new).collect();
                if !added.is_empty() {
                    let (entity, observations) = (entity.clone(), added.clone());
                    let payload = ObservationsPayload { entity, observations, valid_from };
                    drafts.push(writer.draft(ENTITY_OBSERVED, &payload)?);
                }
                results.push(AddedObservations { entity_name: entity, added_observations: added });
            }
            Ok((drafts, results))
        };
        let outcome = self.write_graph((author, false), wanted, key, plan).await;
        let (mut results, receipt) = outcome.map_err(|refusal| refusal.with_caller_names(&caller_names))?;
        if let Some(batch) = replayed(&receipt) {
            let added = self.batch(batch, observations_in).await?;
            let of = |name: &String| {
                let own = added.iter().filter(|(entity, _)| entity == name);
                own.map(|(_, content)| content.clone()).collect()
            };
            let caller_names = |name| AddedObservations { added_observations: of(&name), entity_name: name };
            results = asked.into_iter().map(caller_names).collect();
        }
        Ok(caller_names.restore(written(receipt.as_ref(), |seq| ObservationsAdded { results, seq })))
    }

    /// Creates the relations that do not exist yet. The names at both ends need not be names of entities.
    pub(crate) async fn create_relations(
        &self,
        mut request: CreateRelations,
        key: Option<SentKey>,
    ) -> Result<Written<RelationsCreated>, Refusal> {
        let permit = self.admit_write()?;
        let caller_names = self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let valid_from = request.valid_from;
        let (author, mut relations) = request::created_relations(request)?;
        let wanted =
            ExistingGraph { relations: relations.iter().cloned().collect(), ..ExistingGraph::default() };
        let writer = author.clone();
        let plan = move |standing: &ExistingGraph| {
            relations.retain(|relation| !standing.relations.contains(relation));
            let draft = |relation: &Relation| {
                let Relation { from, to, relation_type: kind } = relation.clone();
                writer.draft(RELATION_PUT, &RelationPayload { from, to, kind, valid_from })
            };
            Ok((relations.iter().map(draft).collect::<Result<_, Refused>>()?, relations))
        };
        let (relations, receipt) = self.write_graph((author, false), wanted, key, plan).await?;
        let relations = match replayed(&receipt) {
            Some(batch) => self.batch(batch, relations_in).await?,
            None => relations,
        };
        Ok(caller_names.restore(written(receipt.as_ref(), |seq| RelationsCreated { relations, seq })))
    }

    /// Ends entities, with their observations and relations.
    pub(crate) async fn end_entities(
        &self,
        mut request: EndEntities,
        key: Option<SentKey>,
    ) -> Result<Written<GraphEnded>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let (author, names, ends) = request::ended_entities(request)?;
        let wanted = ExistingGraph { attached: names.iter().cloned().collect(), ..ExistingGraph::default() };
        let writer = author.clone();
        let plan = move |standing: &ExistingGraph| {
            // A name may have relations but no entity. Such relations must end too; otherwise an entity that is created
            // later under the name would get them.
            let there = names.into_iter().filter(|name| standing.attached.contains(name));
            let draft = |name| {
                let (valid_until, reason) = (ends.valid_until, ends.reason.clone());
                writer.draft(ENTITY_ENDED, &EntityEndPayload { name, valid_until, reason })
            };
            let drafts: Vec<Draft> = there.map(draft).collect::<Result<_, Refused>>()?;
            let ended = drafts.len() as u64;
            Ok((drafts, ended))
        };
        self.end(author, wanted, key, plan).await
    }

    /// Ends observations.
    pub(crate) async fn end_observations(
        &self,
        mut request: EndObservations,
        key: Option<SentKey>,
    ) -> Result<Written<GraphEnded>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let (author, deletions, ends) = request::ended_observations(request)?;
        let each = deletions.iter().flat_map(|deletion: &ObservationDeletion| {
            deletion.observations.iter().map(|content| (deletion.entity_name.clone(), content.clone()))
        });
        let wanted = ExistingGraph { observations: each.collect(), ..ExistingGraph::default() };
        let writer = author.clone();
        let plan = move |standing: &ExistingGraph| {
            let mut left = standing.observations.clone();
            let (mut drafts, mut ended) = (Vec::new(), 0);
            for ObservationDeletion { entity_name: entity, observations } in deletions {
                let is_there = |content: &String| left.remove(&(entity.clone(), content.clone()));
                let observations: Vec<String> = observations.into_iter().filter(is_there).collect();
                if observations.is_empty() {
                    continue;
                }
                ended += observations.len() as u64;
                let (valid_until, reason) = (ends.valid_until, ends.reason.clone());
                let payload = ObservationsEndPayload { entity, observations, valid_until, reason };
                drafts.push(writer.draft(OBSERVATION_ENDED, &payload)?);
            }
            Ok((drafts, ended))
        };
        self.end(author, wanted, key, plan).await
    }

    /// Ends relations.
    pub(crate) async fn end_relations(
        &self,
        mut request: EndRelations,
        key: Option<SentKey>,
    ) -> Result<Written<GraphEnded>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let (author, relations, ends) = request::ended_relations(request)?;
        let wanted =
            ExistingGraph { relations: relations.iter().cloned().collect(), ..ExistingGraph::default() };
        let writer = author.clone();
        let plan = move |standing: &ExistingGraph| {
            let there = relations.into_iter().filter(|relation| standing.relations.contains(relation));
            let draft = |Relation { from, to, relation_type: kind }| {
                let (valid_until, reason) = (ends.valid_until, ends.reason.clone());
                writer.draft(RELATION_ENDED, &RelationEndPayload { from, to, kind, valid_until, reason })
            };
            let drafts: Vec<Draft> = there.map(draft).collect::<Result<_, Refused>>()?;
            let ended = drafts.len() as u64;
            Ok((drafts, ended))
        };
        self.end(author, wanted, key, plan).await
    }

    async fn end(
        &self,
        author: Author,
        wanted: ExistingGraph,
        key: Option<Key>,
        plan: impl FnOnce(&ExistingGraph) -> Planned<u64> + Send + 'static,
    ) -> Result<Written<GraphEnded>, Refusal> {
        let (ended, receipt) = self.write_graph((author, true), wanted, key, plan).await?;
        let ended = match replayed(&receipt) {
            Some(batch) => self.batch(batch, ended_in).await?,
            None => ended,
        };
        Ok(written(receipt.as_ref(), |seq| GraphEnded { ended, seq }))
    }

    /// Reads the stored state, plans the write and commits it, holding the lock of the project's graph.
    async fn write_graph<T: Send + 'static>(
        &self,
        (author, ends): (Author, bool),
        wanted: ExistingGraph,
        key: Option<Key>,
        plan: impl FnOnce(&ExistingGraph) -> Planned<T> + Send + 'static,
    ) -> Result<(T, Option<Receipt>), Refusal> {
        let operations = self.clone();
        // This runs in a separate task: if the client disconnects, the lock must still be held until the events are
        // written.
        let written = async move {
            let project = author.project;
            let _turn = operations.engine.write_locks.take([("graph", &project)]).await;
            let moment = operations.moment(None, None);
            let name = key.as_ref().map(|key| key.key.clone());
            let read = move |connection: &_| {
                let standing = ExistingGraph::read(connection, &project, &wanted, &moment, name.as_deref())?;
                Ok((wanted, standing))
            };
            let (wanted, mut standing) = operations.query("graph_standing", None, read).await?;
            if standing.repeated {
                // A repeated idempotency key gets its earlier response, even if the entities changed since. Therefore
                // the write is planned as if the first request had written nothing.
                let untouched = if ends { wanted } else { ExistingGraph::default() };
                standing = ExistingGraph { repeated: true, ..untouched };
            }
            let (drafts, answer) = plan(&standing)?;
            let receipt = match drafts.is_empty() {
                true => None,
                false => Some(operations.commit(drafts, key).await?),
            };
            Ok((answer, receipt))
        };
        tokio::spawn(written.in_current_span()).await.map_err(ended)?
    }

    async fn batch<T: Send + 'static>(
        &self,
        (first, last): (u64, u64),
        read: impl FnOnce(&rusqlite::Connection, (i64, i64)) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let batch = (first.cast_signed(), last.cast_signed());
        self.query("graph_batch", Some(last), move |connection| read(connection, batch)).await
    }

    /// Returns a page of the whole graph.
    pub(crate) async fn read_graph(
        &self,
        project: Option<String>,
        after: Option<String>,
        limit: Option<u32>,
        moment: Moment,
        min_seq: Option<u64>,
    ) -> Result<GraphView, Refusal> {
        let permit = self.admit_read()?;
        let mut asked = GraphQuery { project, name: None, after };
        let caller_names = self.stored(&permit, &mut asked).await?;
        let project = named(asked.project)?;
        let pages = Pages { after: asked.after, limit: limit.unwrap_or(GRAPH_NODES_DEFAULT) };
        let read = move |connection: &_| graph(connection, &project, &pages, &moment);
        restore_names(&caller_names, found(self.query("graph", min_seq, read).await?))
    }

    /// Returns the entities with these names, with their relations.
    pub(crate) async fn open_nodes(
        &self,
        mut request: OpenNodes,
        moment: Moment,
    ) -> Result<GraphView, Refusal> {
        let permit = self.admit_read()?;
        let caller_names = self.stored(&permit, &mut request).await?;
        let (project, names) = request::opened_names(request)?;
        let read = move |connection: &_| opened(connection, &project, &names, &moment);
        restore_names(&caller_names, found(self.query("graph_open", None, read).await?))
    }

    /// Returns the entities whose name, type or observations contain a text, with their relations.
    pub(crate) async fn search_nodes(
        &self,
        project: Option<String>,
        text: String,
        (after, limit): (Option<String>, Option<u32>),
        moment: Moment,
        min_seq: Option<u64>,
    ) -> Result<GraphView, Refusal> {
        let permit = self.admit_read()?;
        let mut asked = GraphQuery { project, name: Some(text), after };
        let caller_names = self.stored(&permit, &mut asked).await?;
        let text = asked.name.unwrap_or_default();
        request::graph_question(&text)?;
        let project = named(asked.project)?;
        let pages = Pages { after: asked.after, limit: limit.unwrap_or(GRAPH_NODES_DEFAULT) };
        let read = move |connection: &_| searched(connection, &project, &text, &pages, &moment);
        restore_names(&caller_names, found(self.query("graph_search", min_seq, read).await?))
    }

    /// Returns the entities within `depth` relations of an entity, in either direction.
    pub(crate) async fn neighbours(
        &self,
        project: Option<String>,
        name: String,
        depth: u32,
        moment: Moment,
        min_seq: Option<u64>,
    ) -> Result<NeighboursAnswer, Refusal> {
        let permit = self.admit_read()?;
        let mut asked = GraphQuery { project, name: Some(normal_form(&name).into_owned()), after: None };
        let caller_names = self.stored(&permit, &mut asked).await?;
        let name = asked.name.unwrap_or_default();
        request::entity_name("name", &name)?;
        let project = named(asked.project)?;
        let read = move |connection: &rusqlite::Connection| {
            let applied: i64 = connection.query_row("SELECT seq FROM applied", [], |row| row.get(0))?;
            Ok((neighbours(connection, &project, &[name], depth, &moment)?, applied.unsigned_abs()))
        };
        let (near, applied_seq) = self.query("neighbours", min_seq, read).await?;
        let near = near.into_iter().filter(|(_, hops)| *hops > 0);
        let neighbours = near.map(|(name, hops)| Neighbour { name, hops }).collect();
        Ok(caller_names.restore(NeighboursAnswer { neighbours, applied_seq }))
    }

    /// Returns memories about the entities that a question names, or about entities near them.
    pub(crate) async fn memories_near(
        &self,
        project: Option<String>,
        question: String,
        (depth, limit): (u32, u32),
        moment: Moment,
        min_seq: Option<u64>,
    ) -> Result<NearMemories, Refusal> {
        let permit = self.admit_read()?;
        let mut asked = GraphQuery { project, name: Some(question), after: None };
        self.stored(&permit, &mut asked).await?;
        let (mut project, question) = (asked.project, asked.name.unwrap_or_default());
        request::graph_question(&question)?;
        request::optional("project", &mut project, NAME_CHARS_MAX)?;
        let read = move |connection: &rusqlite::Connection| {
            let applied: i64 = connection.query_row("SELECT seq FROM applied", [], |row| row.get(0))?;
            let near = memories_near(connection, project.as_deref(), &question, depth, &moment, limit)?;
            let mut named = connection.prepare_cached("SELECT id, title FROM memories WHERE seq = ?1")?;
            let hit = |(seq, score): (i64, f64)| {
                named.query_row([seq], |row| {
                    Ok(NearMemory { id: row.get(0)?, seq: seq.unsigned_abs(), title: row.get(1)?, score })
                })
            };
            let memories = near.into_iter().map(hit).collect::<Result<_, _>>()?;
            Ok(NearMemories { memories, applied_seq: applied.unsigned_abs() })
        };
        self.query("memories_near", min_seq, read).await
    }
}

fn named(project: Option<String>) -> Result<String, Refusal> {
    let mut project = project;
    request::optional("project", &mut project, NAME_CHARS_MAX)?;
    Ok(project.unwrap_or_else(|| engine_core::limits::PROJECT_DEFAULT.to_owned()))
}

fn found(graph: Graph) -> Result<GraphView, Refusal> {
    match graph {
        Graph::Found(view) => Ok(view),
        Graph::TooLarge => Err(too_large("the relations or observations of these entities")),
    }
}

/// Sequence numbers of the first and last event of the batch if an earlier request with the same key wrote it.
fn replayed(receipt: &Option<Receipt>) -> Option<(u64, u64)> {
    receipt.as_ref().filter(|receipt| receipt.replayed).map(|receipt| (receipt.first_seq, receipt.last_seq))
}

fn written<T>(receipt: Option<&Receipt>, answer: impl FnOnce(Option<u64>) -> T) -> Written<T> {
    let answer = answer(receipt.map(|receipt| receipt.last_seq));
    Written { answer, replayed: receipt.is_some_and(|receipt| receipt.replayed), wrote: true }
}

fn no_entity(name: &str) -> Refusal {
    Refusal::new(ErrorCode::EntityNotFound, format!("Entity with name {name} not found"))
        .hint("nothing was written: create the entity first")
}
