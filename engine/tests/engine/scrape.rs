//! A scrape of a running engine after a scripted workload is compared with the table of metrics, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use engine_core::metrics::{Label, LabelValues, Metric, MetricKind, table};
use serde_json::{Value, json};

use crate::process::{Running, eventually};
use crate::services::Service;

/// Rows that the workload does not reach, because they need a failing disk or a collector of traces. Every other row is
/// in the scrape.
const UNREACHED: [&Metric; 3] = [table::ARCHIVE_FAILURES, table::STORAGE_FAILURES, table::TRACE_SPANS];

/// An issuer whose keys cannot be read.
const ISSUER: &str = "https://id.example.org";

/// One line of a scrape.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
}

#[derive(Default)]
struct Scrape {
    help: BTreeMap<String, String>,
    kinds: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

fn parsed(text: &str) -> Scrape {
    let mut scrape = Scrape::default();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            assert_eq!(scrape.help.insert(name.into(), help.into()), None, "{name} twice");
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            assert_eq!(scrape.kinds.insert(name.into(), kind.into()), None, "{name} twice");
        } else {
            scrape.samples.push(sample(line));
        }
    }
    scrape
}

/// Parses `name{label="value",…} number`. No value of this workload contains a quotation mark.
fn sample(line: &str) -> Sample {
    let (series, number) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    assert!(number.parse::<f64>().is_ok(), "{line}");
    let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
    let pairs = labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty());
    let labels = pairs.map(|pair| {
        let (label, value) = pair.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
        (label.to_owned(), value.trim_end_matches('"').to_owned())
    });
    Sample { name: name.to_owned(), labels: labels.collect() }
}

/// The row that a sample belongs to.
fn row<'a>(rows: &[&'a Metric], sample: &Sample) -> Option<&'a Metric> {
    let is_of = |metric: &&&Metric| match metric.kind {
        MetricKind::Histogram(_) => ["_bucket", "_sum", "_count"]
            .iter()
            .any(|suffix| sample.name.strip_suffix(suffix) == Some(metric.name)),
        _ => sample.name == metric.name,
    };
    rows.iter().find(is_of).copied()
}

/// Whether a label may have this value, also where another table of the program defines the values.
fn admits(label: &Label, value: &str) -> bool {
    let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-'));
    match label.values {
        LabelValues::Closed(values) => values.contains(&value),
        LabelValues::From("HTTP status codes") => {
            value.parse::<u16>().is_ok_and(|code| (200..600).contains(&code))
        }
        LabelValues::From("route templates of the API") => value == "none" || value.starts_with('/'),
        LabelValues::From("version of the engine") => value == env!("CARGO_PKG_VERSION"),
        LabelValues::From("codes of errors in answers") => {
            value.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        }
        LabelValues::From("detectors of the policy") => {
            engine_core::policy::detectors().any(|detector| detector.name == value)
        }
        LabelValues::From("kinds of personal data") => {
            engine_core::policy::Kind::ALL.iter().any(|kind| kind.name() == value)
        }
        LabelValues::From("reasons of `degraded` in answers") => is_word(value),
        LabelValues::From("an issuer of the configuration") => value == ISSUER,
        LabelValues::From(other) => panic!("a test for the values of {other} is missing"),
    }
}

/// Everything in a scrape that the table does not have, and every row that the scrape does not have.
fn differences(scrape: &Scrape, rows: &[&Metric], unreached: &[&Metric]) -> Vec<String> {
    let mut faults = Vec::new();
    for sample in &scrape.samples {
        let Some(metric) = row(rows, sample) else {
            faults.push(format!("{} is in no row", sample.name));
            continue;
        };
        let mut known: BTreeSet<&str> = metric.labels.iter().map(|label| label.name).collect();
        known.insert("engine");
        if sample.name.ends_with("_bucket") {
            known.insert("le");
        }
        if sample.labels.keys().map(String::as_str).collect::<BTreeSet<_>>() != known {
            faults.push(format!("{} has the labels {:?}", sample.name, sample.labels));
        }
        for label in metric.labels {
            if !admits(label, sample.labels.get(label.name).map_or("", String::as_str)) {
                faults.push(format!("{} has {:?}", sample.name, sample.labels));
            }
        }
    }
    for metric in rows {
        let is_there = scrape.kinds.contains_key(metric.name);
        if is_there == unreached.iter().any(|other| other.name == metric.name) {
            faults.push(format!("{}: in the scrape: {is_there}", metric.name));
        }
        if is_there {
            faults.extend(described(scrape, metric));
        }
    }
    faults
}

