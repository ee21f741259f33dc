//! Reads, writes and searches items: values under a namespace and a key.

use std::sync::Arc;

use engine_core::access::Scope;
use engine_core::event::{Draft, ITEM_DELETED};
use engine_core::identity::{HasIdentifiers, NamesProjects, Visit, place_of_item};
use engine_core::item::refreshed_until;
use engine_core::limits::{ITEM_LISTS_LIMIT_DEFAULT, ITEMS_LIMIT_DEFAULT, PROJECT_DEFAULT};
use engine_core::policy::Form;
use engine_core::request::{self, ItemWrite};
use engine_core::row::microseconds;
use engine_core::wire::{
    DeleteItem, ErrorCode, ItemVersions, ItemView, ItemWritten, ItemsAnswer, ListNamespaces,
    NamespacesAnswer, PutItem, SearchItems,
};
use jiff::Timestamp;

use super::gate::OneProject;
use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use crate::refusal::{Refusal, ended};
use engine_log::{Key, Receipt};
use engine_projection::{
    ItemPlace, ItemSearch, Items, LogState, item, item_versions, namespaces, standing_items, timed,
};
use tracing::Instrument;

/// Project, namespace and key of an item, as the client sent them.
#[derive(Debug)]
pub(crate) struct NamedItem {
    pub(crate) project: Option<String>,
    pub(crate) namespace: Vec<String>,
    pub(crate) key: String,
}

impl NamesProjects for NamedItem {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        visit(&mut self.project);
    }
}

impl HasIdentifiers for NamedItem {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let NamedItem { project, namespace, key } = self;
        project.iter_mut().for_each(|project| visit(project, Form::Whole));
        place_of_item(namespace, key, visit);
    }
}

impl Operations {
    /// Writes a new version of an item. If the item does not exist, creates it.
    ///
    /// # Errors
    /// `if_version` is not the current version.
    pub(crate) async fn put_item(
        &self,
        request: PutItem,
        key: Option<SentKey>,
    ) -> Result<Written<ItemWritten>, Refusal> {
        self.put_item_to_live(request, None, key).await
    }

