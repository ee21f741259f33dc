//! Test vectors for other readers of logs: valid and invalid lines with their verdicts. Invalid lines have correct
//! hashes unless the hash is what is wrong.

use engine_core::digest::{Hash, Salt, time_ordered_id};
use engine_core::format::{EventLine, Header, Seal};
use serde::{Deserialize, Serialize};

use crate::fixtures::current;
use crate::log::{Log, lines};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Vector {
    pub(crate) what: String,
    /// `ok`, or the label of the fault.
    pub(crate) verdict: String,
    /// The line without its line feed. It follows the header of the fixture, unless the line itself is a header or a
    /// seal.
    pub(crate) line: String,
}

const SALT: Salt = Salt([7; 16]);

fn envelope(payload: &str) -> String {
    let log = Log::new();
    format!(
        "{{\"seq\":1,\"id\":\"{}\",\"time\":\"2026-01-01T00:00:00Z\",\"type\":\"t\",\"actor\":\"a\",\"project\":\"p\",\
         \"batch\":[1,1],\"synced\":0,\"prev\":\"{}\",\"payload_sha256\":\"{}\"}}",
        time_ordered_id(1, [1; 10]),
        log.link.hash,
        Hash::salted(SALT, payload.as_bytes())
    )
}

/// An event line with this envelope, a correct hash, and `rest` after it.
fn line(envelope: &str, rest: &str) -> String {
    format!("{{\"event\":{envelope},\"hash\":\"{}\"{rest}", Hash::of(envelope.as_bytes()))
}

fn with_payload(payload: &str) -> String {
    line(&envelope(payload), &format!(",\"salt\":\"{SALT}\",\"payload\":{payload}}}"))
}

fn with_envelope(from: &str, to: &str) -> String {
    let changed = envelope("{}").replacen(from, to, 1);
    line(&changed, &format!(",\"salt\":\"{SALT}\",\"payload\":{{}}}}"))
}

fn hashed(kind: &str, object: &str) -> String {
    format!("{{\"{kind}\":{object},\"hash\":\"{}\"}}", Hash::of(object.as_bytes()))
}

type Case = (&'static str, &'static str, String);

/// Lines with a wrong frame.
fn frames() -> Vec<Case> {
    let whole = with_payload("{}");
    let stored = Hash::of(envelope("{}").as_bytes()).to_string();
    let forgotten = line(&envelope("{}"), &format!(",\"forgotten\":\"{}\"}}", time_ordered_id(9, [9; 10])));
    vec![
        ("the plainest event", "ok", whole.clone()),
        ("white space in the envelope", "ok", with_envelope("\"seq\":1", "\"seq\" : 1")),
        (
            "fields in another order",
            "ok",
            with_envelope("\"actor\":\"a\",\"project\":\"p\"", "\"project\":\"p\",\"actor\":\"a\""),
        ),
        ("an escape in the envelope", "ok", with_envelope("\"actor\":\"a\"", "\"actor\":\"\\u0061\"")),
        (
            "every optional field",
            "ok",
            with_envelope(
                ",\"batch\"",
                ",\"session\":\"s\",\"causes\":[\"00000000000000000000000000000000\"],\"batch\"",
            ),
        ),
        (
            "a payload with everything",
            "ok",
            with_payload("{\"a\":[1,-0,1.50,2e3,true,null,\"é🦀\\n\\u0000\"],\"b\":{\"a\":{}}}"),
        ),
        ("a forgotten payload", "ok", forgotten.clone()),
        (
            "a forgotten payload with its salt",
            "frame",
            forgotten.replace(",\"forgotten\"", &format!(",\"salt\":\"{SALT}\",\"forgotten\"")),
        ),
        ("forgotten by what is no id", "frame", forgotten.replace("\"forgotten\":\"0", "\"forgotten\":\"x")),
        ("forgotten by nobody", "frame", line(&envelope("{}"), "}")),
        ("no payload", "frame", whole.replace(",\"payload\":{}", "")),
        ("no salt", "frame", whole.replace(&format!(",\"salt\":\"{SALT}\""), "")),
        ("a short salt", "frame", whole.replace(&SALT.to_string(), "0707")),
        ("a hash in upper case", "frame", whole.replace(&stored, &stored.to_uppercase())),
        ("something before the line", "frame", format!(" {whole}")),
        ("something after the line", "frame", format!("{whole} ")),
        ("another field at the end", "frame", whole.replace("\"payload\":{}", "\"payload\":{},\"x\":{")),
        ("a payload that is no object", "frame", with_payload("[]")),
        ("an event that is no object", "frame", whole.replacen("{\"event\":{", "{\"event\":[{", 1)),
        ("half a line", "frame", whole[..whole.len() / 2].to_owned()),
        ("nothing", "frame", String::new()),
    ]
}

