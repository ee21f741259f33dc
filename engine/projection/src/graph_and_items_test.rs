//! Items, entities and relations of the projection compared with naive models, without an engine.

use std::collections::{BTreeMap, BTreeSet};

use engine_core::event::{
    ENTITY_ENDED, ENTITY_OBSERVED, ENTITY_PUT, ITEM_DELETED, ITEM_PUT, MEMORY_FORGOTTEN, MEMORY_SAVED,
    OBSERVATION_ENDED, RELATION_ENDED, RELATION_PUT,
};
use engine_core::filter::Filter;
use engine_core::format::forget;
use engine_core::wire::GraphView;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::{Value as Json, json};

use super::background_job::Stop;
use super::row_digest::digest_of;
use super::scrub::{Finding, check_rows, check_words};
use super::tests::{Lines, Place, id, second};
use super::{
    Graph, ItemPlace, ItemSearch, Items, LogState, Moment, Pages, graph, item, item_versions, memories_near,
    neighbours, opened, searched,
};

/// One event of every type for items and the graph.
pub(super) fn some_items_and_entities(lines: &mut Lines) {
    let item = |key: &str| json!({"namespace": ["a", "b"], "key": key, "value": {"say": "kettle", "n": 1.5}});
    lines.push(ITEM_PUT, 30, &item("one"), None);
    lines.push(ITEM_PUT, 30, &item("one"), None);
    lines.push(ITEM_PUT, 31, &item("two"), None);
    lines.push(ITEM_DELETED, 31, &json!({"namespace": ["a", "b"], "key": "two"}), None);
    let mut last = item("three");
    last["expires_at"] = json!(second(99));
    last["index"] = json!(["say"]);
    lines.push(ITEM_PUT, 32, &last, None);
    lines.push(ENTITY_PUT, 33, &json!({"name": "Ana", "type": "person"}), None);
    lines.push(ENTITY_OBSERVED, 33, &json!({"entity": "Ana", "observations": ["tall", "kind"]}), None);
    let relation = json!({"from": "Ana", "to": "Ben", "type": "knows", "valid_from": second(3)});
    lines.push(RELATION_PUT, 34, &relation, None);
    lines.push(
        OBSERVATION_ENDED,
        35,
        &json!({"entity": "Ana", "observations": ["tall"], "reason": "r"}),
        None,
    );
    lines.push(RELATION_ENDED, 35, &json!({"from": "Ana", "to": "Ben", "type": "knows"}), None);
    lines.push(ENTITY_ENDED, 36, &json!({"name": "Ana", "valid_until": second(40)}), None);
    let memory = json!({"content": "c", "type": "note", "entities": ["Ben", "Ana", "Ben"]});
    lines.push(MEMORY_SAVED, 37, &memory, None);
}

/// One step of a history. Few names exist, so that steps interact.
#[derive(Debug, Clone)]
enum Act {
    Put(u8, Option<i64>),
    Delete(u8),
    Entity(u8),
    Observe(u8, u8),
    Relate(u8, u8),
    EndEntity(u8, Option<i64>),
    EndObservation(u8, u8),
    EndRelation(u8, u8, Option<i64>),
    Mention(u8),
}

fn act() -> impl Strategy<Value = Act> {
    let (name, word) = (0..4_u8, 0..2_u8);
    let until = || prop::option::of(-5..30_i64);
    prop_oneof![
        (0..3_u8, until()).prop_map(|(key, expires)| Act::Put(key, expires)),
        (0..3_u8).prop_map(Act::Delete),
        name.clone().prop_map(Act::Entity),
        (name.clone(), word.clone()).prop_map(|(name, word)| Act::Observe(name, word)),
        (name.clone(), name.clone()).prop_map(|(from, to)| Act::Relate(from, to)),
        (name.clone(), until()).prop_map(|(name, until)| Act::EndEntity(name, until)),
        (name.clone(), word).prop_map(|(name, word)| Act::EndObservation(name, word)),
        (name.clone(), name.clone(), until()).prop_map(|(from, to, until)| Act::EndRelation(from, to, until)),
        name.prop_map(Act::Mention),
    ]
}