    /// Writes an item that expires `ttl_ms` milliseconds after the last put or read.
    pub(crate) async fn put_item_to_live(
        &self,
        mut request: PutItem,
        ttl_ms: Option<u64>,
        key: Option<SentKey>,
    ) -> Result<Written<ItemWritten>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        self.write_item(request::put_item_to_live(request, ttl_ms)?, key).await
    }

    /// Deletes an item. It is an error if the item does not exist.
    ///
    /// # Errors
    /// The item does not exist, or `if_version` is not its current version.
    pub(crate) async fn delete_item(
        &self,
        mut request: DeleteItem,
        key: Option<SentKey>,
    ) -> Result<Written<ItemWritten>, Refusal> {
        let permit = self.admit_write()?;
        self.stored(&permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        self.write_item(request::deleted_item(request)?, key).await
    }

    async fn write_item(&self, write: ItemWrite, key: Option<Key>) -> Result<Written<ItemWritten>, Refusal> {
        let receipt = self.write_items(vec![write], key).await?;
        let Receipt { id, last_seq, hash, .. } = receipt.clone();
        Ok(Written::new(&receipt, ItemWritten { version: last_seq, id, hash: hash.to_string() }))
    }

    /// Writes all of these items, or none if the current version of one differs from the version that its write
    /// expects.
    pub(super) async fn write_items(
        &self,
        writes: Vec<ItemWrite>,
        key: Option<Key>,
    ) -> Result<Receipt, Refusal> {
        let operations = self.clone();
        // This runs in a separate task: if the client disconnects, the lock must still be held until the events are
        // written.
        let written = async move { operations.write_in_turn(writes, key).await };
        tokio::spawn(written.in_current_span()).await.map_err(ended)?
    }

    async fn write_in_turn(&self, writes: Vec<ItemWrite>, key: Option<Key>) -> Result<Receipt, Refusal> {
        let places: Vec<ItemPlace> = writes.iter().map(place).collect();
        let things = places.iter().map(|place| (&place.project, &place.namespace, &place.key));
        let _turns = self.engine.write_locks.take(things).await;
        let depends = |write: &ItemWrite| write.if_version.is_some() || write.draft.kind == ITEM_DELETED;
        if writes.iter().any(depends) {
            let moment = self.moment(None, None);
            let name = key.as_ref().map(|key| key.key.clone());
            let read = move |connection: &_| standing_items(connection, &places, &moment, name.as_deref());
            let (versions, repeated) = self.query("items_standing", None, read).await?;
            if !repeated {
                writes.iter().zip(versions).try_for_each(|(write, version)| check(write, version))?;
            }
        }
        let drafts = writes.into_iter().map(|write| write.draft).collect();
        self.commit(drafts, key).await
    }

    /// Reads one item in its current state or as it was known at another moment. A read of a past state also returns an
    /// item that has expired since.
    ///
    /// # Errors
    /// The item does not exist.
    pub(crate) async fn read_item(
        &self,
        mut named: NamedItem,
        known: Option<LogState>,
        min_seq: Option<u64>,
    ) -> Result<ItemView, Refusal> {
        let permit = self.admit_read()?;
        let caller_names = self.stored(&permit, &mut named).await?;
        let NamedItem { project, namespace, key } = named;
        let (project, namespace, key) = request::item_place(project, namespace, key)?;
        let place = ItemPlace { project, namespace, key };
        let (moment, past) = (self.moment(None, known), known.is_some());
        let read = move |connection: &_| item(connection, &place, &moment, past);
        self.query("item", min_seq, read).await?.map(|item| caller_names.restore(item)).ok_or_else(no_item)
    }

    /// Returns every version of an item, latest first.
    pub(crate) async fn item_versions(
        &self,
        mut named: NamedItem,
        (limit, offset): (Option<u32>, u32),
        min_seq: Option<u64>,
    ) -> Result<ItemVersions, Refusal> {
        let permit = self.admit_read()?;
        self.stored(&permit, &mut named).await?;
        let NamedItem { project, namespace, key } = named;
        let (project, namespace, key) = request::item_place(project, namespace, key)?;
        let place = ItemPlace { project, namespace, key };
        let moment = self.moment(None, None);
        let page = (limit.unwrap_or(ITEM_LISTS_LIMIT_DEFAULT), offset);
        let read = move |connection: &_| item_versions(connection, &place, &moment, page);
        let found = self.query("item_versions", min_seq, read).await?;
        if found.versions.is_empty() && offset == 0 { Err(no_item()) } else { Ok(found) }
    }

    /// Finds items by namespace, by conditions on their values, and by words.
    ///
    /// With `all_are_wanted`, items that match none of the words follow the items that match.
    ///
    /// # Errors
    /// The search would read too many items, or the values exceed the size limit of a response.
    pub(crate) async fn search_items(
        &self,
        mut request: SearchItems,
        all_are_wanted: bool,
    ) -> Result<ItemsAnswer, Refusal> {
        let permit = self.admit_read()?;
        let caller_names = self.stored(&permit, &mut request).await?;
        let (project, prefix, filter) = request::searched_items(&request)?;
        let search = ItemSearch {
            project,
            prefix,
            filter,
            words: request.query,
            moment: self.moment(None, None),
            limit: request.limit.unwrap_or(ITEMS_LIMIT_DEFAULT),
            offset: request.offset.unwrap_or(0),
        };
        let retrieval = Arc::clone(&self.engine.retrieval);
        let read = move |connection: &_| retrieval.items(connection, &search, all_are_wanted);
        match self.query("items_search", None, read).await? {
            Items::Found(answer) => Ok(caller_names.restore(answer)),
            Items::TooLarge => Err(too_large("the values of these items")),
            Items::TooMany => Err(Refusal::new(
                ErrorCode::InvalidArgument,
                "the search would have to read more items than one search may",
            )
            .hint("use a longer namespace_prefix, or words")),
        }
    }

    /// Restarts the time to live of these versions, if they have one. If this write fails, the failure is only logged,
    /// so that reads succeed even on a full volume. It is a part of a read, and needs no other scope.
    pub(crate) async fn refresh_items(
        &self,
        project: Option<String>,
        versions: Vec<u64>,
    ) -> Result<(), Refusal> {
        let permit = self.permit(Scope::Read)?;
        // A mode without writes allows reads all the same.
        if versions.is_empty() || !self.engine.modes.effective().writes() {
            return Ok(());
        }
        let mut named = OneProject(project);
        self.stored(&permit, &mut named).await?;
        let project = named.0.unwrap_or_else(|| PROJECT_DEFAULT.to_owned());
        let timed = self.query("items_timed", None, move |connection| timed(connection, &versions)).await?;
        let now = microseconds(Timestamp::now());
        let longer =
            timed.iter().filter_map(|item| Some((item.version, refreshed_until(item.until, item.ttl, now)?)));
        let drafts = longer.map(|(version, until)| request::refreshed_item(project.clone(), version, until));
        let drafts: Vec<Draft> = drafts.collect::<Result<_, _>>()?;
        if !drafts.is_empty()
            && let Err(refusal) = self.commit(drafts, None).await
        {
            tracing::warn!(
                fault = refusal.message(),
                "the time to live of items that were read could not be restarted"
            );
        }
        Ok(())
    }

    /// Lists the namespaces that have items.
    pub(crate) async fn item_namespaces(
        &self,
        mut request: ListNamespaces,
    ) -> Result<NamespacesAnswer, Refusal> {
        let permit = self.admit_read()?;
        let caller_names = self.stored(&permit, &mut request).await?;
        let query = request::listed_namespaces(&request)?;
        let moment = self.moment(None, None);
        let page = (request.limit.unwrap_or(ITEM_LISTS_LIMIT_DEFAULT), request.offset.unwrap_or(0));
        let read = move |connection: &_| namespaces(connection, &query, &moment, page);
        Ok(caller_names.restore(self.query("item_namespaces", None, read).await?))
    }
}

fn place(write: &ItemWrite) -> ItemPlace {
    let ItemWrite { namespace, key, draft, .. } = write;
    ItemPlace { project: draft.project.clone(), namespace: namespace.clone(), key: key.clone() }
}

fn check(write: &ItemWrite, version: u64) -> Result<(), Refusal> {
    match write.if_version {
        Some(expected) if expected != version => {
            let found = if version == 0 { "does not exist".into() } else { format!("has version {version}") };
            let message = format!("the item {found}, if_version is {expected}");
            Err(Refusal::new(ErrorCode::VersionConflict, message)
                .hint("nothing was written: read the item again, and retry with its current version"))
        }
        _ if version == 0 && write.draft.kind == ITEM_DELETED => Err(no_item()),
        _ => Ok(()),
    }
}

fn no_item() -> Refusal {
    Refusal::new(ErrorCode::ItemNotFound, "there is no item under this namespace and key")
        .hint("POST /v1/items/search lists the items that exist")
}

/// The error for a response that would exceed the size limit.
pub(super) fn too_large(what: &str) -> Refusal {
    Refusal::new(ErrorCode::AnswerTooLarge, format!("{what} exceed the size limit of an answer"))
        .hint("request fewer: use a smaller limit or a narrower query")
}
