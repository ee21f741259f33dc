//! Identifiers in responses: only identifiers that the request may have contained.

use super::{HasIdentifiers, Visit, each, place_of_item, segments, whole};
use crate::wire::{
    EntitiesCreated, EventPage, GraphView, IngestAnswer, ItemView, ItemsAnswer, NamespacesAnswer,
    NeighboursAnswer, ObservationsAdded, RelationsCreated, RetentionPlan, SearchAnswer, TimelineAnswer,
};

impl HasIdentifiers for ItemView {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        place_of_item(&mut self.namespace, &mut self.key, visit);
    }
}

impl HasIdentifiers for ItemsAnswer {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        self.items.iter_mut().for_each(|item| item.identifiers(visit));
    }
}

impl HasIdentifiers for NamespacesAnswer {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        self.namespaces.iter_mut().for_each(|namespace| segments(namespace, visit));
    }
}

impl HasIdentifiers for EntitiesCreated {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        self.entities.iter_mut().for_each(|entity| entity.identifiers(visit));
    }

    fn compared(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.entities.iter_mut().flat_map(|entity| &mut entity.observations).for_each(visit);
    }
}

impl HasIdentifiers for RelationsCreated {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        self.relations.iter_mut().for_each(|relation| relation.identifiers(visit));
    }
}

impl HasIdentifiers for ObservationsAdded {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        each(self.results.iter_mut().map(|result| &mut result.entity_name), visit);
    }

    fn compared(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.results.iter_mut().flat_map(|result| &mut result.added_observations).for_each(visit);
    }
}

impl HasIdentifiers for GraphView {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        self.entities.iter_mut().for_each(|entity| entity.identifiers(visit));
        self.relations.iter_mut().for_each(|relation| relation.identifiers(visit));
    }
}

impl HasIdentifiers for NeighboursAnswer {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        each(self.neighbours.iter_mut().map(|neighbour| &mut neighbour.name), visit);
    }
}

impl HasIdentifiers for IngestAnswer {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        each(self.items.iter_mut().map(|item| &mut item.source), visit);
    }
}

impl HasIdentifiers for RetentionPlan {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        self.rules.identifiers(visit);
        each(self.by_project.iter_mut().map(|plan| &mut plan.project), visit);
    }
}

impl HasIdentifiers for SearchAnswer {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        for hit in &mut self.items {
            each([&mut hit.project, &mut hit.kind, &mut hit.actor], visit);
            each(hit.session.iter_mut().chain(&mut hit.tags), visit);
        }
    }
}

impl HasIdentifiers for TimelineAnswer {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        for item in &mut self.items {
            each([&mut item.project, &mut item.kind, &mut item.actor], visit);
            each(&mut item.session, visit);
        }
    }
}

/// Events are returned as they are stored in the log, so nothing is restored in them.
impl HasIdentifiers for EventPage {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        for event in &mut self.events {
            each([&mut event.kind, &mut event.actor, &mut event.project], visit);
            each(&mut event.session, visit);
        }
    }
}

impl HasIdentifiers for String {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        whole(self, visit);
    }
}