/// Well-formed lines with impossible content.
fn contents() -> Vec<Case> {
    let whole = with_payload("{}");
    let stored = Hash::of(envelope("{}").as_bytes()).to_string();
    vec![
        ("another hash", "hash", whole.replace(&stored, &Hash::ZERO.to_string())),
        ("an envelope that was edited", "hash", whole.replace("\"actor\":\"a\"", "\"actor\":\"b\"")),
        ("a payload that was edited", "commitment", whole.replace("\"payload\":{}", "\"payload\":{\"a\":1}")),
        (
            "a salt that was edited",
            "commitment",
            whole.replace(&SALT.to_string(), &Salt([8; 16]).to_string()),
        ),
        ("a key twice in the envelope", "envelope", with_envelope("\"seq\":1", "\"seq\":1,\"seq\":1")),
        ("an unknown field in the envelope", "envelope", with_envelope("\"seq\":1", "\"seq\":1,\"more\":1")),
        ("a missing field in the envelope", "envelope", with_envelope("\"actor\":\"a\",", "")),
        ("a number where a text belongs", "envelope", with_envelope("\"actor\":\"a\"", "\"actor\":1")),
        ("a fraction where a number belongs", "envelope", with_envelope("\"seq\":1", "\"seq\":1.0")),
        ("a time that is none", "envelope", with_envelope("2026-01-01", "2026-13-01")),
        ("a key twice in the payload", "payload", with_payload("{\"a\":1,\"a\":1}")),
        ("a key twice in the payload, once escaped", "payload", with_payload("{\"a\":1,\"\\u0061\":1}")),
        ("a key twice, further down", "payload", with_payload("{\"b\":[{\"a\":1,\"a\":1}]}")),
        ("a number that is not finite", "payload", with_payload("{\"a\":1e999}")),
        ("NaN", "payload", with_payload("{\"a\":NaN}")),
        ("half a surrogate pair", "payload", with_payload("{\"a\":\"\\ud800\"}")),
        ("a payload with something after it", "payload", with_payload("{},{}")),
        ("a leading zero", "payload", with_payload("{\"a\":01}")),
        ("another number", "sequence", with_envelope("\"seq\":1", "\"seq\":2")),
        (
            "another line before",
            "link",
            with_envelope(&Log::new().link.hash.to_string(), &Hash::ZERO.to_string()),
        ),
        ("the second of a batch that has no first", "batch", with_envelope("[1,1]", "[2,2]")),
        ("a batch of none", "batch", with_envelope("[1,1]", "[0,0]")),
        ("a batch of too many", "batch", with_envelope("[1,1]", "[1,1001]")),
        ("durable before it was written", "synced", with_envelope("\"synced\":0", "\"synced\":1")),
    ]
}

fn headers_and_seals() -> Vec<Case> {
    let text = |line: Vec<u8>| String::from_utf8(line).unwrap().trim_end().to_owned();
    let log = Log::new().group(&[&["{}"]]);
    let (header, seal) = (text(log.header.encode().0), text(log.seal().encode().0));
    let object = |line: &str, kind: &str| {
        let start = kind.len() + 4;
        line[start..line.find(",\"hash\":\"").unwrap()].to_owned()
    };
    let (head, sealed) = (object(&header, "header"), object(&seal, "seal"));
    vec![
        ("a header", "ok", header.clone()),
        (
            "a header of a later format",
            "unknown_format",
            hashed("header", &head.replace("memory-log/1", "memory-log/2")),
        ),
        (
            "a header with an unknown field",
            "envelope",
            hashed("header", &head.replace("\"segment\"", "\"more\":1,\"segment\"")),
        ),
        (
            "a header with a key twice",
            "envelope",
            hashed("header", &head.replace("\"segment\":1", "\"segment\":1,\"segment\":1")),
        ),
        ("a header that was edited", "hash", header.replace("\"epoch\":1", "\"epoch\":2")),
        ("a header with something after it", "frame", header.clone() + " "),
        ("a seal", "ok", seal.clone()),
        ("a seal with a missing field", "envelope", hashed("seal", &sealed.replace("\"events\":1,", ""))),
        (
            "a seal with an unknown field",
            "envelope",
            hashed("seal", &sealed.replace("\"events\":1,", "\"events\":1,\"more\":1,")),
        ),
        ("a seal that was edited", "hash", seal.replace("\"events\":1,", "\"events\":2,")),
        ("a seal with something after it", "frame", seal.replace("\"}", "\",\"x\":1}")),
    ]
}

pub(crate) fn vectors() -> Vec<Vector> {
    let all = frames().into_iter().chain(contents()).chain(headers_and_seals());
    all.map(|(what, verdict, line)| Vector { what: what.into(), verdict: verdict.into(), line }).collect()
}

fn verdict(line: &str) -> &'static str {
    let bytes = line.as_bytes();
    let decoded = match () {
        () if line.starts_with("{\"header\"") => Header::decode(bytes).map(|_| None),
        () if line.starts_with("{\"seal\"") => Seal::decode(bytes).map(|_| None),
        () => EventLine::decode(bytes).map(Some),
    };
    match decoded {
        Ok(None) => "ok",
        Ok(Some(event)) => {
            Log::new().link.check_next(&event.envelope).map_or_else(|fault| fault.label(), |()| "ok")
        }
        Err(fault) => fault.label(),
    }
}

#[test]
fn every_line_is_judged_as_its_vector_says() {
    for vector in vectors() {
        assert_eq!(verdict(&vector.line), vector.verdict, "{}: {}", vector.what, vector.line);
    }
    let mut json = serde_json::to_vec_pretty(&vectors()).unwrap();
    json.push(b'\n');
    current("lines.json", &json);
    assert_eq!(lines(&Log::new().bytes).len(), 1);
}
