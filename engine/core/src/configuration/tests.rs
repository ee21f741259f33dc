use serde_json::json;

use super::*;
use crate::wire::Unknown;

fn person(file: &Value) -> Result<Configuration, Vec<String>> {
    read(file, Author::Person).map(|(configuration, not_applied)| {
        assert_eq!(not_applied, []);
        configuration
    })
}

/// A value that a key accepts.
fn example(key: &Key) -> Value {
    match (key.kind, key.name) {
        (Kind::Text, "url" | "endpoint") => json!("https://models.example/v1"),
        (Kind::Text, _) => json!("example"),
        (Kind::Bool, _) => json!(true),
        (Kind::Integer { max, .. }, _) => json!(max),
        (Kind::Number { max }, _) => json!(max),
        // The last providers require other keys.
        (Kind::Enum(words), _) => json!(words[0]),
        (Kind::Checked { .. }, _) => json!(["memory.example.org"]),
        (Kind::Structured { .. }, _) => json!([]),
    }
}

#[test]
fn what_every_key_is_set_to_is_read_and_written_back() {
    let mut file = json!({});
    for (section, key) in keys() {
        file[section][key.name] = example(key);
        if let Some((other, word)) = key.needs.filter(|(_, word)| *word == "http") {
            file[section][other] = json!(word);
        }
    }
    for url in ["url", "keysUrl"] {
        file["backup"][url] = json!("s3://bucket/prefix");
    }
    // Valid only with another provider.
    file["embedding"].as_object_mut().unwrap().remove("path");
    let configuration = person(&file).unwrap();
    assert_eq!(serde_json::to_value(&configuration).unwrap(), file);
    let other = json!({"embedding": {"provider": "model2vec", "path": "/models/a"}});
    assert_eq!(serde_json::to_value(person(&other).unwrap()).unwrap(), other);
}

#[test]
fn every_default_and_every_word_may_stand_in_the_file() {
    for (section, key) in keys() {
        if let Some(default) = key.default {
            assert_eq!(key.fault(&default()), None, "{section}.{}", key.name);
        }
        let Kind::Enum(words) = key.kind else { continue };
        for word in words {
            let file = json!({section: {key.name: word}});
            let faults = person(&file).err().unwrap_or_default();
            assert!(
                faults.iter().all(|fault| fault.ends_with("is missing") || fault.contains("is missing:"))
            );
        }
    }
    assert_eq!(person(&json!({})), Ok(Configuration::default()));
    assert_eq!(person(&Value::Null), Ok(Configuration::default()));
    let defaults = Configuration::default();
    assert_eq!(defaults.shutdown.drain_seconds(), 20);
    assert_eq!(defaults.limits.keep_alive_seconds(), 75);
}

#[test]
fn numbers_beyond_their_bounds_are_refused() {
    for (section, key) in keys() {
        let Some((min, max)) = key.bounds() else { continue };
        let word = key.needs.map(|(other, word)| (other.to_owned(), json!(word)));
        let below = i64::try_from(min).expect("minimums are small") - 1;
        for beyond in [json!(below), json!(max + 1), json!("1"), json!(1.5), json!(null)] {
            let mut file = json!({section: {key.name: beyond}});
            file[section].as_object_mut().unwrap().extend(word.clone());
            let faults = person(&file).unwrap_err();
            let expected = format!("{section}.{} must be an integer from {min} to {max}", key.name);
            assert!(faults.contains(&expected), "{faults:?}");
        }
    }
}

#[test]
fn what_is_unknown_is_named_with_what_is_known() {
    let faults = person(&json!({"more": 1, "log": {"levl": "info"}, "saving": []})).unwrap_err();
    assert!(faults[0].starts_with("the file has an unknown key \"more\"; known are engine, log, "));
    assert_eq!(faults[1..], ["log has an unknown key \"levl\"; known are level", "saving must be a mapping"]);
    let policy = person(&json!({"policy": {"exceptions": [{"detector": "email", "until": "soon"}]}}));
    assert!(policy.unwrap_err()[0].starts_with("policy cannot be read: unknown field `until`"));
    let policy = person(&json!({"policy": {"identifiers": "keep", "block": ["x"]}})).unwrap_err();
    assert_eq!(policy[0], "policy.identifiers must be Pseudonymise, Refuse or Keep");
    assert!(policy[1].starts_with("policy.block names \"x\", which is not one of: "));
}

