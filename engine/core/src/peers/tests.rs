//! Tests of reading records of other products.

use serde_json::json;

use super::basic_memory::{self, Names};
use super::mem0::{self, Change};
use super::{Record, Step, server_memory, time};
use crate::limits::OBSERVATION_CHARS_MAX;

fn only(mut records: Vec<Record>) -> Record {
    assert_eq!(records.len(), 1);
    records.remove(0)
}

fn labels(record: &Record) -> Vec<&'static str> {
    record.steps.iter().map(Step::label).collect()
}

fn refusals(record: &Record) -> Vec<&'static str> {
    record.refused.iter().map(super::Refused::label).collect()
}

fn observation(entity: &str, content: &str) -> Step {
    Step::Observation { entity: entity.into(), content: content.into() }
}

#[test]
fn a_line_of_server_memory_is_an_entity_or_a_relation() {
    let entity = br#"{"type":"entity","name":"Ann","entityType":"person","observations":["likes tea","is \u00e9lan"]}"#;
    let record = only(server_memory::line(entity));
    assert_eq!(
        record.steps,
        [
            Step::Entity { name: "Ann".into(), kind: "person".into() },
            observation("Ann", "likes tea"),
            observation("Ann", "is élan"),
        ]
    );
    assert!(record.changed.is_empty() && record.left_out.is_empty() && record.refused.is_empty());
    let relation = br#"{"type":"relation","from":"Ann","to":"Bob","relationType":"knows","since":2020}"#;
    let record = only(server_memory::line(relation));
    assert_eq!((labels(&record), record.left_out), (vec!["relations"], vec!["since".to_owned()]));
    let graph = br#"{"entities":[{"name":"Ann","entityType":"person","observations":[]},7],"relations":[{"from":"a","to":"b","relationType":"r"}]}"#;
    let records = server_memory::line(graph);
    assert_eq!(records.iter().map(labels).collect::<Vec<_>>(), [vec!["entities"], vec![], vec!["relations"]]);
}