impl Act {
    fn event(&self, seq: u64) -> (&'static str, Json) {
        let item = |key: &u8| json!({"namespace": ["n"], "key": format!("k{key}")});
        let until = |mut payload: Json, field: &str, until: &Option<i64>| {
            until.inspect(|until| payload[field] = json!(second(*until)));
            payload
        };
        match self {
            Act::Put(key, expires) => {
                let mut payload = until(item(key), "expires_at", expires);
                payload["value"] = json!({"say": format!("word w{seq}"), "n": seq});
                (ITEM_PUT, payload)
            }
            Act::Delete(key) => (ITEM_DELETED, item(key)),
            Act::Entity(name) => (ENTITY_PUT, json!({"name": named(*name), "type": format!("t{seq}")})),
            Act::Observe(name, word) => {
                (ENTITY_OBSERVED, json!({"entity": named(*name), "observations": [said(*word)]}))
            }
            Act::Relate(from, to) => {
                (RELATION_PUT, json!({"from": named(*from), "to": named(*to), "type": "knows"}))
            }
            Act::EndEntity(name, end) => {
                (ENTITY_ENDED, until(json!({"name": named(*name)}), "valid_until", end))
            }
            Act::EndObservation(name, word) => {
                (OBSERVATION_ENDED, json!({"entity": named(*name), "observations": [said(*word)]}))
            }
            Act::EndRelation(from, to, end) => {
                let relation = json!({"from": named(*from), "to": named(*to), "type": "knows"});
                (RELATION_ENDED, until(relation, "valid_until", end))
            }
            Act::Mention(name) => {
                (MEMORY_SAVED, json!({"content": "c", "type": "note", "entities": [named(*name)]}))
            }
        }
    }
}

fn named(name: u8) -> String {
    format!("Name {name}")
}

fn said(word: u8) -> String {
    format!("said {word}")
}

/// Time of a step. Every two consecutive steps share one time.
fn at(place: usize) -> i64 {
    place as i64 / 2
}

fn write(acts: &[Act]) -> Lines {
    let mut lines = Lines::new();
    for (place, act) in acts.iter().enumerate() {
        let (kind, payload) = act.event(place as u64 + 1);
        lines.push(kind, at(place), &payload, None);
    }
    lines
}

fn now(second_of_now: i64) -> Moment {
    Moment { now: second(second_of_now), as_of: None, known: None }
}

fn view(answer: Graph) -> GraphView {
    let Graph::Found(view) = answer else { panic!("{answer:?}") };
    view
}

/// A naive model of the graph: rows added by known events and not ended by later ones.
#[derive(Debug, PartialEq, Eq, Default)]
struct Told {
    entities: BTreeMap<String, String>,
    observations: BTreeSet<(String, String)>,
    relations: BTreeSet<(String, String)>,
}

fn told_by_lists(acts: &[Act], as_of: i64, known: usize) -> Told {
    let known = &acts[..known.min(acts.len())];
    let later = |place: usize| known.iter().enumerate().skip(place + 1);
    let reached = |end: &Option<i64>, place: usize| end.unwrap_or(at(place)) <= as_of;
    let entity_ended = |name: u8, place: usize| {
        later(place).any(
            |(end_place, act)| matches!(act, Act::EndEntity(ended, end) if *ended == name && reached(end, end_place)),
        )
    };
    let mut told = Told::default();
    for (place, act) in known.iter().enumerate().filter(|(place, _)| at(*place) <= as_of) {
        match act {
            Act::Entity(name) if !entity_ended(*name, place) => {
                told.entities.insert(named(*name), format!("t{}", place + 1));
            }
            Act::Observe(name, word) if !entity_ended(*name, place) => {
                let ended = later(place).any(|(end_place, act)| {
                    matches!(act, Act::EndObservation(n, w) if (n, w) == (name, word) && reached(&None, end_place))
                });
                if !ended {
                    told.observations.insert((named(*name), said(*word)));
                }
            }
            Act::Relate(from, to) if !entity_ended(*from, place) && !entity_ended(*to, place) => {
                let ended = later(place).any(|(end_place, act)| {
                    matches!(act, Act::EndRelation(f, t, end) if (f, t) == (from, to) && reached(end, end_place))
                });
                if !ended {
                    told.relations.insert((named(*from), named(*to)));
                }
            }
            _ => {}
        }
    }
    told
}

