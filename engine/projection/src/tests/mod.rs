//! The projection compared with a naive model, without an engine.

mod retention;

use std::path::PathBuf;

use engine_core::content::ContentDigest;
use engine_core::digest::{Hash, Salt, hex};
use engine_core::event::{Draft, Idempotency, MEMORY_FORGOTTEN, MEMORY_INVALIDATED, MEMORY_SAVED};
use engine_core::format::{Header, Unsealed, forget};
use engine_core::recovery::Link;
use engine_core::tags::Tags;
use engine_core::wire::SearchMode;
use jiff::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;

use crate::background_job::Stop;
use crate::graph_and_items_test::some_items_and_entities;
use crate::row_digest::digest_of;
use crate::scrub::{Finding, check_rows, check_words};
use crate::store::ProjectionStore;
use crate::{Found, LogState, Moment, Search, cause::Cause, memory, target};

/// The n-th second of the test histories.
pub(super) fn second(n: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + n).unwrap()
}

pub(super) fn id(seq: u64) -> String {
    hex(&u128::from(seq).to_be_bytes())
}

/// Lines of a log, generated without a log on disk.
pub(super) struct Lines {
    link: Link,
    pub(super) all: Vec<Vec<u8>>,
}

impl Lines {
    pub(super) fn new() -> Lines {
        let header = Header::first("log".into(), second(0));
        Lines { link: Link::after_header(&header, Hash::ZERO), all: Vec::new() }
    }

    pub(super) fn push(
        &mut self,
        kind: &str,
        at: i64,
        payload: &serde_json::Value,
        key: Option<String>,
    ) -> u64 {
        self.push_as("p", kind, at, payload, key)
    }

    fn push_of(&mut self, project: &str, kind: &str, at: i64, payload: &serde_json::Value) -> u64 {
        self.push_as(project, kind, at, payload, None)
    }

    pub(super) fn push_as(
        &mut self,
        project: &str,
        kind: &str,
        at: i64,
        payload: &serde_json::Value,
        key: Option<String>,
    ) -> u64 {
        let draft = Draft {
            kind: kind.into(),
            actor: "a".into(),
            project: project.into(),
            session: None,
            causes: Vec::new(),
            payload: serde_json::value::to_raw_value(payload).unwrap(),
        };
        let salt = Salt([7; 16]);
        let idempotency = key.map(|key| Idempotency::new(key, salt, b"request"));
        let seq = self.all.len() as u64 + 1;
        let unsealed =
            Unsealed { draft: &draft, id: id(seq), time: second(at), salt, batch: [1, 1], idempotency };
        let mut line = Vec::new();
        self.link = unsealed.seal_after(&self.link, seq - 1, &mut line);
        self.all.push(line);
        seq
    }

    pub(super) fn save(&mut self, at: i64, words: &str) -> u64 {
        self.push(MEMORY_SAVED, at, &json!({"content": words, "type": "note", "tags": ["t"]}), None)
    }
}

