//! JSON payloads: every string and key is checked, and nothing else changes.

use super::*;

#[track_caller]
fn json(text: &str, redacted: &str) -> Counts {
    let judged = default().judge_json("payload", text, NOW).unwrap();
    assert_eq!(judged.changed.as_deref().unwrap_or(text), redacted);
    crate::strict::check(redacted.as_bytes()).expect("what is written is JSON in the strict form");
    judged.counts
}

#[test]
fn strings_and_keys_are_judged_wherever_they_stand() {
    let counts = json(
        r#"{ "a": [1.50, {"b": "x a@b.io\n"}, ["c@d.io"]], "e@f.io": {"g": "h@i.io"}, "n": 1e5, "z":"ä\u00e4" }"#,
        r#"{ "a": [1.50, {"b": "x [EMAIL]\n"}, ["[EMAIL]"]], "[EMAIL]": {"g": "[EMAIL]"}, "n": 1e5, "z":"ä\u00e4" }"#,
    );
    let rows: Vec<_> = counts.iter().collect();
    let email = |field, count| (field, Kind::Email, count);
    assert_eq!(
        rows,
        [
            email("payload.<key>", 1),
            email("payload.<key>.g", 1),
            email("payload.a[].b", 1),
            email("payload.a[][]", 1)
        ]
    );
}

