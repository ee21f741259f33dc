//! Sends the steps of records to the engine, with idempotency keys that prevent a step from being carried out twice.

use std::collections::BTreeMap;

use anyhow::Context;
use engine_core::digest::Hash;
use engine_core::documents;
use engine_core::peers::{self, Record, Step};
use engine_core::wire::{
    AddObservations, CreateEntities, CreateRelations, Document, Entity, IngestAnswer, IngestDocuments,
    IngestStatus, InvalidateMemory, NewObservations, SaveMemory, Saved,
};
use hyper::body::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::report::FileReport;
use crate::import::target::{Target, Written};

/// Reason that is recorded when a memory is ended because the source product marks it as no longer valid.
const ENDED: &str = "its store says so";

/// Sends records to an engine, or only counts them in a dry run.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    /// Absent in a dry run.
    target: Option<&'a Target>,
    product: &'static str,
    project: &'a str,
    /// Ids that the engine gave to the memories of this run, by their ids in the source store.
    ids: BTreeMap<String, String>,
}

/// Result of a step.
enum Outcome {
    New { redacted: bool },
    Before,
    Refused { reason: String, detail: String },
}

impl<'a> Sender<'a> {
    pub(super) fn new(target: Option<&'a Target>, product: &'static str, project: &'a str) -> Sender<'a> {
        Sender { target, product, project, ids: BTreeMap::new() }
    }

    /// Carries out the steps of one record. If a step is refused, the other steps are still carried out, except
    /// observations of a refused entity.
    pub(super) async fn send(
        &mut self,
        place: u64,
        record: Record,
        file: &mut FileReport,
    ) -> anyhow::Result<()> {
        file.record(place, &record.changed, &record.left_out, &record.refused);
        let mut entity_refused = false;
        for step in record.steps {
            let what = step.label();
            file.found(what);
            let Some(target) = self.target else { continue };
            if entity_refused && matches!(step, Step::Observation { .. }) {
                let detail = "the entity was refused".to_owned();
                file.refuse(place, Some(what), "entity_refused".to_owned(), detail);
                continue;
            }
            let is_entity = matches!(step, Step::Entity { .. });
            match self.step(target, step).await? {
                Outcome::New { redacted } => file.imported(what, redacted),
                Outcome::Before => file.already_there(what),
                Outcome::Refused { reason, detail } => {
                    entity_refused |= is_entity;
                    file.refuse(place, Some(what), reason, detail);
                }
            }
        }
        Ok(())
    }

    async fn step(&mut self, target: &Target, step: Step) -> anyhow::Result<Outcome> {
        match step {
            Step::Entity { name, kind } => {
                let key = self.key("entity", &[&name, &kind]);
                let words = vec![name.clone(), kind.clone()];
                let entities = vec![Entity { name, entity_type: kind, observations: Vec::new() }];
                let body = CreateEntities {
                    entities,
                    valid_from: None,
                    project: self.project(),
                    session: None,
                    actor: self.actor(),
                };
                self.graph(target, "/v1/entities", &key, &body, &words).await
            }
            Step::Observation { entity, content } => {
                let key = self.key("observation", &[&entity, &content]);
                let words = vec![entity.clone(), content.clone()];
                let observations = vec![NewObservations { entity_name: entity, contents: vec![content] }];
                let body = AddObservations {
                    observations,
                    valid_from: None,
                    project: self.project(),
                    session: None,
                    actor: self.actor(),
                };
                self.graph(target, "/v1/entities/observations", &key, &body, &words).await
            }
            Step::Relation(relation) => {
                let words = [&relation.from, &relation.to, &relation.relation_type].map(Clone::clone);
                let key = self.key("relation", &words.each_ref().map(String::as_str));
                let body = CreateRelations {
                    relations: vec![relation],
                    valid_from: None,
                    project: self.project(),
                    session: None,
                    actor: self.actor(),
                };
                self.graph(target, "/v1/relations", &key, &body, &words).await
            }
            Step::Memory { id, memory } => self.memory(target, id, *memory).await,
            Step::End { id, until, by } => {
                let body = InvalidateMemory {
                    valid_until: until,
                    reason: Some(ENDED.to_owned()),
                    superseded_by: by.as_ref().and_then(|by| self.ids.get(by)).cloned(),
                    session: None,
                    actor: self.actor(),
                };
                self.end(target, &id, &body).await
            }
            Step::Document(document) => self.document(target, *document).await,
        }
    }

    async fn graph(
        &self,
        target: &Target,
        path: &str,
        key: &str,
        body: &impl Serialize,
        words: &[String],
    ) -> anyhow::Result<Outcome> {
        let (written, answer) = target.write_and_read(path, Some(key), json(body)?).await?;
        let seq = || serde_json::from_slice::<Value>(&answer).ok()?.get("seq")?.as_u64();
        match written {
            Written::New => Ok(Outcome::New { redacted: is_redacted(target, seq(), words).await? }),
            written => Ok(outcome(written)),
        }
    }

    async fn memory(
        &mut self,
        target: &Target,
        id: String,
        mut memory: SaveMemory,
    ) -> anyhow::Result<Outcome> {
        let key = self.key("memory", &[&id]);
        memory.project = self.project();
        if memory.actor.is_none() {
            memory.actor = self.actor();
        }
        let (written, answer) = target.write_and_read("/v1/memories", Some(&key), json(&memory)?).await?;
        let is_new = written == Written::New;
        if written == Written::Conflict {
            // The memory exists with other details. For example, only one of the store's files contains its actor.
            if let Some(found) = target.find(self.project, &peers::tag(self.product, &id)).await? {
                self.ids.insert(id, found);
            }
            return Ok(Outcome::Before);
        }
        if !is_new && written != Written::Before {
            return Ok(outcome(written));
        }
        let saved: Saved =
            serde_json::from_slice(&answer).context("the answer does not come from an engine")?;
        self.ids.insert(id, saved.id);
        if !is_new {
            return Ok(Outcome::Before);
        }
        let mut words = vec![memory.content];
        words.extend(memory.tags);
        Ok(Outcome::New { redacted: is_redacted(target, Some(saved.seq), &words).await? })
    }

    async fn end(&self, target: &Target, id: &str, body: &InvalidateMemory) -> anyhow::Result<Outcome> {
        let Some(memory) = self.ids.get(id) else {
            let detail =
                "the memory to end was not imported: its record is missing or was refused".to_owned();
            return Ok(Outcome::Refused { reason: "unknown_memory".to_owned(), detail });
        };
        let until = body.valid_until.map(|until| until.to_string()).unwrap_or_default();
        let key = self.key("end", &[id, &until]);
        let path = format!("/v1/memories/{memory}/invalidate");
        let (written, _) = target.write_and_read(&path, Some(&key), json(body)?).await?;
        Ok(outcome(written))
    }

    async fn document(&self, target: &Target, document: Document) -> anyhow::Result<Outcome> {
        let text = documents::lines(&document.content);
        let body = IngestDocuments {
            documents: vec![document],
            project: self.project(),
            session: None,
            actor: self.actor(),
        };
        let (written, answer) = target.write_and_read("/v1/documents", None, json(&body)?).await?;
        if !matches!(written, Written::New | Written::Before) {
            return Ok(outcome(written));
        }
        let answer: IngestAnswer =
            serde_json::from_slice(&answer).context("the answer does not come from an engine")?;
        let ingested = answer.items.into_iter().next().context("the answer has no document")?;
        match ingested.status {
            IngestStatus::Unchanged => Ok(Outcome::Before),
            IngestStatus::Refused => {
                let error = ingested.error.context("a refusal without a reason")?;
                Ok(Outcome::Refused { reason: error.code.as_str().to_owned(), detail: error.message })
            }
            IngestStatus::Saved | IngestStatus::Updated => {
                let mut redacted = false;
                for id in &ingested.ids {
                    redacted |= !text.contains(&target.memory(id).await?.content);
                }
                Ok(Outcome::New { redacted })
            }
        }
    }

    fn project(&self) -> Option<String> {
        Some(self.project.to_owned())
    }

    /// The actor to record for a memory whose store names no actor.
    fn actor(&self) -> Option<String> {
        Some(self.product.to_owned())
    }

    /// Returns the idempotency key. It is derived from the project and the identity of the record in its store, but not
    /// from the request that is sent.
    fn key(&self, what: &str, parts: &[&str]) -> String {
        let mut place = format!("{}\n{what}", self.project);
        for part in parts {
            place.push_str(&format!("\n{}\n{part}", part.len()));
        }
        format!("{}-{what}/{}", self.product, &Hash::of(place.as_bytes()).to_string()[..40])
    }
}

fn json(body: &impl Serialize) -> anyhow::Result<Bytes> {
    Ok(serde_json::to_vec(body)?.into())
}

fn outcome(written: Written) -> Outcome {
    match written {
        Written::New => Outcome::New { redacted: false },
        // A conflict means that another version of this program wrote the step before.
        Written::Before | Written::Conflict => Outcome::Before,
        Written::Refused(code, message) => {
            Outcome::Refused { reason: code.as_str().to_owned(), detail: message }
        }
    }
}

/// Whether the policy of the engine changed any of these texts before they were written to the log.
async fn is_redacted(target: &Target, seq: Option<u64>, words: &[String]) -> anyhow::Result<bool> {
    let Some(seq) = seq else { return Ok(false) };
    let Some(event) = target.event(seq).await? else { return Ok(false) };
    let payload: Value = serde_json::from_str(event.payload.get()).context("an event's payload is JSON")?;
    Ok(words.iter().any(|word| !says(&payload, word)))
}

fn says(value: &Value, word: &str) -> bool {
    match value {
        Value::String(text) => text == word,
        Value::Array(items) => items.iter().any(|item| says(item, word)),
        Value::Object(fields) => fields.values().any(|value| says(value, word)),
        _ => false,
    }
}