pub(super) struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Place {
        Place { directory: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("memories-1.sqlite")
    }

    /// Loads `lines` in transactions. The numbers of events per transaction are `sizes`, repeated in a cycle.
    pub(super) fn load(&self, lines: &Lines, sizes: &[usize]) -> ContentDigest {
        let _none_yet = std::fs::remove_file(self.path());
        let mut store = ProjectionStore::create(&self.path(), "log").unwrap();
        let mut rest = lines.all.as_slice();
        for size in sizes.iter().cycle() {
            let (now, later) = rest.split_at((*size).min(rest.len()));
            store.apply(now.iter().map(Vec::as_slice)).unwrap();
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        store.finish_loading().unwrap().digest
    }

    pub(super) fn connection(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        super::sql_functions::register(&connection).unwrap();
        super::schema::add_terms(&connection).unwrap();
        connection
    }
}

/// A log with at least one event of every type that the fold handles.
fn some_of_everything() -> Lines {
    let mut lines = Lines::new();
    for n in 0..20 {
        lines.save(n, &format!("memory number {n}"));
    }
    lines.push("other", 21, &json!({"anything": 1}), Some("key".into()));
    let payload = json!({"target": id(3), "valid_until": second(5), "reason": "r", "superseded_by": id(4)});
    lines.push(MEMORY_INVALIDATED, 22, &payload, Some("another".into()));
    lines.push(MEMORY_INVALIDATED, 23, &json!({"target": id(99)}), None);
    some_items_and_entities(&mut lines);
    lines
}

/// If the digest of the same log changes, the fold has changed: increase `PROJECTION_VERSION`.
#[test]
fn the_digest_of_a_known_log_is_known() {
    let digest = Place::new().load(&some_of_everything(), &[7]);
    assert_eq!(digest.to_string(), "41e0889d758ebd71f0f6569864ff5ae6ec6904b9922c6de842fe68425f5c4839");
}

/// The digest of the permanent log fixture is known, too: if it changes, increase `PROJECTION_VERSION`.
#[test]
fn the_digest_of_the_fixture_is_known() {
    let fixture = include_bytes!("../../../core/tests/fixtures/format-v1/00000000000000000001.jsonl");
    let events = fixture.split_inclusive(|byte| *byte == b'\n').skip(1).map(<[u8]>::to_vec);
    let digest = Place::new().load(&Lines { all: events.collect(), ..Lines::new() }, &[100]);
    assert_eq!(digest.to_string(), "a54317683567b5629ccfadfff8f3926cc4e6dfef4850e62a03b075f00d4d07f4");
}

/// Rows that were changed by anything other than the projector are detected and reported.
#[test]
fn rows_that_were_not_written_are_found() {
    let harms = [
        ("UPDATE memories SET content = content || '!' WHERE seq = 7", Cause::Edited),
        ("UPDATE memories SET project = 'q' WHERE seq = 1", Cause::Edited),
        ("DELETE FROM memories WHERE seq = 2", Cause::Edited),
        ("INSERT INTO memories SELECT 99, 'x', hash, project, kind, title, tags, actor, session, occurred_at,
          created_at, valid_from, known, content FROM memories WHERE seq = 1", Cause::Edited),
        ("UPDATE invalidations SET until = until + 1", Cause::Edited),
        ("DELETE FROM invalidations", Cause::Edited),
        ("UPDATE requests SET first_seq = 1 WHERE key = 'key'", Cause::Edited),
        ("UPDATE memories SET id = (CASE seq WHEN 1 THEN 'y' ELSE 'z' END) WHERE seq IN (1, 2)", Cause::Edited),
        ("INSERT INTO memories_fts (memories_fts) VALUES ('delete-all')", Cause::Index),
        ("INSERT INTO memories_fts (memories_fts, rowid, title, content, tags)
          SELECT 'delete', seq, terms(title), terms(content), terms(tags) FROM memories WHERE seq = 4", Cause::Index),
        ("INSERT INTO memories_fts (rowid, title, content, tags) VALUES (5, '', 'planted', '[]')", Cause::Index),
        ("UPDATE items SET value = '2' WHERE value IS NOT NULL", Cause::Edited),
        ("DELETE FROM items WHERE value IS NULL", Cause::Edited),
        ("UPDATE entities SET name = 'Eve'", Cause::Edited),
        ("UPDATE observations SET content = 'x'", Cause::Edited),
        ("UPDATE relations SET target = source", Cause::Edited),
        ("DELETE FROM graph_ends", Cause::Edited),
        ("DELETE FROM mentions", Cause::Edited),
        ("INSERT INTO items_fts (items_fts) VALUES ('delete-all')", Cause::Index),
        ("INSERT INTO items_fts (rowid, words) SELECT seq, 'planted' FROM items_current", Cause::Index),
        ("DROP TABLE memories_fts", Cause::Damaged),
    ];
    let lines = some_of_everything();
    for (harm, expected) in harms {
        let place = Place::new();
        let written = place.load(&lines, &[100]);
        let looked = |place: &Place| match check_rows(&place.path(), &Stop::default()) {
            Ok(Finding::Sound(rows)) => check_words(&place.path(), &Stop::default(), rows),
            other => other,
        };
        assert!(matches!(looked(&place), Ok(Finding::Sound(digest)) if digest == written), "before: {harm}");
        place.connection().execute_batch(harm).unwrap();
        let found = looked(&place);
        match (&found, expected) {
            // A missing table is reported as an error of the check, not as a finding about rows.
            (Err(fault), Cause::Damaged) => assert!(fault.to_string().contains("no such table"), "{fault}"),
            (Ok(Finding::Wrong(cause, _)), expected) => assert_eq!(*cause, expected, "{harm}"),
            _ => panic!("{harm}: {found:?}"),
        }
    }
}

/// One step of a history. Its position determines its time.
#[derive(Debug, Clone)]
enum Act {
    Save { valid_from: Option<i64>, occurred_at: Option<i64> },
    End { target: usize, until: Option<i64> },
}

fn act() -> impl Strategy<Value = Act> {
    let time = || prop::option::of(-5..40_i64);
    prop_oneof![
        (time(), time()).prop_map(|(valid_from, occurred_at)| Act::Save { valid_from, occurred_at }),
        (0..6_usize, time()).prop_map(|(target, until)| Act::End { target, until }),
    ]
}

/// A naive model of a history, made of lists only.
#[derive(Default)]
struct Model {
    /// Sequence number, time known, valid from.
    memories: Vec<(u64, i64, i64)>,
    /// Sequence number, time known, target, end.
    ends: Vec<(u64, i64, u64, i64)>,
}

impl Model {
    fn play(&mut self, acts: &[Act], lines: &mut Lines) {
        for act in acts {
            // Every two consecutive events share one time.
            let at = lines.all.len() as i64 / 2;
            match act {
                Act::Save { valid_from, occurred_at } => {
                    let mut payload = json!({"content": "word", "type": "note"});
                    valid_from.inspect(|from| payload["valid_from"] = json!(second(*from)));
                    occurred_at.inspect(|occurred| payload["occurred_at"] = json!(second(*occurred)));
                    let seq = lines.push(MEMORY_SAVED, at, &payload, None);
                    let from = valid_from.unwrap_or(at.min(occurred_at.unwrap_or(at)));
                    self.memories.push((seq, at, from));
                }
                Act::End { target, until } => {
                    let Some((target, ..)) = self.memories.get(*target).copied() else { continue };
                    let mut payload = json!({"target": id(target)});
                    until.inspect(|until| payload["valid_until"] = json!(second(*until)));
                    let seq = lines.push(MEMORY_INVALIDATED, at, &payload, None);
                    self.ends.push((seq, at, target, until.unwrap_or(at)));
                }
            }
        }
    }

    /// The known end of a memory, and the number of the event that recorded the end.
    fn end(&self, memory: u64, known: impl Fn(u64, i64) -> bool) -> Option<(i64, u64)> {
        let known = self.ends.iter().filter(|(seq, at, target, _)| *target == memory && known(*seq, *at));
        known.map(|(seq, _, _, until)| (*until, *seq)).min()
    }

    fn is_true(&self, memory: (u64, i64, i64), as_of: i64, known: impl Fn(u64, i64) -> bool + Copy) -> bool {
        let (seq, at, from) = memory;
        known(seq, at) && from <= as_of && self.end(seq, known).is_none_or(|(until, _)| as_of < until)
    }
}

fn found_by(connection: &Connection, words: &str, project: Option<&str>, moment: Moment) -> Vec<u64> {
    let search = Search {
        words: words.into(),
        project: project.map(str::to_owned),
        kind: None,
        session: None,
        tags: Tags::default(),
        mode: SearchMode::Lexical,
        explain: false,
        moment,
        limit: 1000,
        offset: 0,
    };
    let answer = search.run(connection).unwrap();
    let mut found: Vec<u64> = answer.items.iter().map(|hit| hit.seq).collect();
    assert_eq!(answer.total, found.len() as u64);
    found.sort_unstable();
    found
}

/// Runs all kinds of queries and compares the answers.
fn check(
    model: &Model,
    connection: &Connection,
    now: i64,
    as_of: Option<i64>,
    known_at: Option<Result<u64, i64>>,
) {
    let latest =
        model.memories.iter().map(|(_, at, _)| *at).chain(model.ends.iter().map(|(_, at, ..)| *at)).max();
    let true_at = as_of.unwrap_or(now.max(latest.unwrap_or(now)));
    let known = |seq: u64, at: i64| match known_at {
        None => true,
        Some(Ok(last)) => seq <= last,
        Some(Err(then)) => at <= then,
    };
    let asked = Moment {
        now: second(now),
        as_of: as_of.map(second),
        known: known_at.map(|at| at.map_or_else(|then| LogState::At(second(then)), LogState::Through)),
    };
    let expected: Vec<u64> = model
        .memories
        .iter()
        .filter(|memory| model.is_true(**memory, true_at, known))
        .map(|(seq, ..)| *seq)
        .collect();
    for (words, project) in [("", None), ("word", None), ("word", Some("p")), ("", Some("p"))] {
        assert_eq!(found_by(connection, words, project, asked), expected, "{words:?} {project:?} {asked:?}");
    }
    for (seq, at, from) in &model.memories {
        match memory(connection, &id(*seq), &asked).unwrap() {
            Found::Unknown => assert!(!known(*seq, *at)),
            Found::NotValid(_) => assert!(known(*seq, *at) && !expected.contains(seq)),
            Found::Valid(view) => {
                assert!(expected.contains(seq));
                let end = model.end(*seq, known);
                assert_eq!(view.validity.from, second(*from));
                assert_eq!(view.validity.until, end.map(|(until, _)| second(until)));
                assert_eq!(view.validity.invalidated_by, end.map(|(_, seq)| id(seq)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The result does not depend on the grouping of events, and the digest of the rows equals the stored one.
    #[test]
    fn any_grouping_gives_the_same_digest(
        acts in prop::collection::vec(act(), 1..25),
        sizes in prop::collection::vec(1..9_usize, 1..4),
    ) {
        let (mut lines, mut model) = (Lines::new(), Model::default());
        model.play(&acts, &mut lines);
        prop_assume!(!lines.all.is_empty());
        let place = Place::new();
        let one_by_one = place.load(&lines, &[1]);
        prop_assert_eq!(digest_of(&place.connection()).unwrap(), one_by_one);
        prop_assert_eq!(place.load(&lines, &sizes), one_by_one);
        prop_assert_eq!(place.load(&lines, &[lines.all.len()]), one_by_one);
    }

    /// Bitemporal queries on any history match the naive list.
    #[test]
    fn what_was_true_and_known_is_what_a_list_says(
        acts in prop::collection::vec(act(), 1..25),
        now in -5..45_i64,
        as_of in prop::option::of(-6..42_i64),
        known_at in prop::option::of(prop_oneof![(0..30_u64).prop_map(Ok), (-1..15_i64).prop_map(Err)]),
    ) {
        let (mut lines, mut model) = (Lines::new(), Model::default());
        model.play(&acts, &mut lines);
        prop_assume!(!lines.all.is_empty());
        let place = Place::new();
        place.load(&lines, &[5]);
        let connection = place.connection();
        check(&model, &connection, now, None, None);
        check(&model, &connection, now, as_of, known_at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A projection is the same whether the erased payloads were still in the log when it was built or not.
    #[test]
    fn what_is_forgotten_was_never_there(
        acts in prop::collection::vec(act(), 1..20),
        targets in prop::collection::btree_set(1..22_u64, 1..8),
        more in prop::collection::vec(act(), 0..5),
    ) {
        let (mut lines, mut model) = (Lines::new(), Model::default());
        model.play(&acts, &mut lines);
        lines.push(MEMORY_INVALIDATED, 20, &json!({"target": id(1)}), Some("key".into()));
        let targets: Vec<u64> = targets.into_iter().filter(|seq| *seq <= lines.all.len() as u64).collect();
        let ids: Vec<String> = targets.iter().copied().map(id).collect();
        let by = lines.push(MEMORY_FORGOTTEN, 21, &json!({"targets": ids, "reason": "r"}), None);
        model.play(&more, &mut lines);
        let place = Place::new();
        let before = place.load(&lines, &[3]);
        prop_assert_eq!(digest_of(&place.connection()).unwrap(), before);
        prop_assert!(matches!(check_words(&place.path(), &Stop::default(), before), Ok(Finding::Sound(_))));
        for seq in targets {
            let line = &mut lines.all[usize::try_from(seq).unwrap() - 1];
            let mut gone = forget(line.strip_suffix(b"\n").unwrap(), &id(by)).unwrap();
            gone.push(b'\n');
            *line = gone;
        }
        prop_assert_eq!(Place::new().load(&lines, &[3]), before);
    }
}

#[test]
fn a_clock_that_was_set_back_hides_nothing() {
    let (mut lines, place) = (Lines::new(), Place::new());
    lines.save(100, "word");
    place.load(&lines, &[1]);
    let moment = Moment { now: second(50), as_of: None, known: None };
    assert_eq!(found_by(&place.connection(), "word", None, moment), [1]);
    let then = Moment { as_of: Some(second(50)), ..moment };
    assert_eq!(found_by(&place.connection(), "word", None, then), Vec::<u64>::new());
}

#[test]
fn what_decides_about_an_end_is_of_one_moment() {
    let place = Place::new();
    place.load(&some_of_everything(), &[100]);
    let connection = place.connection();
    assert!(target(&connection, &id(99), None, None).unwrap().is_none());
    let fresh = target(&connection, &id(1), Some(&id(99)), Some("unused")).unwrap().unwrap();
    assert_eq!((fresh.project.as_str(), fresh.successor, fresh.repeated), ("p", false, false));
    let ended = target(&connection, &id(3), Some(&id(1)), Some("key")).unwrap().unwrap();
    assert_eq!((ended.successor, ended.repeated, ended.validity.until), (true, true, Some(second(5))));
}

/// A search that takes too long is stopped, and the next read gets a working connection.
#[test]
fn a_read_is_bounded_in_time() {
    let place = Place::new();
    place.load(&some_of_everything(), &[100]);
    let readers = crate::readers::Readers::open(place.path()).unwrap();
    let started = std::time::Instant::now();
    let endless = "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n";
    let read = |sql: &'static str| {
        let connection = readers.take().unwrap();
        readers.read(connection, move |connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0)))
    };
    let fault = read(endless).unwrap_err();
    assert_eq!(fault.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
    assert!(started.elapsed() < 3 * crate::readers::READ_MAX, "{:?}", started.elapsed());
    assert_eq!(read("SELECT count(*) FROM memories").unwrap(), 21);
}