#[test]
fn keys_stay_different() {
    json(
        r#"{"a@b.io":1,"c@d.io":2,"[EMAIL] 2":3,"x":{"e@f.io":4}}"#,
        r#"{"[EMAIL]":1,"[EMAIL] 2":2,"[EMAIL] 2 2":3,"x":{"[EMAIL]":4}}"#,
    );
    json(r#"{"[EMAIL]":1,"a@b.io":2}"#, r#"{"[EMAIL]":1,"[EMAIL] 2":2}"#);
}

#[test]
fn a_key_gives_its_value_a_meaning() {
    json(
        r#"{"phoneNumber":"5550132444","id":"5550132444"}"#,
        r#"{"phoneNumber":"[PHONE]","id":"5550132444"}"#,
    );
    json(
        r#"{"phones":["5550132444"],"mobile":5550132444,"count":5550132444}"#,
        r#"{"phones":["[PHONE]"],"mobile":"[PHONE]","count":5550132444}"#,
    );
    json(
        r#"{"ssn":219099999,"date_of_birth":"1984-05-03","passport_number":"K1234567"}"#,
        r#"{"ssn":"[SSN]","date_of_birth":"[DATE_OF_BIRTH]","passport_number":"[PASSPORT]"}"#,
    );
    json(
        r#"{"created":"1984-05-03","card":4111111111111111,"trace":4111111111111111}"#,
        r#"{"created":"1984-05-03","card":"[CREDIT_CARD]","trace":4111111111111111}"#,
    );
}

#[test]
fn a_secret_anywhere_refuses_the_whole() {
    let value = joined(&["hunt", "er2-x"]);
    for (text, field) in [
        (format!(r#"{{"a":{{"password":"{value}"}}}}"#), "payload.a.password"),
        (format!(r#"{{"db":[{{"dbPassword":"{value}"}}]}}"#), "payload.db[].dbPassword"),
        (format!(r#"["password\u003d{value}"]"#), "payload[]"),
        (format!(r#"{{"password={value}":1}}"#), "payload.<key>"),
        (format!(r#"{{"log":"{{\"password\":\"{value}\"}}"}}"#), "payload.log"),
    ] {
        let blocked = default().judge_json("payload", &text, NOW).unwrap_err();
        assert_eq!((blocked.detector, blocked.field.as_str()), ("password-assignment", field), "{text}");
    }
}

/// JSON values that are refused as secrets.
fn secrets() -> [String; 2] {
    [joined(&["q8Zx2LwP", "7vKt4Rm9Ns", "B3cYd6Tg1Hj5Uf0Xe4Wa"]), joined(&["xK9#m", "Q2vL8zT"])]
}

#[track_caller]
fn refused(text: &str, field: &str) {
    let blocked = default().judge_json("payload", text, NOW).expect_err(text);
    assert_eq!((blocked.field.as_str(), blocked.finds), (field, Finds::Secret), "{text}");
}

#[test]
fn a_secret_passed_whose_name_was_a_value_beside_it() {
    let [key, password] = secrets();
    for (text, field) in [
        (format!(r#"{{"name":"API_TOKEN","value":"{key}"}}"#), "payload.value"),
        (format!(r#"{{"value":"{key}","name":"API_TOKEN"}}"#), "payload.value"),
        (format!(r#"[{{"name":"DB_PASSWORD","value":"{password}"}}]"#), "payload[].value"),
        (format!(r#"{{"key":"api_key","value":"{key}"}}"#), "payload.value"),
        (format!(r#"{{"key":"apiKey","value":"{key}"}}"#), "payload.value"),
        (
            format!(r#"{{"env":[{{"name":"A","value":"b"}},{{"name":"API_TOKEN","value":"{key}"}}]}}"#),
            "payload.env[].value",
        ),
        (format!(r#"{{"Name":"DB_PASSWORD","Value":"{password}"}}"#), "payload.Value"),
        (format!(r#"{{"namespace":["a"],"key":"password","value":"{password}"}}"#), "payload.value"),
        (format!(r#"{{"key":"db_password","value":{{"text":"{password}"}}}}"#), "payload.value.text"),
        (format!(r#"{{"key":"db_password","value":{{"value":"{password}","n":1}}}}"#), "payload.value.value"),
        (format!(r#"{{"value":{{"data":{{"text":"{key}"}}}},"key":"api_key"}}"#), "payload.value.data.text"),
        (format!(r#"{{"key":"db_password","value":["{password}"]}}"#), "payload.value[]"),
        (format!(r#"{{"name":"DB_PASSWORD","observations":["{password}"]}}"#), "payload.observations[]"),
        (format!(r#"{{"title":"API token","content":"{key}\n"}}"#), "payload.content"),
    ] {
        refused(&text, field);
    }
}

#[test]
fn a_manifest_of_a_secret_passed_as_json() {
    let [_, password] = secrets();
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &password);
    refused(
        &format!(
            r#"{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"a"}},"data":{{"p":"{encoded}"}}}}"#
        ),
        "payload.data.p",
    );
    refused(&format!(r#"{{"data":{{"p":"{encoded}"}},"kind":"Secret"}}"#), "payload.data.p");
    refused(
        &format!(r#"{{"kind":"Secret","stringData":{{"a":"b","p":"{password}"}}}}"#),
        "payload.stringData.p",
    );
    refused(
        &format!(r#"{{"kind":"List","items":[{{"kind":"Secret","stringData":{{"p":"{password}"}}}}]}}"#),
        "payload.items[].stringData.p",
    );
    for text in [
        format!(r#"{{"kind":"ConfigMap","data":{{"p":"{encoded}"}}}}"#),
        r#"{"kind":"Secret","metadata":{"name":"db-credentials-v2"},"data":{}}"#.to_owned(),
        r#"{"kind":"Secret","data":{"p":"<base64>"},"type":"Opaque"}"#.to_owned(),
        r#"{"kind":"Secret","stringData":{"p":"${DB_PASSWORD_1}"}}"#.to_owned(),
    ] {
        json(&text, &text);
    }
}

#[test]
fn pairs_that_hold_no_secret_pass() {
    let [key, password] = secrets();
    for text in [
        format!(r#"{{"name":"checksum","value":"{key}"}}"#),
        format!(r#"{{"name":"greeting","value":"{password}"}}"#),
        format!(r#"{{"id":"password","value":"{key}"}}"#),
        format!(r#"{{"name":"page_token","value":"{key}"}}"#),
        r#"{"name":"token","value":"550e8400-e29b-41d4-a716-446655440000"}"#.to_owned(),
        r#"{"name":"password","value":"required"}"#.to_owned(),
        r#"{"name":"DB_PASSWORD","value":"${DB_PASSWORD_1}"}"#.to_owned(),
        r#"{"name":"DB_PASSWORD","valueFrom":{"secretKeyRef":{"name":"db-credentials-v2","key":"password"}}}"#.to_owned(),
        r#"{"key":"password_policy","value":{"text":"Use12 characters and rotate them every 90 days"}}"#.to_owned(),
        r#"{"title":"Password","content":"Reset1 is done in the console, see the runbook of 2026"}"#.to_owned(),
        r#"{"key":"api_key","value":{"text":"stored in Vault under kv/staging/api-key-2"}}"#.to_owned(),
    ] {
        json(&text, &text);
    }
}

#[test]
fn what_is_clean_is_not_written_anew() {
    for text in [
        "{}",
        "[]",
        r#""x""#,
        "12",
        r#"{"a":"\u0041\/","b":[true,null,-1.0e+2],"pass":{"k":"ok"}}"#,
        r#"{"":""}"#,
    ] {
        assert_eq!(default().judge_json("payload", text, NOW).unwrap().changed, None, "{text}");
    }
}

pub(super) fn draft(project: &str, actor: &str, payload: &str) -> Draft {
    let payload = RawValue::from_string(payload.to_owned()).unwrap();
    Draft {
        kind: "note".into(),
        actor: actor.into(),
        project: project.into(),
        session: Some("s-1".into()),
        causes: Vec::new(),
        payload,
    }
}

#[test]
fn an_event_is_judged_whole() {
    let payload = r#"{"content":"a@b.io","tags":["+41446681800"]}"#;
    let (judged, counts) = default().judge_draft(draft("p", "ana", payload), None, NOW).unwrap();
    assert_eq!(judged.payload.get(), r#"{"content":"[EMAIL]","tags":["[PHONE]"]}"#);
    let rows: Vec<_> = counts.iter().collect();
    assert_eq!(rows, [("content", Kind::Email, 1), ("tags[]", Kind::Phone, 1)]);
}

#[test]
fn what_names_something_is_refused_where_that_is_wanted() {
    let fault = refusing().judge_draft(draft("ana@example.org", "x", "{}"), None, NOW).unwrap_err();
    let IdentifierError::Blocked(blocked) = fault else { panic!("{fault:?}") };
    assert_eq!((blocked.field.as_str(), blocked.finds), ("project", Finds::Personal(Kind::Email)));
}