/// What is wrong with type, help and buckets of a metric that is in the scrape.
fn described(scrape: &Scrape, metric: &Metric) -> Vec<String> {
    let mut faults = Vec::new();
    let found = (scrape.kinds[metric.name].as_str(), scrape.help[metric.name].as_str());
    if found != (metric.kind.as_str(), metric.help) {
        faults.push(format!("{} is described as {found:?}", metric.name));
    }
    if let MetricKind::Histogram(buckets) = metric.kind {
        let bucket = format!("{}_bucket", metric.name);
        let bounds: BTreeSet<&str> = scrape
            .samples
            .iter()
            .filter(|sample| sample.name == bucket)
            .map(|sample| sample.labels["le"].as_str())
            .collect();
        let wanted: Vec<String> =
            buckets.iter().map(ToString::to_string).chain(["+Inf".to_owned()]).collect();
        if bounds != wanted.iter().map(String::as_str).collect() {
            faults.push(format!("{} has the buckets {bounds:?}", metric.name));
        }
    }
    faults
}

fn post(engine: &Running, path: &str, body: &Value, status: u16) -> Value {
    let answer = engine.post(path, "", &body.to_string());
    assert_eq!(answer.status, status, "{path}: {answer:?}");
    answer.json()
}

/// Writes of every kind that has a metric.
fn write(engine: &Running) {
    let saved =
        post(engine, "/v1/memories", &json!({"content": "the zorbl is in the shed", "project": "p"}), 201);
    post(engine, "/v1/memories", &json!({"content": "write to ana@example.org", "project": "p"}), 201);
    post(
        engine,
        "/v1/memories",
        &json!({"content": "postgres://admin:Tr0ub4dor3x@db.example.org/x", "project": "p"}),
        422,
    );
    post(engine, &format!("/v1/memories/{}/invalidate", saved["id"].as_str().unwrap()), &json!({}), 201);
    let entity = |name: &str| json!({"name": name, "entityType": "thing", "observations": ["blue"]});
    post(
        engine,
        "/v1/entities",
        &json!({"project": "p", "entities": [entity("kettle"), entity("stove")]}),
        201,
    );
    let relation = json!({"from": "kettle", "to": "stove", "relationType": "on"});
    post(engine, "/v1/relations", &json!({"project": "p", "relations": [relation]}), 201);
    post(engine, "/v1/relations/end", &json!({"project": "p", "relations": [relation]}), 201);
    let observation = json!({"entityName": "kettle", "observations": ["blue"]});
    post(engine, "/v1/entities/observations/end", &json!({"project": "p", "deletions": [observation]}), 201);
    post(engine, "/v1/entities/end", &json!({"project": "p", "entityNames": ["stove"]}), 201);
    let forgotten =
        post(engine, "/v1/memories", &json!({"content": "the quux is gone", "project": "p"}), 201);
    post(engine, "/v1/forget", &json!({"ids": [forgotten["id"]], "reason": "asked"}), 200);
    let rules = json!({"rules": {"max_entries_per_project": 1}});
    let plan = post(engine, "/v1/retention/plan", &rules, 200);
    let mut changed =
        json!({"rules": plan["rules"], "as_of": plan["as_of"], "applied_seq": plan["applied_seq"]});
    changed["plan_hash"] = json!("0".repeat(64));
    post(engine, "/v1/retention/apply", &changed, 409);
}

/// Reads with every outcome of the caches that needs no failure.
fn read(engine: &Running) {
    for query in ["zorbl", "zorbl", "nothingofthekind", "nothingofthekind", "shed&mode=lexical"] {
        assert_eq!(engine.get(&format!("/v1/search?project=p&q={query}")).status, 200);
    }
    assert_eq!(engine.get("/v1/search?q=zorbl").status, 200);
    let checkout = json!({"query": "where is the zorbl", "project": "p"});
    post(engine, "/v1/checkout", &checkout, 200);
    post(engine, "/v1/checkout", &checkout, 200);
    post(engine, "/v1/checkout", &json!({"query": "", "token_budget": 1}), 400);
    assert_eq!(engine.get("/v1/graph?project=p").status, 200);
    assert_eq!(engine.get("/v1/retrieval/weights").status, 200);
    assert_eq!(engine.get("/v1/no/such/route").status, 404);
}

