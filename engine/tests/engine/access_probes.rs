//! One caller tries to reach what belongs to another, over every protocol, by name and by id. Nothing may succeed, and
//! nothing may tell what exists: each answer is compared with that to the same request about something that does not
//! exist.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::access::{Guarded, bearer};
use crate::mcp::{self, meta};
use crate::process::{Answer, Client};

/// Number of probes, and the variable that sets another number.
const PROBES: usize = 2_000;
const PROBES_VARIABLE: &str = "MEMORY_ENGINE_TEST_PROBES";
/// Word that is in every text and name of the other project, and nowhere else.
const MARK: &str = "kestrel";
const OWN: &str = "alpha";
const OTHER: &str = "beta";
/// A project that nobody has.
const NONE: &str = "gamma";

/// Kind of probes that find memories of the caller by meaning: other words find other ones.
const BY_MEANING: &str = "by meaning";

/// Numbers that look random, and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(usize::MAX), self.next(usize::MAX))
    }
}

/// What the other project has.
struct Seeded {
    ids: Vec<String>,
    seqs: Vec<u64>,
    forgotten: String,
    own: Vec<String>,
}

fn seed(guarded: &Guarded) -> Seeded {
    let post = |path: &str, body: &Value| {
        let answer = guarded.post("root", path, body);
        assert!(answer.status < 300, "{path}: {answer:?}");
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    };
    let save = |project: &str, n: usize, word: &str| {
        let body = json!({
            "content": format!("the {word} number {n} flies"), "project": project, "tags": [word],
            "session": format!("{word}-session"), "entities": [word], "actor": word, "type": word,
        });
        post("/v1/memories", &body)
    };
    let saved: Vec<Value> = (0..40).map(|n| save(OTHER, n, MARK)).collect();
    let own = (0..20).map(|n| save(OWN, n, "sparrow")["id"].as_str().unwrap().to_owned()).collect();
    post(
        "/v1/documents",
        &json!({
            "project": OTHER,
            "documents": [{"source": format!("{MARK}.md"), "content": format!("# {MARK}\n\nIt flies.")}],
        }),
    );
    post("/v1/events", &json!({"events": [{"type": "note", "project": OTHER, "payload": {"text": MARK}}]}));
    post(
        "/v1/entities",
        &json!({"project": OTHER, "entities": [
            {"name": MARK, "entityType": "bird", "observations": [format!("{MARK} flies")]},
            {"name": "nest", "entityType": MARK, "observations": []},
        ]}),
    );
    post(
        "/v1/relations",
        &json!({"project": OTHER, "relations": [
            {"from": MARK, "to": "nest", "relationType": MARK},
        ]}),
    );
    for n in 0..5 {
        let body = json!({
            "project": OTHER, "namespace": ["birds", MARK], "key": format!("{MARK}-{n}"), "value": {"text": MARK},
        });
        assert_eq!(guarded.ask("root", "PUT", "/v1/items", &body).status, 201);
    }
    let gone = saved[0]["id"].as_str().unwrap().to_owned();
    post("/v1/forget", &json!({"ids": [gone], "reason": "a test"}));
    Seeded {
        ids: saved[1..].iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect(),
        seqs: saved[1..].iter().map(|one| one["seq"].as_u64().unwrap()).collect(),
        forgotten: gone,
        own,
    }
}

/// A request, with the parts that differ between what the other has and what nobody has.
struct Probe {
    kind: &'static str,
    method: &'static str,
    path: String,
    headers: String,
    body: Value,
    /// Whether the answer has to be that it is forbidden, rather than that nothing is there.
    is_forbidden: bool,
}

fn probe(kind: &'static str, method: &'static str, path: String, body: Value) -> Probe {
    Probe { kind, method, path, headers: String::new(), body, is_forbidden: false }
}

fn tool(name: &'static str, arguments: &Value) -> Probe {
    let params = json!({ "name": name, "arguments": arguments, "_meta": meta(mcp::NEWEST) });
    let body = serde_json::from_str(&mcp::request("tools/call", &params)).unwrap();
    Probe { headers: mcp::modern("tools/call", Some(name)), ..probe(name, "POST", "/mcp".into(), body) }
}

fn stored(kind: &'static str, method: &'static str, path: String, body: Value, project: &str) -> Probe {
    Probe { headers: format!("x-memory-project: {project}\r\n"), ..probe(kind, method, path, body) }
}