/// A file as a newer operator would write it.
#[test]
fn what_only_a_newer_version_knows_is_left_out_and_reported() {
    let reviewed = |more: Value| {
        let mut exception = json!({"detector": "email", "value": "a@b.io", "reason": "r", "reviewer": "w"});
        exception.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        exception
    };
    let file = json!({
        "engine": {"namespace": "team", "name": "notes"},
        "federation": {"endpoint": "secret"},
        "limits": {"requestsPerSecond": 50, "bytesPerSecond": 1},
        "log": {"level": "notice"},
        "embedding": {"provider": "remote", "url": "secret"},
        "policy": {
            "block": ["jwt", "newer-token"],
            "redact": ["iris"],
            "exceptions": [reviewed(json!({})), reviewed(json!({"projects": ["secret"]})),
                reviewed(json!({"detector": "iris"}))],
        },
    });
    let (configuration, not_applied) = read(&file, Author::Operator).unwrap();
    let found: Vec<_> = not_applied.iter().map(|one| (one.key.as_str(), one.unknown)).collect();
    let expected = [
        ("federation", Unknown::Section),
        ("log.level", Unknown::Value),
        ("policy.block", Unknown::Value),
        ("policy.redact", Unknown::Value),
        ("policy.exceptions[1].projects", Unknown::Key),
        ("policy.exceptions[2].detector", Unknown::Value),
        ("embedding.provider", Unknown::Value),
        ("limits.bytesPerSecond", Unknown::Key),
    ];
    assert_eq!(found, expected);
    assert!(!format!("{not_applied:?}").contains("secret"), "{not_applied:?}");
    assert_eq!(configuration.limits.requests_per_second, Some(50));
    assert_eq!(configuration.policy.block.as_deref(), Some(&["jwt".to_owned()][..]));
    assert_eq!(configuration.policy.exceptions.as_ref().map(Vec::len), Some(1));
    assert_eq!(configuration.log.level(), LogLevel::Info);
    // A wrong value of a known key is refused for every author.
    let wrong = read(&json!({"limits": {"burst": 0}}), Author::Operator).unwrap_err();
    assert_eq!(wrong, ["limits.burst must be an integer from 1 to 1000000"]);
    // Only the first fault of the policy can be read.
    assert_eq!(person(&file).unwrap_err().len(), 6);
}

#[test]
fn the_list_of_what_is_not_applied_is_bounded() {
    let file: serde_json::Map<_, _> = (0..200).map(|n| (format!("section{n}"), json!({}))).collect();
    let (_, not_applied) = read(&Value::Object(file), Author::Operator).unwrap();
    assert_eq!(not_applied.len(), 64);
}

#[test]
fn addresses_are_complete_and_keys_are_not_sent_in_the_clear() {
    let faults = |url: &str| {
        let service = json!({"url": url, "model": "m", "apiKeyFile": "/k"});
        person(&json!({"rerank": service})).err().unwrap_or_default()
    };
    for url in ["https://a/", "http://localhost:1/x", "http://[::1]:1", "http://127.0.0.1?q", "https://a"] {
        assert_eq!(faults(url), [] as [String; 0], "{url}");
    }
    for url in ["ftp://a/", "https://u:p@a/", "https://", "a/b", "http:///x", "http://:1/"] {
        assert_eq!(faults(url), [address_fault("rerank")], "{url}");
    }
    assert_eq!(faults("http://a/"), ["rerank.url must be https:// where rerank.apiKeyFile is given"]);
}

#[test]
fn the_table_has_every_key_once() {
    let table = table();
    for (section, key) in keys() {
        assert_eq!(table.matches(&format!("\n| `{section}.{}` |", key.name)).count(), 1);
        assert!(!key.about.trim().is_empty() && !key.since.is_empty());
    }
    assert!(
        table.contains(
            "| `rotation.maxSegmentBytes` | 67,108,864 | 1 MiB–1 GiB | `rotation.maxSegmentSize` |"
        )
    );
}