#[test]
fn what_server_memory_takes_and_an_engine_does_not_is_changed_or_refused() {
    for (line, reason) in [
        (r#"{"type":"entity","name":"Ann""#, "not_strict"),
        (r#"{"type":"entity","type":"relation","name":"Ann"}"#, "not_strict"),
        ("[1]", "wrong_kind"),
        ("{}", "missing_field"),
        (r#"{"type":"thing"}"#, "unknown_type"),
        (r#"{"type":"entity","entityType":"x"}"#, "missing_field"),
        (r#"{"type":"entity","name":7,"entityType":"x"}"#, "wrong_field"),
        (r#"{"type":"entity","name":" ","entityType":"x"}"#, "no_name"),
        (r#"{"type":"entity","name":"a\nb","entityType":"x"}"#, "no_name"),
        (r#"{"type":"entity","name":"a","entityType":"x","observations":"y"}"#, "wrong_field"),
        (r#"{"type":"relation","from":"a","relationType":"r"}"#, "missing_field"),
    ] {
        let record = only(server_memory::line(line.as_bytes()));
        assert_eq!((refusals(&record), labels(&record)), (vec![reason], vec![]), "{line}");
    }
    let long = format!("One {}. ", "word ".repeat(20)).repeat(60);
    assert!(long.len() > OBSERVATION_CHARS_MAX);
    let line =
        json!({"type": "entity", "name": "a", "entityType": "t".repeat(65), "observations": [long, "", 7]});
    let record = only(server_memory::line(line.to_string().as_bytes()));
    assert_eq!(
        (&record.changed[..], refusals(&record)),
        (&["type", "split"][..], vec!["no_name", "wrong_field"])
    );
    let parts: Vec<&str> = record
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Observation { content, .. } => Some(content.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!((parts.len(), parts.concat()), (2, long));
    assert!(parts[0].ends_with(". "), "cut behind a sentence");
}

#[test]
fn the_answer_of_get_all_becomes_memories() {
    let export = json!({"results": [
        {"id": "1", "memory": "Likes tea", "hash": "x", "metadata": {"category": "food", "app": "a"},
         "created_at": "2025-03-01T10:00:00.5-08:00", "updated_at": null, "user_id": "ann", "run_id": "r1"},
        {"id": "2", "memory": " "}, {"id": 3, "memory": "x"}, 7,
    ], "relations": [{"source": "ann", "relationship": "likes", "target": "tea"}]});
    let records = mem0::export(&export);
    let Step::Memory { memory, .. } = &records[0].steps[0] else { panic!("{records:?}") };
    assert_eq!(
        (memory.content.as_str(), memory.actor.as_deref(), memory.session.as_deref()),
        ("Likes tea", Some("ann"), Some("r1"))
    );
    assert!(memory.tags[0] == "mem0" && memory.tags[1].starts_with("mem0:") && memory.tags[2..] == ["food"]);
    assert_eq!(records[0].left_out, ["app"]);
    assert_eq!(memory.occurred_at.unwrap().to_string(), "2025-03-01T18:00:00.5Z");
    assert_eq!(
        records[1..4].iter().flat_map(refusals).collect::<Vec<_>>(),
        ["wrong_field", "wrong_field", "wrong_kind"]
    );
    assert_eq!(labels(&records[4]), ["relations"]);
    assert_eq!(labels(&mem0::export(&json!([{"id": "1", "memory": "x"}]))[0]), ["memories"]);
    assert_eq!(refusals(&only(mem0::export(&json!({"a": 1})))), ["wrong_kind"]);
}

#[test]
fn a_history_of_mem0_is_what_was_true_when() {
    let change = |event: &str, old: Option<&str>, new: Option<&str>| {
        mem0::change(&Change {
            memory_id: Some("1".into()),
            old_memory: old.map(str::to_owned),
            new_memory: new.map(str::to_owned),
            event: Some(event.into()),
            created_at: Some("2025-03-01T10:00:00+00:00".into()),
            updated_at: Some("2025-04-01 10:00:00".into()),
            actor_id: None,
        })
    };
    let added = change("ADD", None, Some("Lives in Rome")).unwrap();
    let moved = change("UPDATE", Some("Lives in Rome"), Some("Lives in Oslo")).unwrap();
    let gone = change("DELETE", Some("Lives in Oslo"), None).unwrap();
    let Step::Memory { id: rome, .. } = &added.steps[0] else { panic!() };
    let [Step::Memory { id: oslo, memory }, Step::End { id, until, by }] = &moved.steps[..] else { panic!() };
    assert_eq!(
        (id, by.as_ref(), until.unwrap().to_string()),
        (rome, Some(oslo), "2025-04-01T10:00:00Z".into())
    );
    assert_eq!(memory.occurred_at, *until);
    assert!(matches!(&gone.steps[..], [Step::End { id, by: None, .. }] if id == oslo));
    assert!(change("UPDATE", Some("same"), Some("same")).unwrap().steps.is_empty());
    assert_eq!(change("ADD", None, None).unwrap_err().label(), "missing_field");
    assert_eq!(change("MERGE", None, None).unwrap_err().label(), "unknown_type");
}

const NOTE: &str = "---\ntitle: Coffee\ntype: guide\npermalink: drinks/coffee\ntags:\n- brewing\n- '#fruit'\ncreated: 2025-01-02\n---\n\n# Coffee\n\n- [method] Pour over gives #clarity (pour over)\n- [ ] a task\n- [x] done\n- [00:12] spoken\n- no category #tagged\n- relates_to [[Tea]]\n- \"pairs well with\" [[Cake|cakes]] (on Sundays)\n- some prose with [[Milk]] in it\n\n```\n- [no] observation\n- no [[Link]]\n```\n\n> - [quoted] no observation\n\nSee [[drinks/tea]] and `[[not]]`.\n";

#[test]
fn a_note_of_basic_memory_is_a_document_an_entity_and_relations() {
    let note = basic_memory::note("drinks/Coffee.md", NOTE.as_bytes()).unwrap();
    assert_eq!(
        (note.title.as_str(), note.kind.as_str(), note.permalink.as_deref()),
        ("Coffee", "guide", Some("drinks/coffee"))
    );
    assert_eq!(note.tags, ["brewing", "#fruit"]);
    assert_eq!(note.observations, ["[method] Pour over gives #clarity (pour over)", "no category #tagged"]);
    let links: Vec<(&str, &str, Option<&str>)> = note
        .relations
        .iter()
        .map(|link| (link.kind.as_str(), link.target.as_str(), link.context.as_deref()))
        .collect();
    assert_eq!(
        links,
        [
            ("relates_to", "Tea", None),
            ("pairs well with", "Cake", Some("on Sundays")),
            ("links_to", "Milk", None),
            ("links_to", "drinks/tea", None),
        ]
    );
    let tea = basic_memory::note("drinks/tea.md", b"---\r\ntitle: Tea\r\n---\r\ntext").unwrap();
    let mut names = Names::default();
    names.add(&note);
    names.add(&tea);
    let record = basic_memory::record(&note, &names);
    assert_eq!(
        labels(&record),
        [
            "documents",
            "entities",
            "observations",
            "observations",
            "relations",
            "relations",
            "observations",
            "relations",
            "relations"
        ]
    );
    assert!(
        record.steps.iter().any(
            |step| matches!(step, Step::Relation(it) if it.to == "Tea" && it.relation_type == "links_to")
        )
    );
    let Step::Document(document) = &record.steps[0] else { panic!() };
    assert_eq!(
        (document.source.as_str(), document.title.as_deref()),
        ("basic-memory/drinks/Coffee.md", Some("Coffee"))
    );
    assert_eq!(
        (document.tags.join(" "), document.occurred_at.unwrap().to_string()),
        ("brewing fruit".into(), "2025-01-02T00:00:00Z".into())
    );
}

#[test]
fn a_link_to_a_file_leads_to_its_note() {
    let text = b"See [tea](../tea.md#top), [cake](cake%20recipe.md), [web](https://example.org/x.md), `[no](no.md)` and [[Multi\nline]].";
    let note = basic_memory::note("drinks/coffee.md", text).unwrap();
    let targets: Vec<&str> = note.relations.iter().map(|link| link.target.as_str()).collect();
    assert_eq!(targets, ["tea.md", "drinks/cake recipe.md", "Multi line"]);
    assert!(note.relations.iter().all(|link| link.kind == "links_to"));
}

#[test]
fn two_notes_with_one_title_are_two_entities() {
    let one = basic_memory::note("a/Log.md", b"text").unwrap();
    let other = basic_memory::note("b/Log.md", b"text").unwrap();
    let mut names = Names::default();
    names.add(&one);
    names.add(&other);
    let name = |note| match &basic_memory::record(note, &names).steps[1] {
        Step::Entity { name, .. } => name.clone(),
        step => panic!("{step:?}"),
    };
    assert_eq!((name(&one), name(&other)), ("Log".to_owned(), "Log (b/Log.md)".to_owned()));
}

#[test]
fn times_are_read_as_these_products_write_them() {
    for (text, expected) in [
        ("2025-03-01T10:00:00.123456-08:00", "2025-03-01T18:00:00.123456Z"),
        ("2025-03-01T10:00:00Z", "2025-03-01T10:00:00Z"),
        ("2025-03-01 10:00:00", "2025-03-01T10:00:00Z"),
        ("2025-03-01T10:00:00", "2025-03-01T10:00:00Z"),
        ("2025-03-01", "2025-03-01T00:00:00Z"),
    ] {
        assert_eq!(time(text).map(|time| time.to_string()).as_deref(), Some(expected), "{text}");
    }
    assert_eq!(time("yesterday"), None);
}
