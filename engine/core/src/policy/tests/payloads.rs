//! JSON: every string, every key, nothing else changed.

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
    let NotNamed::Blocked(blocked) = fault else { panic!("{fault:?}") };
    assert_eq!((blocked.field.as_str(), blocked.finds), ("project", Finds::Personal(Kind::Email)));
}