fn told_by(connection: &Connection, asked: &Moment) -> Told {
    let pages = Pages { after: None, limit: 100 };
    let view = view(graph(connection, "p", &pages, asked).unwrap());
    let mut told = Told::default();
    for entity in view.entities {
        let said = entity.observations.into_iter().map(|content| (entity.name.clone(), content));
        told.observations.extend(said);
        told.entities.insert(entity.name, entity.entity_type);
    }
    told.relations.extend(view.relations.into_iter().map(|relation| (relation.from, relation.to)));
    told
}

fn found(connection: &Connection, words: &str, moment: Moment) -> Vec<(String, u64)> {
    let search = ItemSearch {
        project: "p".into(),
        prefix: "n".into(),
        filter: Filter::default(),
        words: Some(words.into()),
        moment,
        limit: 100,
        offset: 0,
    };
    let answer = match search.asked() {
        None => search.newest(connection),
        Some(words) => {
            let ranked = search.best_by_texts(connection, words, None, 100).unwrap();
            search.ranked(connection, &ranked, false)
        }
    };
    let Items::Found(answer) = answer.unwrap() else { panic!("a few items fit") };
    assert!(!answer.more);
    let mut found: Vec<_> = answer.items.into_iter().map(|item| (item.key, item.version)).collect();
    found.sort();
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Entities, observations and relations in both time dimensions match the naive lists.
    #[test]
    fn the_graph_is_what_lists_say(
        acts in prop::collection::vec(act(), 1..30),
        now_at in 0..40_i64,
        as_of in prop::option::of(-3..30_i64),
        known in prop::option::of(0..30_usize),
    ) {
        let place = Place::new();
        place.load(&write(&acts), &[5]);
        let connection = place.connection();
        let latest = at(acts.len() - 1);
        let true_at = as_of.unwrap_or(now_at.max(latest));
        let asked = Moment { as_of: as_of.map(second), known: known.map(|seq| LogState::Through(seq as u64)), ..now(now_at) };
        let mut expected = told_by_lists(&acts, true_at, known.unwrap_or(usize::MAX));
        // The graph contains only entities, so observations of names without an entity are not shown.
        let entities = expected.entities.clone();
        expected.observations.retain(|(entity, _)| entities.contains_key(entity));
        expected.relations.retain(|(from, _)| entities.contains_key(from));
        prop_assert_eq!(told_by(&connection, &asked), expected);
    }

    /// The latest version counts, deletion hides an item, expiry works, and words find exactly the current items.
    #[test]
    fn items_are_what_a_list_says(acts in prop::collection::vec(act(), 1..30), now_at in 0..40_i64) {
        let place = Place::new();
        place.load(&write(&acts), &[5]);
        let connection = place.connection();
        let now_at = now_at.max(at(acts.len() - 1));
        let mut expected: BTreeMap<String, (u64, Option<i64>, i64)> = BTreeMap::new();
        for (place, act) in acts.iter().enumerate() {
            match act {
                Act::Put(key, expires) => {
                    let first = expected.get(&format!("k{key}")).map_or(at(place), |(.., first)| *first);
                    expected.insert(format!("k{key}"), (place as u64 + 1, *expires, first));
                }
                Act::Delete(key) => drop(expected.remove(&format!("k{key}"))),
                _ => {}
            }
        }
        expected.retain(|_, (_, expires, _)| expires.is_none_or(|at| now_at < at));
        let listed: Vec<(String, u64)> = expected.iter().map(|(key, (seq, ..))| (key.clone(), *seq)).collect();
        prop_assert_eq!(found(&connection, "", now(now_at)), listed.clone());
        prop_assert_eq!(found(&connection, "word", now(now_at)), listed);
        for (place, act) in acts.iter().enumerate().filter(|(_, act)| matches!(act, Act::Put(..))) {
            let Act::Put(key, _) = act else { continue };
            let seq = place as u64 + 1;
            let now_there = expected.get(&format!("k{key}"));
            let is_latest = now_there.is_some_and(|(latest, ..)| *latest == seq);
            prop_assert_eq!(found(&connection, &format!("w{seq}"), now(now_at)).len(), usize::from(is_latest));
            let at_key = ItemPlace { project: "p".into(), namespace: "n".into(), key: format!("k{key}") };
            let read = item(&connection, &at_key, &now(now_at), false).unwrap();
            prop_assert_eq!(read.as_ref().map(|item| item.version), now_there.map(|(latest, ..)| *latest));
            if let (Some(item), Some((_, _, first))) = (&read, now_there) {
                prop_assert_eq!(item.created_at, second(*first));
            }
            let then = Moment { known: Some(LogState::Through(seq)), ..now(now_at) };
            let past = item(&connection, &at_key, &then, true).unwrap().unwrap();
            prop_assert_eq!((past.version, past.value.get()), (seq, &*format!("{{\"n\":{seq},\"say\":\"word w{seq}\"}}")));
            let all = item_versions(&connection, &at_key, &now(now_at), (100, 0)).unwrap();
            prop_assert!(all.versions.iter().any(|version| version.version == seq && version.id == id(seq)));
        }
    }

    /// A projection is the same whether the erased payloads were still in the log when it was built or not, and however
    /// the events were grouped. Rows and words stay consistent with their digests.
    #[test]
    fn forgotten_items_and_entities_were_never_there(
        acts in prop::collection::vec(act(), 1..25),
        targets in prop::collection::btree_set(1..26_u64, 1..10),
        sizes in prop::collection::vec(1..9_usize, 1..4),
    ) {
        let mut lines = write(&acts);
        let targets: Vec<u64> = targets.into_iter().filter(|seq| *seq <= acts.len() as u64).collect();
        let ids: Vec<String> = targets.iter().copied().map(id).collect();
        let by = lines.push(MEMORY_FORGOTTEN, 40, &json!({"targets": ids, "reason": "r"}), None);
        let place = Place::new();
        let before = place.load(&lines, &sizes);
        prop_assert_eq!(digest_of(&place.connection()).unwrap(), before);
        let looked = check_rows(&place.path(), &Stop::default());
        prop_assert!(matches!(looked, Ok(Finding::Sound(digest)) if digest == before), "{:?}", looked);
        let looked = check_words(&place.path(), &Stop::default(), before);
        prop_assert!(matches!(looked, Ok(Finding::Sound(_))), "{:?}", looked);
        for seq in targets {
            let line = &mut lines.all[usize::try_from(seq).unwrap() - 1];
            let mut gone = forget(line.strip_suffix(b"\n").unwrap(), &id(by)).unwrap();
            gone.push(b'\n');
            *line = gone;
        }
        prop_assert_eq!(Place::new().load(&lines, &[3]), before);
    }

    /// Distances between entities match a walk over a list of pairs.
    #[test]
    fn what_is_near_is_what_a_walk_over_lists_finds(
        pairs in prop::collection::vec((0..7_u8, 0..7_u8), 0..12),
        depth in 1..6_u32,
    ) {
        let acts: Vec<Act> = std::iter::once(Act::Entity(0))
            .chain(pairs.iter().map(|(from, to)| Act::Relate(*from, *to)))
            .chain((0..7).map(Act::Mention))
            .collect();
        let place = Place::new();
        place.load(&write(&acts), &[5]);
        let connection = place.connection();
        let mut hops = BTreeMap::from([(0_u8, 0_u32)]);
        for hop in 1..=depth {
            let reached: Vec<u8> = hops.keys().copied().collect();
            for (one, other) in pairs.iter().flat_map(|(from, to)| [(*from, *to), (*to, *from)]) {
                if reached.contains(&one) {
                    hops.entry(other).or_insert(hop);
                }
            }
        }
        let mut expected: Vec<(u32, String)> = hops.iter().map(|(name, hop)| (*hop, named(*name))).collect();
        expected.sort();
        let near = neighbours(&connection, "p", &[named(0)], depth, &now(50)).unwrap();
        let near: Vec<(u32, String)> = near.into_iter().map(|(name, hop)| (hop, name)).collect();
        prop_assert_eq!(near, expected);
        let first_mention = acts.len() as i64 - 6;
        let mut memories: Vec<(u32, i64)> =
            hops.iter().map(|(name, hop)| (*hop, first_mention + i64::from(*name))).collect();
        memories.sort_by_key(|(hop, seq)| (*hop, -seq));
        let expected: Vec<(i64, f64)> =
            memories.into_iter().map(|(hop, seq)| (seq, 1.0 / (1.0 + f64::from(hop)))).collect();
        for project in [Some("p"), None] {
            let found = memories_near(&connection, project, "what of name  0?", depth, &now(50), 100).unwrap();
            prop_assert_eq!(&found, &expected);
        }
        prop_assert!(memories_near(&connection, Some("q"), "name 0", depth, &now(50), 100).unwrap().is_empty());
        prop_assert!(memories_near(&connection, None, "name", depth, &now(50), 100).unwrap().is_empty());
    }
}

