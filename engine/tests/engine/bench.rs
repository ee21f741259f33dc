//! A short run of the benchmark still measures every part.

use serde_json::Value;

use crate::pki::{Authority, mount};
use crate::process::binary;

#[test]
fn each_figure_of_the_benchmark_stands_beside_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let measured = binary()
        .args(["bench", "--seconds", "0.05", "--rounds", "1", "--events", "1000", "--dir"])
        .arg(directory.path())
        .arg("--json")
        .arg(file("figures.json"))
        .arg("--report")
        .arg(file("PERFORMANCE.md"))
        .output()
        .unwrap();
    assert!(measured.status.success(), "{measured:?}");
    let figures: Value = serde_json::from_slice(&std::fs::read(file("figures.json")).unwrap()).unwrap();
    let rows = figures["rows"].as_array().unwrap();
    for part in [
        "append over HTTP",
        "append in process",
        "verify",
        "rebuild",
        "start with",
        "resident memory with",
        "resident memory without",
        "read by id",
        "keyword search",
        "hybrid search",
        "vector search",
        "checkout",
        "cached read over HTTP",
        "cached read over HTTP, traces on, all recorded",
        "ids and span of a request, in process",
    ] {
        assert!(rows.iter().any(|row| row["work"].as_str().unwrap().starts_with(part)), "{part}: {rows:?}");
    }
    for row in rows {
        assert!(row["value"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["limit"].is_null() || row["limit"]["ratio"].as_f64().unwrap() > 0.0, "{row}");
    }
    let page = std::fs::read_to_string(file("PERFORMANCE.md")).unwrap();
    assert_eq!(page.matches("\n| ").count(), rows.len() + 1, "a line for each figure: {page}");
    assert!(std::fs::read_to_string(file("PERFORMANCE.svg")).unwrap().ends_with("</svg>\n"));
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 3, "only the requested parts are listed");
}

#[test]
fn the_cost_of_tls_is_measured_beside_an_engine_without() {
    let [directory, certificates] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let authority = Authority::new("first");
    mount(certificates.path(), &authority.server(), Some(&authority.pem()));
    let file = directory.path().join("figures.json");
    let measured = binary()
        .args(["bench", "--seconds", "0.05", "--rounds", "1", "--dir"])
        .arg(directory.path())
        .arg("--tls")
        .arg(certificates.path())
        .arg("--json")
        .arg(&file)
        .output()
        .unwrap();
    assert!(measured.status.success(), "{measured:?}");
    let figures: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let rows = figures["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows.iter().all(|row| row["value"].as_f64().unwrap() > 0.0), "{rows:?}");
    assert_eq!(rows[1]["limit"]["name"], "the same without TLS");
}

#[test]
fn the_cost_of_backups_and_the_time_of_a_restore_are_measured() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("figures.json");
    let measured = binary()
        .args(["bench", "--archive", "--seconds", "0.05", "--rounds", "2", "--events", "1000", "--dir"])
        .arg(directory.path())
        .arg("--json")
        .arg(&file)
        .output()
        .unwrap();
    assert!(measured.status.success(), "{measured:?}");
    let figures: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let rows = figures["rows"].as_array().unwrap();
    let row = |begin: &str| {
        let is_it = |row: &&Value| row["work"].as_str().unwrap().starts_with(begin);
        rows.iter().find(is_it).unwrap_or_else(|| panic!("{begin}: {rows:?}"))
    };
    assert_eq!(row("append, one client, p99, during")["limit"]["name"], "the same without backups");
    // The limit that this figure has to keep on any machine: bytes, not time.
    assert_eq!(row("stored by a backup of unchanged data")["met"], true, "{rows:?}");
    let whole = row("restore of 1000 events until an engine answers")["value"].as_f64().unwrap();
    let parts: f64 = rows
        .iter()
        .filter(|row| row["work"].as_str().unwrap().starts_with("of that: "))
        .map(|row| row["value"].as_f64().unwrap())
        .sum();
    assert!(whole > 0.0 && (whole - parts).abs() < 0.01, "{rows:?}");
}