/// Probes by an id or a number. `own` is a memory of the caller.
fn by_id(id: &str, seq: u64, own: &str) -> Vec<Probe> {
    let reason = "a probe";
    vec![
        probe("read", "GET", format!("/v1/memories/{id}"), Value::Null),
        probe("read past", "GET", format!("/v1/memories/{id}?known_at={seq}&min_seq=0"), Value::Null),
        probe("history", "GET", format!("/v1/memories/{id}/history"), Value::Null),
        probe("entries", "POST", "/v1/memories/entries".into(), json!({"ids": [id, own]})),
        probe("invalidate", "POST", format!("/v1/memories/{id}/invalidate"), json!({"reason": reason})),
        probe("feedback", "POST", "/v1/feedback".into(), json!({"id": id, "useful": true})),
        probe("forget", "POST", "/v1/forget".into(), json!({"ids": [id], "reason": reason})),
        probe("forget both", "POST", "/v1/forget".into(), json!({"ids": [own, id], "reason": reason})),
        probe(
            "dry run",
            "POST",
            "/v1/forget".into(),
            json!({"ids": [id], "reason": reason, "dry_run": true}),
        ),
        probe("timeline", "GET", format!("/v1/timeline?anchor={id}"), Value::Null),
        probe("checkout", "POST", "/v1/checkout".into(), json!({"query": "flies", "mandatory_ids": [id]})),
        probe("proof", "GET", format!("/v1/log/proof/{seq}"), Value::Null),
        probe(
            "successor",
            "POST",
            format!("/v1/memories/{own}/invalidate"),
            json!({"superseded_by": id, "reason": reason}),
        ),
        tool("memory_get", &json!({"id": id})),
        tool("memory_as_of", &json!({"id": id, "as_of": "2100-01-01T00:00:00Z"})),
        tool("memory_timeline", &json!({"id": id})),
        tool("memory_explain", &json!({"query": "flies", "id": id})),
        tool("memory_invalidate", &json!({"id": id, "reason": reason})),
        tool("memory_feedback", &json!({"id": id, "useful": true})),
        tool("memory_forget", &json!({"ids": [id], "reason": reason})),
        tool("memory_proof", &json!({"seq": seq})),
    ]
}

/// Reads that name a project.
fn by_project(project: &str) -> Vec<Probe> {
    let get = |kind, path: &str| {
        let join = if path.contains('?') { '&' } else { '?' };
        probe(kind, "GET", format!("{path}{join}project={project}"), Value::Null)
    };
    let post = |kind, path: &str, mut body: Value| {
        body["project"] = json!(project);
        probe(kind, "POST", path.into(), body)
    };
    let place = format!("namespace=birds,{MARK}&key={MARK}-1");
    vec![
        get("search", &format!("/v1/search?q={MARK}")),
        get("events", "/v1/events"),
        get("timeline", "/v1/timeline?anchor=3"),
        get("item", &format!("/v1/items?{place}")),
        get("versions", &format!("/v1/items/versions?{place}")),
        get("graph", "/v1/graph"),
        get("nodes", &format!("/v1/graph/search?q={MARK}")),
        get("near", &format!("/v1/graph/memories?q={MARK}")),
        get("neighbours", &format!("/v1/graph/neighbours?name={MARK}")),
        post("checkout", "/v1/checkout", json!({"query": MARK})),
        post("items", "/v1/items/search", json!({"namespace_prefix": []})),
        post("namespaces", "/v1/items/namespaces", json!({})),
        post("open", "/v1/graph/open", json!({"names": [MARK]})),
        tool("memory_search", &json!({"query": MARK, "project": project})),
        tool("memory_checkout", &json!({"query": MARK, "project": project})),
        tool("memory_timeline", &json!({"seq": 3, "project": project})),
    ]
}

/// Writes that name a project.
fn writes_by_project(project: &str) -> Vec<Probe> {
    let post = |kind, path: &str, mut body: Value| {
        body["project"] = json!(project);
        probe(kind, "POST", path.into(), body)
    };
    let item = json!({"namespace": ["birds"], "key": "probe", "value": {}, "project": project});
    let entity = json!({"name": "probe", "entityType": "p", "observations": []});
    let memories = json!([{"content": "mine"}, {"content": "a probe", "project": project}]);
    let events =
        json!([{"type": "note", "payload": {}}, {"type": "note", "project": project, "payload": {}}]);
    vec![
        post("save", "/v1/memories", json!({"content": "a probe"})),
        post("documents", "/v1/documents", json!({"documents": [{"source": "s", "content": "a probe"}]})),
        post("entities", "/v1/entities", json!({"entities": [entity]})),
        post("end", "/v1/entities/end", json!({"entityNames": [MARK]})),
        post("forget project", "/v1/forget", json!({"reason": "a probe"})),
        post("forget dry", "/v1/forget", json!({"reason": "a probe", "dry_run": true})),
        probe("batch", "POST", "/v1/memories/batch".into(), json!({ "memories": memories })),
        probe("append", "POST", "/v1/events".into(), json!({ "events": events })),
        probe("put", "PUT", "/v1/items".into(), item),
        tool("memory_save", &json!({"content": "a probe", "project": project})),
    ]
}