fn workload(engine: &Running, service: &Service) {
    write(engine);
    eventually("vectors", || {
        let status = engine.admin("/embedding").json();
        status["embedded"] == status["total"] && status["total"] != 0
    });
    read(engine);
    service.set_down(true);
    assert_eq!(engine.get("/v1/search?project=p&q=plinthoid").status, 200);
    assert_eq!(engine.save("the zorbl has no vector yet").status, 201);
    eventually("retried", || engine.admin("/metrics").body.contains("memory_provider_retries_total{"));
    assert_eq!(engine.admin_post("/rebuild", "").status, 202);
    eventually("rebuilt", || {
        engine.admin("/metrics").body.contains("memory_projection_rebuilds_total{reason=\"asked\"")
            && engine.health()["projection"]["rebuild"].is_null()
    });
    eventually("scrubbed", || engine.admin("/metrics").body.contains("memory_projection_scrubs_total{"));
}

fn promtool() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.or(home).unwrap().join("memoryengine/bin/promtool")
}

/// Returns whether `promtool check metrics` finds nothing, and what it says.
fn checked_by_promtool(text: &str) -> (bool, String) {
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("scrape");
    fs::write(&path, text).unwrap();
    let checked = Command::new(promtool())
        .args(["check", "metrics"])
        .stdin(Stdio::from(fs::File::open(&path).unwrap()))
        .output()
        .expect("promtool, which `.ci/setup test` installs");
    (checked.status.success(), String::from_utf8_lossy(&checked.stderr).into_owned())
}

#[test]
fn a_scrape_after_a_workload_is_the_table() {
    let (data, archive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let service = Service::start();
    let path = data.path().join("config.yaml");
    let address = service.address;
    let config = format!(
        "embedding: {{provider: http, url: 'http://{address}/v1/embeddings', model: small, queryTimeoutMillis: 5000}}\n\
         rerank: {{url: 'http://{address}/v1/rerank', model: cross, timeoutSeconds: 10}}\n\
         access: {{issuers: [{{issuer: '{ISSUER}', audiences: [a], jwksFile: /nowhere, scopes: [read], \
         projects: [p]}}]}}\n\
         backup: {{url: 'file://{}', archiveIntervalSeconds: 1}}\n",
        archive.path().display()
    );
    fs::write(&path, config).unwrap();
    let engine = Running::spawn_with(data.path(), &["--config".as_ref(), path.as_os_str()]);
    eventually("ready", || engine.admin("/readyz").status == 200);
    workload(&engine, &service);

    let text = engine.admin("/metrics").body;
    let scrape = parsed(&text);
    let rows = [table::ALL, table::process::ALL].concat();
    assert_eq!(differences(&scrape, &rows, &UNREACHED), [] as [String; 0]);
    let values = |name: &str, label: &str| -> BTreeSet<String> {
        let of_name = scrape.samples.iter().filter(|sample| sample.name == name);
        of_name.map(|sample| sample.labels[label].clone()).collect()
    };
    let all = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(values("memory_stage_seconds_count", "stage"), all(table::STAGES));
    assert_eq!(values("memory_graph_upserts_total", "kind"), all(&["entity", "observations", "relation"]));
    let ended = all(&["entity", "memory", "observations", "relation"]);
    assert_eq!(values("memory_invalidations_total", "kind"), ended);
    assert_eq!(checked_by_promtool(&text), (true, String::new()));

    // The comparison finds what is wrong.
    let fewer: Vec<&Metric> =
        rows.iter().copied().filter(|metric| metric.name != "memory_appends_total").collect();
    assert_eq!(differences(&scrape, &fewer, &UNREACHED), ["memory_appends_total is in no row"]);
    let strange = text.replace("stage=\"rank\"", "stage=\"rang\"").replace("le=\"0.001\"", "le=\"0.002\"");
    let found = differences(&parsed(&strange), &rows, &UNREACHED);
    assert!(
        found.iter().any(|fault| fault.contains("\"rang\""))
            && found.iter().any(|fault| fault.contains("0.002"))
    );
    assert!(!checked_by_promtool("# TYPE memory_x gauge\nmemory_x{ 1\n").0);
}
