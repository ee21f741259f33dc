//! Ingests documents as memories: an unchanged document is saved once, and a new version replaces the previous one.

use engine_core::digest::{Hash, hex};
use engine_core::documents::{self, Checked, Sender};
use engine_core::event::Draft;
use engine_core::limits::{DOCUMENTS_MAX, NAME_CHARS_MAX, PROJECT_DEFAULT};
use engine_core::request::{self, Refused};
use engine_core::wire::{
    Document, IngestAnswer, IngestDocuments, IngestError, IngestStatus, Ingested, InvalidateMemory,
};
use engine_core::words::make_normal;

use super::handle::Operations;
use crate::refusal::Refusal;
use engine_log::Key;
use engine_projection::{Stored, document};

/// Reason that is recorded when the memories made from an older version of a document end.
const REPLACED: &str = "another version of its document took its place";

impl Operations {
    /// Ingests documents one after another. If a document is refused, ingestion continues with the next one; an outage
    /// ends the whole request.
    ///
    /// # Errors
    /// There are no documents or too many, or an outage interrupts the request.
    pub(crate) async fn ingest(&self, mut request: IngestDocuments) -> Result<IngestAnswer, Refusal> {
        let permit = self.admit_write()?;
        let caller_names = self.stored(&permit, &mut request).await?;
        let IngestDocuments { documents, mut project, mut session, mut actor } = request;
        if !(1..=DOCUMENTS_MAX).contains(&documents.len()) {
            let (found, max) = (documents.len(), DOCUMENTS_MAX);
            return Err(Refused::Count { field: "documents".into(), found, min: 1, max }.into());
        }
        for (field, name) in [("project", &mut project), ("session", &mut session), ("actor", &mut actor)] {
            request::optional(field, name, NAME_CHARS_MAX)?;
        }
        let sender = Sender { project, session, actor };
        let mut items = Vec::new();
        for document in documents {
            let source = document.source.clone();
            match self.ingest_one(document, &sender).await {
                Ok(item) => items.push(item),
                // An outage is not the fault of the document, and a client that checks only the HTTP status has to
                // notice it.
                Err(refusal) if refusal.is_outage() => return Err(interrupted(refusal, items.len())),
                Err(refusal) => items.push(refused(source, &refusal)),
            }
        }
        Ok(caller_names.restore(IngestAnswer { items }))
    }

    async fn ingest_one(&self, mut sent: Document, sender: &Sender) -> Result<Ingested, Refusal> {
        make_normal(&mut sent.source);
        let Checked { sha256, as_sent, pieces: mut drafts } = documents::check(&sent, sender)?;
        let project = sender.project.clone().unwrap_or_else(|| PROJECT_DEFAULT.into());
        let (uri, within) = (sent.source.clone(), project.clone());
        let stored =
            self.query("document", None, move |connection| document(connection, &within, &uri)).await?;
        let done = |status, ids, replaced| Ingested {
            source: sent.source.clone(),
            status,
            ids,
            replaced,
            error: None,
        };
        // An older version of the engine recorded the hash of the bytes as sent, not of the normal form. Such a
        // document counts as unchanged if its bytes are unchanged.
        let known = |hash: Hash| stored.sha256.as_deref() == Some(&*hash.to_string());
        if known(sha256) || known(as_sent) {
            return Ok(done(IngestStatus::Unchanged, stored.ids, 0));
        }
        let pieces = drafts.len();
        for id in &stored.ids {
            drafts.push(end(id, &project, sender)?);
        }
        let receipt = self.commit(drafts, Some(key(&project, &sent.source, sha256, &stored))).await?;
        let last = receipt.first_seq + pieces as u64 - 1;
        let saved = self.events_between(receipt.first_seq, last).await?;
        let status = if stored.ids.is_empty() { IngestStatus::Saved } else { IngestStatus::Updated };
        Ok(done(status, saved.into_iter().map(|event| event.id).collect(), stored.ids.len() as u64))
    }
}

fn refused(source: String, refusal: &Refusal) -> Ingested {
    let error = IngestError { code: refusal.code(), message: refusal.message().to_owned() };
    Ingested { source, status: IngestStatus::Refused, ids: Vec::new(), replaced: 0, error: Some(error) }
}

fn interrupted(refusal: Refusal, done: usize) -> Refusal {
    match done {
        0 => refusal,
        done => refusal.hint(format!(
            "the first {done} documents were processed; send all of them again: those that are stored already stay unchanged"
        )),
    }
}

fn end(id: &str, project: &str, sender: &Sender) -> Result<Draft, Refused> {
    let request = InvalidateMemory {
        valid_until: None,
        reason: Some(REPLACED.into()),
        superseded_by: None,
        session: sender.session.clone(),
        actor: sender.actor.clone(),
    };
    request::invalidation(id, project.to_owned(), request)
}

/// Idempotency key of a document. If two clients send the same document at the same time, it is saved once.
fn key(project: &str, source: &str, sha256: Hash, stored: &Stored) -> Key {
    let request = format!("document\n{project}\n{source}\n{sha256}\n{:?}", stored.version).into_bytes();
    Key { key: format!("document-{}", hex(&Hash::of(&request).0)), request }
}