/// Requests of clients whose project is in a header.
fn by_header(project: &str) -> Vec<Probe> {
    let item = format!("/store/items?namespace=birds.{MARK}&key={MARK}-1");
    let put = json!({"namespace": ["p"], "key": "p", "value": {}});
    let view = json!({"command": "view", "path": "/memories"});
    let all = json!({"namespace_prefix": []});
    vec![
        stored("store get", "GET", item, Value::Null, project),
        stored("store put", "PUT", "/store/items".into(), put, project),
        stored("store search", "POST", "/store/items/search".into(), all, project),
        stored("store namespaces", "POST", "/store/namespaces".into(), json!({}), project),
        stored("memory tool", "POST", "/v1/adapters/anthropic-memory".into(), view, project),
    ]
}

/// Probes that name no project: they mean the caller's own, where the word does not occur. The last word is what is
/// looked for.
fn by_word(word: &str) -> Vec<Probe> {
    let get = |kind, path: String| probe(kind, "GET", path, Value::Null);
    vec![
        get("search", format!("/v1/search?q={word}&mode=lexical")),
        get(BY_MEANING, format!("/v1/search?q={word}&explain=true")),
        get("tag", format!("/v1/search?q=flies&tags_any={word}")),
        get("session", format!("/v1/search?session={word}-session")),
        get("type", format!("/v1/search?type={word}")),
        get("events", format!("/v1/events?session={word}-session")),
        get("type of events", format!("/v1/events?type={word}")),
        get("item", format!("/v1/items?namespace=birds,{word}&key={word}-1")),
        get("nodes", format!("/v1/graph/search?q={word}")),
        get("near", format!("/v1/graph/memories?q={word}")),
        get("neighbours", format!("/v1/graph/neighbours?name={word}")),
        probe(
            "forget session",
            "POST",
            "/v1/forget".into(),
            json!({"session": format!("{word}-session"), "reason": "p"}),
        ),
        probe(
            "forget source",
            "POST",
            "/v1/forget".into(),
            json!({"source": format!("{word}.md"), "reason": "p"}),
        ),
        probe("open", "POST", "/v1/graph/open".into(), json!({"names": [word]})),
        probe(BY_MEANING, "POST", "/v1/checkout".into(), json!({"query": word, "mandatory_types": [word]})),
        Probe { kind: BY_MEANING, ..tool("memory_search", &json!({"query": word})) },
        Probe { kind: BY_MEANING, ..tool("memory_explain", &json!({"query": word})) },
    ]
}

/// Probes that need everything.
fn of_the_engine() -> Vec<Probe> {
    let plan = json!({"rules": {"max_age_days": 1}});
    let rules = json!({"max_age_days": 1});
    let apply = json!({"plan_hash": "0", "as_of": "2026-01-01T00:00:00Z", "applied_seq": 1, "rules": rules});
    vec![
        probe("plan", "POST", "/v1/retention/plan".into(), plan),
        probe("apply", "POST", "/v1/retention/apply".into(), apply),
        probe("weights", "PUT", "/v1/retrieval/weights".into(), json!({"weights": {}})),
        probe("reset", "DELETE", "/v1/retrieval/weights".into(), Value::Null),
        tool("create_entities", &json!({"entities": [{"name": "p", "entityType": "p", "observations": []}]})),
        tool("read_graph", &json!({})),
    ]
}

/// Probes that are forbidden whatever there is.
fn forbidden(project: &str) -> impl Iterator<Item = Probe> {
    let named = by_project(project).into_iter().chain(writes_by_project(project)).chain(by_header(project));
    named.chain(of_the_engine()).map(|probe| Probe { is_forbidden: true, ..probe })
}

