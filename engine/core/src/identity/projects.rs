//! The projects that requests name.

use super::NamesProjects;
use crate::wire::{
    AddObservations, AppendEvents, ApplyRetention, CheckoutRequest, CreateEntities, CreateRelations,
    DeleteItem, EndEntities, EndObservations, EndRelations, ForgetMemories, GiveFeedback, IngestDocuments,
    InvalidateMemory, ListNamespaces, OpenNodes, PlanRetention, PutItem, SaveMemories, SaveMemory,
    SearchItems, SetWeights,
};

/// Requests with one project.
macro_rules! one_project {
    ($($request:ty),+ $(,)?) => {
        $(impl NamesProjects for $request {
            fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
                visit(&mut self.project);
            }
        })+
    };
}

one_project!(
    SaveMemory,
    IngestDocuments,
    CheckoutRequest,
    PutItem,
    DeleteItem,
    SearchItems,
    ListNamespaces,
    CreateEntities,
    AddObservations,
    CreateRelations,
    EndEntities,
    EndObservations,
    EndRelations,
    OpenNodes,
);

/// Requests that name ids, or are about the whole engine. Their operations check both in another way.
macro_rules! no_project {
    ($($request:ty),+ $(,)?) => {
        $(impl NamesProjects for $request {
            fn projects(&mut self, _visit: &mut dyn FnMut(&mut Option<String>)) {}
        })+
    };
}

no_project!(InvalidateMemory, GiveFeedback, SetWeights, PlanRetention, ApplyRetention);

impl NamesProjects for SaveMemories {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        self.memories.iter_mut().for_each(|memory| memory.projects(visit));
    }
}

impl NamesProjects for AppendEvents {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        self.events.iter_mut().for_each(|event| visit(&mut event.project));
    }
}

/// Ids and a project exclude each other, so a request with ids has no project to fill in.
impl NamesProjects for ForgetMemories {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        if self.ids.is_none() {
            visit(&mut self.project);
        }
    }
}