#[test]
fn a_memory_that_ended_is_near_nothing() {
    let (mut lines, place) = (Lines::new(), Place::new());
    lines.push(MEMORY_SAVED, 1, &json!({"content": "c", "type": "note", "entities": ["Blue Kettle"]}), None);
    lines.push(engine_core::event::MEMORY_INVALIDATED, 2, &json!({"target": id(1)}), None);
    place.load(&lines, &[1]);
    let near = |moment| memories_near(&place.connection(), None, "the BLUE kettle!", 1, &moment, 10).unwrap();
    assert!(near(now(5)).is_empty());
    assert_eq!(near(Moment { as_of: Some(second(1)), ..now(5) }), [(1, 1.0)]);
}

#[test]
fn pages_of_the_graph_are_all_of_it_and_a_search_sees_every_text() {
    let (mut lines, place) = (Lines::new(), Place::new());
    for n in 0..7 {
        lines.push(
            ENTITY_PUT,
            n,
            &json!({"name": format!("e{n}"), "type": if n == 3 { "Straße" } else { "x" }}),
            None,
        );
        lines.push(
            ENTITY_OBSERVED,
            n,
            &json!({"entity": format!("e{n}"), "observations": [format!("Über {n}")]}),
            None,
        );
        lines.push(RELATION_PUT, n, &json!({"from": format!("e{n}"), "to": "e0", "type": "r"}), None);
    }
    place.load(&lines, &[4]);
    let connection = place.connection();
    let (mut after, mut names, mut relations) = (None, Vec::new(), 0);
    loop {
        let pages = Pages { after: after.take(), limit: 3 };
        let page = view(graph(&connection, "p", &pages, &now(50)).unwrap());
        names.extend(page.entities.into_iter().map(|entity| entity.name));
        relations += page.relations.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((names.len(), relations), (7, 7));
    let names = |text: &str, limit: u32| {
        let pages = Pages { after: None, limit };
        let found = view(searched(&connection, "p", text, &pages, &now(50)).unwrap());
        (found.entities.into_iter().map(|entity| entity.name).collect::<Vec<_>>(), found.next)
    };
    assert_eq!(names("STRASSE", 9).0, Vec::<String>::new());
    assert_eq!(names("straße", 9).0, ["e3"]);
    assert_eq!(names("über 5", 9).0, ["e5"]);
    assert_eq!(names("E2", 9).0, ["e2"]);
    assert_eq!(names("über", 3), (vec!["e0".into(), "e1".into(), "e2".into()], Some("e2".into())));
    let found = view(opened(&connection, "p", &["e0".into(), "none".into()], &now(50)).unwrap());
    assert_eq!((found.entities.len(), found.relations.len()), (1, 7), "those that lead there too");
}