fn send(client: &mut Client, probe: &Probe) -> Answer {
    let body = if probe.body.is_null() { String::new() } else { probe.body.to_string() };
    let kind = if probe.headers.contains("content-type") { "" } else { "content-type: application/json\r\n" };
    let headers = format!("{kind}{}{}", probe.headers, bearer("agent-a"));
    client.request(probe.method, &probe.path, &headers, &body).unwrap()
}

/// What an answer says, without what differs between any two answers.
fn said(answer: &Answer, names: &[(&str, &str)]) -> (u16, String) {
    let mut text = names.iter().fold(answer.body.clone(), |text, (name, mark)| text.replace(name, mark));
    if let Ok(mut body) = serde_json::from_str::<Value>(&text) {
        for part in ["applied_seq", "head_seq", "next_after", "query_id", "as_of", "generated_at"] {
            if let Some(fields) = body.as_object_mut() {
                fields.remove(part);
            }
        }
        text = body.to_string();
    }
    (answer.status, text)
}

fn probes() -> usize {
    std::env::var(PROBES_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or(PROBES)
}

#[test]
fn nothing_of_another_project_is_reached_or_revealed() {
    let guarded = Guarded::start("mcp: {serverMemoryTools: true, serverMemoryProject: beta}\n");
    let seeded = seed(&guarded);
    let before =
        guarded.get("root", "/v1/events?project=beta&limit=1000").json()["events"].as_array().unwrap().len();
    let (mut dice, started) = (Dice(0x5EED_0006), Instant::now());
    let mut client = Client::connect(guarded.engine.api).unwrap();
    let (mut sent, mut kinds) = (0, std::collections::BTreeSet::new());
    while sent < probes() {
        let other = match dice.next(8) {
            0 => seeded.forgotten.clone(),
            _ => seeded.ids[dice.next(seeded.ids.len())].clone(),
        };
        let seq = seeded.seqs[dice.next(seeded.seqs.len())];
        let own = &seeded.own[dice.next(seeded.own.len())];
        let (id, beyond, word) =
            (dice.id(), 1_000_000 + dice.next(1_000) as u64, format!("{:08x}", dice.next(1 << 30)));
        let pairs = by_id(&other, seq, own).into_iter().zip(by_id(&id, beyond, own));
        let pairs = pairs.chain(by_word(MARK).into_iter().zip(by_word(&word)));
        let pairs: Vec<_> = pairs.chain(forbidden(OTHER).zip(forbidden(NONE))).collect();
        let places = [other.as_str(), id.as_str()].map(|id| (id, "ID"));
        // The longer one first: the other is a part of it.
        let numbers = [beyond, seq].map(|seq| format!("event {seq}"));
        let names: Vec<(&str, &str)> = places
            .into_iter()
            .chain(numbers.iter().map(|text| (text.as_str(), "EVENT")))
            .chain([(MARK, "WORD"), (word.as_str(), "WORD"), (OTHER, "PROJECT"), (NONE, "PROJECT")])
            .collect();
        for (real, twin) in pairs {
            let (answer, nothing) = (send(&mut client, &real), send(&mut client, &twin));
            let context = format!("{}: {} {}", real.kind, real.method, real.path);
            if real.kind != BY_MEANING {
                assert_eq!(said(&answer, &names), said(&nothing, &names), "{context}: they differ");
            }
            // An answer may repeat the id that was asked for, and no other.
            let tells = seeded.ids.iter().any(|id| *id != other && answer.body.contains(id));
            assert!(!tells, "{context}: {answer:?}");
            if real.is_forbidden {
                let is_told =
                    answer.body.contains("PROJECT_FORBIDDEN") || answer.body.contains("is not bound to");
                assert!(is_told, "{context}: {answer:?}");
                assert_eq!(
                    answer.status,
                    if real.path == "/mcp" { 200 } else { 403 },
                    "{context}: {answer:?}"
                );
            }
            let asked_for = real.path.contains(MARK) || real.body.to_string().contains(MARK);
            assert!(asked_for || !answer.body.contains(MARK), "{context}: {answer:?}");
            assert!(
                !answer.body.contains("number") || !answer.body.contains(&format!("{MARK} number")),
                "{context}"
            );
            kinds.insert((real.kind, real.path.starts_with("/mcp")));
            sent += 1;
        }
    }
    println!(
        "{sent} probes of {} kinds in {:?}: none succeeded, none revealed",
        kinds.len(),
        started.elapsed()
    );
    let after = guarded.get("root", "/v1/events?project=beta&limit=1000").json();
    assert_eq!(after["events"].as_array().unwrap().len(), before, "nothing was written to the other project");
    for id in &seeded.ids {
        assert_eq!(guarded.get("root", &format!("/v1/memories/{id}")).status, 200, "everything is there");
    }
}

/// Keys for repeated requests belong to their caller.
#[test]
fn a_repeated_request_is_not_answered_for_another_caller() {
    let guarded = Guarded::start("");
    let save = |name: &str, project: &str| {
        let body = json!({"content": "x", "project": project}).to_string();
        let headers = format!("idempotency-key: k-1\r\n{}", bearer(name));
        guarded.engine.connect().request("POST", "/v1/memories", &headers, &body).unwrap()
    };
    let first = save("agent-b", "beta");
    assert_eq!((first.status, save("agent-b", "beta").status), (201, 200));
    assert_eq!(save("agent-a", "beta").status, 403);
    let own = save("agent-a", "alpha");
    assert_eq!(own.status, 201, "no conflict with a key of another caller: {own:?}");
    assert_ne!(own.json()["id"], first.json()["id"]);
}

#[test]
fn a_caller_of_one_project_need_not_name_it_and_one_of_several_must() {
    let guarded = Guarded::start("");
    let saved = guarded.post("agent-a", "/v1/memories", &json!({"content": "a sparrow"}));
    assert_eq!(saved.status, 201, "{saved:?}");
    let id = saved.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(guarded.get("root", &format!("/v1/memories/{id}")).json()["project"], "alpha");
    assert_eq!(guarded.get("agent-a", "/v1/search?q=sparrow").json()["total"], 1);
    assert_eq!(guarded.get("agent-b", "/v1/search?q=sparrow").json()["total"], 0);
    let unnamed = guarded.get("both", "/v1/search?q=sparrow");
    assert_eq!((unnamed.status, unnamed.code().as_str()), (403, "PROJECT_FORBIDDEN"));
    assert_eq!(guarded.get("both", "/v1/search?q=sparrow&project=alpha").json()["total"], 1);
    assert_eq!(guarded.get("both", &format!("/v1/memories/{id}")).status, 200, "ids name their project");
    assert_eq!(
        guarded.get("root", "/v1/search?q=sparrow").json()["total"],
        1,
        "all projects, as without keys"
    );
    let events = guarded.get("agent-a", "/v1/events").json();
    let projects: Vec<&str> =
        events["events"].as_array().unwrap().iter().map(|event| event["project"].as_str().unwrap()).collect();
    assert_eq!(projects, ["alpha"]);
    let forgotten = guarded.post("agent-a", "/v1/forget", &json!({"ids": [id], "reason": "done"}));
    assert_eq!(forgotten.json()["memories"], 1, "{forgotten:?}");
    assert!(!forgotten.body.contains("other memories begin"), "{forgotten:?}");
    assert_eq!(guarded.get("agent-a", &format!("/v1/memories/{id}/history")).status, 200);
    assert_eq!(guarded.get("agent-b", &format!("/v1/memories/{id}/history")).status, 404);
}

/// The time of an answer does not tell whether a memory of another project exists.
#[test]
fn what_is_not_there_and_what_is_not_yours_take_the_same_time() {
    const ROUNDS: usize = 400;
    let guarded = Guarded::start("");
    let seeded = seed(&guarded);
    let mut dice = Dice(0x5EED_0007);
    let mut client = Client::connect(guarded.engine.api).unwrap();
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        let other = seeded.ids[dice.next(seeded.ids.len())].clone();
        let none = dice.id();
        let mut both = [(0, other), (1, none)];
        if round % 2 == 1 {
            both.reverse();
        }
        for (place, id) in both {
            let probe = probe("read", "GET", format!("/v1/memories/{id}"), Value::Null);
            let started = Instant::now();
            assert_eq!(send(&mut client, &probe).status, 404);
            times[place].push(started.elapsed());
        }
    }
    times.iter_mut().for_each(|times| times.sort());
    let median = |times: &Vec<Duration>| times[ROUNDS / 2].as_secs_f64() * 1e6;
    let (yours, there) = (median(&times[0]), median(&times[1]));
    println!("median of {ROUNDS}: {yours:.0} µs for what is not yours, {there:.0} µs for what is not there");
    let differs = (yours - there).abs() / there;
    // The load of the machine is more than this between two medians; a skipped query would halve the time.
    assert!(differs < 0.25, "{yours} µs and {there} µs");
}
