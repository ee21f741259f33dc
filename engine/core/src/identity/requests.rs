//! Identifiers in requests. Structs are destructured field by field, so that a new field does not compile until it is
//! handled here.

use super::{HasIdentifiers, Visit, each, place_of_item, segments, whole};
use crate::wire::{
    AddObservations, AppendEvents, ApplyRetention, CheckoutRequest, CreateEntities, CreateRelations,
    DeleteItem, EndEntities, EndObservations, EndRelations, Entity, ForgetMemories, GiveFeedback,
    IngestDocuments, InvalidateMemory, ListNamespaces, NewObservations, ObservationDeletion, OpenNodes,
    PlanRetention, PutItem, Relation, RetentionRules, SaveMemories, SaveMemory, SearchItems, SetWeights,
};

impl HasIdentifiers for SaveMemory {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let SaveMemory {
            content: _,
            title: _,
            project,
            kind,
            tags,
            session,
            actor,
            occurred_at: _,
            valid_from: _,
            entities,
            same_text: _,
        } = self;
        each([project, kind, session, actor].into_iter().flatten(), visit);
        each(tags.iter_mut().chain(entities), visit);
    }
}

impl HasIdentifiers for SaveMemories {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let SaveMemories { memories } = self;
        memories.iter_mut().for_each(|memory| memory.identifiers(visit));
    }
}

impl HasIdentifiers for InvalidateMemory {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let InvalidateMemory { valid_until: _, reason: _, superseded_by: _, session, actor } = self;
        each([session, actor].into_iter().flatten(), visit);
    }
}

impl HasIdentifiers for GiveFeedback {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let GiveFeedback { id: _, useful: _, rating: _, query_id, note: _, session, actor } = self;
        each([query_id, session, actor].into_iter().flatten(), visit);
    }
}

impl HasIdentifiers for SetWeights {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let SetWeights { weights: _, reason: _, actor } = self;
        each(actor, visit);
    }
}

impl HasIdentifiers for IngestDocuments {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let IngestDocuments { documents, project, session, actor } = self;
        each([project, session, actor].into_iter().flatten(), visit);
        for document in documents {
            whole(&mut document.source, visit);
            each(document.kind.iter_mut().chain(&mut document.tags), visit);
        }
    }
}

impl HasIdentifiers for ForgetMemories {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let ForgetMemories { ids: _, project, session, source, reason: _, dry_run: _, actor } = self;
        each([project, session, source, actor].into_iter().flatten(), visit);
    }
}

impl HasIdentifiers for RetentionRules {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let RetentionRules { max_age_days: _, max_entries_per_project: _, projects, action: _ } = self;
        each(projects.iter_mut().map(|rules| &mut rules.project), visit);
    }
}

impl HasIdentifiers for PlanRetention {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let PlanRetention { rules, as_of: _, offset: _, limit: _ } = self;
        rules.iter_mut().for_each(|rules| rules.identifiers(visit));
    }
}

impl HasIdentifiers for ApplyRetention {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let ApplyRetention {
            plan_hash: _,
            rules,
            as_of: _,
            applied_seq: _,
            override_spike_guard: _,
            reason: _,
            actor,
        } = self;
        rules.iter_mut().for_each(|rules| rules.identifiers(visit));
        each(actor, visit);
    }
}

impl HasIdentifiers for AppendEvents {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let AppendEvents { events } = self;
        for event in events {
            whole(&mut event.kind, visit);
            each([&mut event.actor, &mut event.project, &mut event.session].into_iter().flatten(), visit);
        }
    }
}

impl HasIdentifiers for CheckoutRequest {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let CheckoutRequest {
            query,
            project,
            session,
            token_budget: _,
            limit: _,
            mandatory_types,
            mandatory_ids: _,
            tags_any,
            tags_all,
            as_of: _,
            known_at: _,
            min_seq: _,
        } = self;
        // A query may contain names; they are replaced by their stored form.
        whole(query, visit);
        each([project, session].into_iter().flatten(), visit);
        each(mandatory_types.iter_mut().chain(tags_any).chain(tags_all), visit);
    }
}

impl HasIdentifiers for PutItem {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let PutItem {
            project,
            namespace,
            key,
            value: _,
            expires_at: _,
            index: _,
            if_version: _,
            session,
            actor,
        } = self;
        each([project, session, actor].into_iter().flatten(), visit);
        place_of_item(namespace, key, visit);
    }
}

impl HasIdentifiers for DeleteItem {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let DeleteItem { project, namespace, key, if_version: _, session, actor } = self;
        each([project, session, actor].into_iter().flatten(), visit);
        place_of_item(namespace, key, visit);
    }
}

impl HasIdentifiers for SearchItems {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let SearchItems { project, namespace_prefix, filter: _, query: _, limit: _, offset: _ } = self;
        each(project, visit);
        segments(namespace_prefix, visit);
    }
}

impl HasIdentifiers for ListNamespaces {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let ListNamespaces { project, prefix, suffix, max_depth: _, limit: _, offset: _ } = self;
        each(project, visit);
        segments(prefix, visit);
        segments(suffix, visit);
    }
}

impl HasIdentifiers for Entity {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let Entity { name, entity_type, observations: _ } = self;
        each([name, entity_type], visit);
    }
}

impl HasIdentifiers for Relation {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let Relation { from, to, relation_type } = self;
        each([from, to, relation_type], visit);
    }
}

impl HasIdentifiers for CreateEntities {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let CreateEntities { entities, valid_from: _, project, session, actor } = self;
        entities.iter_mut().for_each(|entity| entity.identifiers(visit));
        each([project, session, actor].into_iter().flatten(), visit);
    }

    fn compared(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.entities.iter_mut().flat_map(|entity| &mut entity.observations).for_each(visit);
    }
}

impl HasIdentifiers for AddObservations {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let AddObservations { observations, valid_from: _, project, session, actor } = self;
        for NewObservations { entity_name, contents: _ } in observations {
            whole(entity_name, visit);
        }
        each([project, session, actor].into_iter().flatten(), visit);
    }

    fn compared(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.observations.iter_mut().flat_map(|new| &mut new.contents).for_each(visit);
    }
}

impl HasIdentifiers for CreateRelations {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let CreateRelations { relations, valid_from: _, project, session, actor } = self;
        relations.iter_mut().for_each(|relation| relation.identifiers(visit));
        each([project, session, actor].into_iter().flatten(), visit);
    }
}

impl HasIdentifiers for EndEntities {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let EndEntities { entity_names, valid_until: _, reason: _, project, session, actor } = self;
        each(entity_names, visit);
        each([project, session, actor].into_iter().flatten(), visit);
    }
}

impl HasIdentifiers for EndObservations {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let EndObservations { deletions, valid_until: _, reason: _, project, session, actor } = self;
        for ObservationDeletion { entity_name, observations: _ } in deletions {
            whole(entity_name, visit);
        }
        each([project, session, actor].into_iter().flatten(), visit);
    }

    fn compared(&mut self, visit: &mut dyn FnMut(&mut String)) {
        self.deletions.iter_mut().flat_map(|deletion| &mut deletion.observations).for_each(visit);
    }
}

impl HasIdentifiers for EndRelations {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let EndRelations { relations, valid_until: _, reason: _, project, session, actor } = self;
        relations.iter_mut().for_each(|relation| relation.identifiers(visit));
        each([project, session, actor].into_iter().flatten(), visit);
    }
}

impl HasIdentifiers for OpenNodes {
    fn identifiers(&mut self, visit: &mut Visit<'_>) {
        let OpenNodes { names, project } = self;
        each(names.iter_mut().chain(project), visit);
    }
}
