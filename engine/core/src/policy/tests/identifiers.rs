//! Tests of identifiers: equal names stay equal, different names stay different, and the originals cannot be recovered.

use proptest::prelude::*;

use super::*;

fn key() -> PseudonymKey {
    PseudonymKey::new([7; PseudonymKey::BYTES])
}

#[track_caller]
fn stored_as(policy: &Policy, name: &str, form: Form) -> String {
    let judged = policy.judge_identifier(Some(&key()), ("name", form), name, NOW, &mut Counts::default());
    judged.unwrap().unwrap_or_else(|| name.to_owned())
}

#[track_caller]
fn stored(name: &str) -> String {
    stored_as(default(), name, Form::Whole)
}

/// The token of a text must never change, because tokens are stored in logs.
#[test]
fn a_token_is_a_keyed_hash_of_the_exact_bytes() {
    assert_eq!(stored("+1 415 555 0132"), "[PHONE:9eb6eab4cd06ffbd43ab]");
    let other = PseudonymKey::new([8; PseudonymKey::BYTES]);
    assert_ne!(other.token_of_phone("+1 415 555 0132"), key().token_of_phone("+1 415 555 0132"));
    assert_ne!(key().check(), other.check());
    assert_eq!(PseudonymKey::parse(&key().secret_text()), Some(key()));
    assert_eq!(PseudonymKey::parse("07"), None);
    assert!(!format!("{:?}", key()).contains("0707"), "{:?}", key());
}

impl PseudonymKey {
    fn token_of_phone(&self, text: &str) -> String {
        let policy = default();
        let judged =
            policy.judge_identifier(Some(self), ("", Form::Whole), text, NOW, &mut Counts::default());
        judged.unwrap().unwrap()
    }
}

#[test]
fn two_telephone_numbers_are_two_names_and_one_is_one() {
    let names = ["+1 415 555 0132", "+1 415 555 0133", "+14155550132", "ana@example.org", "ben@example.org"];
    let tokens: std::collections::BTreeSet<String> = names.iter().map(|name| stored(name)).collect();
    assert_eq!(tokens.len(), names.len());
    for name in names {
        assert_eq!(stored(name), stored(name));
        let about = stored(&format!("{name} (customer)"));
        assert!(about.starts_with(&stored(name)) && about.ends_with(" (customer)"), "{about}");
    }
    assert_eq!(stored("Ana"), "Ana");
}

#[test]
fn a_token_is_the_same_name_when_it_comes_again() {
    for name in ["+1 415 555 0132", "Ana, ana@example.org", "card 4111 1111 1111 1111 of +41446681800"] {
        let token = stored(name);
        assert_ne!(token, name);
        assert_eq!(stored(&token), token);
        // A token in a text is detected neither as personal data nor as a secret, whatever precedes it.
        for text in [format!("phone: {token}"), format!("key: {token}, password={token}")] {
            let judged = default().judge_text("content", &text, NOW);
            assert!(judged.is_ok_and(|judged| judged.changed.is_none()), "{text}");
        }
    }
}

#[test]
fn a_path_is_named_segment_by_segment() {
    let path = |path: &str| stored_as(default(), path, Form::Path);
    let directory = path("people/+1 415 555 0132");
    assert!(path("people/+1 415 555 0132/notes.md").starts_with(&format!("{directory}/")));
    assert_eq!(path("people/notes.md"), "people/notes.md");
    assert_eq!(directory, format!("people/{}", stored("+1 415 555 0132")));
}

#[test]
fn a_number_behind_a_slash_is_found_in_a_name() {
    let token = stored("+1 415 555 0132");
    for (name, expected) in [
        ("chats/+1 415 555 0132", format!("chats/{token}")),
        ("chats/+1 415 555 0132/ana@example.org", format!("chats/{token}/{}", stored("ana@example.org"))),
    ] {
        assert_eq!(stored(name), expected.as_str());
        assert_eq!(stored(&expected), expected.as_str());
    }
}

#[test]
fn a_secret_in_a_name_is_refused_and_never_a_token() {
    let secret = joined(&["gl", "pat-x7Kq2", "Zt9Lw4Rb8Nc1Vm5"]);
    for policy in [default(), &refusing(), &keeping()] {
        let judged =
            policy.judge_identifier(Some(&key()), ("key", Form::Whole), &secret, NOW, &mut Counts::default());
        let Err(IdentifierError::Blocked(blocked)) = judged else { panic!("{judged:?}") };
        assert_eq!((blocked.detector, blocked.field.as_str()), ("gitlab-token", "key"));
    }
}

fn keeping() -> Policy {
    Policy::new(&Settings { identifiers: Identifiers::Keep, ..Settings::default() }).unwrap()
}

#[test]
fn names_are_kept_as_they_are_where_that_is_wanted() {
    assert_eq!(stored_as(&keeping(), "+1 415 555 0132", Form::Whole), "+1 415 555 0132");
    let (judged, _) =
        keeping().judge_draft(payloads::draft("+1 415 555 0132", "a@b.io", "{}"), None, NOW).unwrap();
    assert_eq!((judged.project.as_str(), judged.actor.as_str()), ("+1 415 555 0132", "a@b.io"));
}

#[test]
fn without_the_key_nothing_is_named_that_needs_it() {
    let none =
        |name: &str| default().judge_identifier(None, ("", Form::Whole), name, NOW, &mut Counts::default());
    assert_eq!(none("Ana"), Ok(None));
    assert_eq!(none("+1 415 555 0132"), Err(IdentifierError::NoKey));
}

/// Each row: the name, the name without its personal data, and the personal data.
#[test]
fn personal_data_joined_to_a_word_stayed_raw_in_a_name() {
    for (before, found, behind) in [
        ("user_", "+14155550132", ""),
        ("u", "+14155550132", ""),
        ("tel_", "+14155550132", ""),
        ("_", "+14155550132", "_"),
        ("thread-", "+14155550132", ""),
        ("whatsapp_", "+14155550132", "_inbox"),
        ("user.", "+14155550132", ""),
        ("chat--", "+14155550132", "-archive"),
        ("Zoë", "+14155550132", ""),
        ("", "+14155550132", "abc"),
        ("wa#", "+14155550132", "@lid"),
        ("phone_", "4155550132", ""),
        ("phone-", "4155550132", "_old"),
        ("phone", "4155550132", ""),
        ("customer_mobile_", "07700 900123", ""),
        ("message_", "415-555-0132", ""),
        ("cell_", "4155550132", ""),
        ("ssn_", "219-09-9999", ""),
        ("user_", "219-09-9999", ""),
        ("", "219-09-9999", "_x"),
        ("", "219-09-9999", "-x"),
        ("ssn_", "219099999", ""),
        ("card-", "4111111111111111", ""),
        ("card_", "4111111111111111", ""),
        ("card", "4111111111111111", ""),
        ("card.", "4111111111111111", ".json"),
        ("card_", "4111_1111_1111_1111", ""),
        ("iban_", "DE89370400440532013000", ""),
        ("iban-", "DE89370400440532013000", "-v2"),
        ("", "ana@example.org", "_x"),
        ("", "ana_maria@example.org", "_x"),
        ("", "x_ana-4@host-4.example.org", "_2024"),
        ("", "ana%40example.org", ""),
        ("", "ana%2540example.org", ""),
        ("whatsapp%3A", "%2B14155550132", ""),
        ("chats%2F", "%2B14155550132", ""),
        ("passport_", "K1234567", ""),
        ("dob_", "1984-05-03", ""),
        ("account_number_", "123456789", ""),
    ] {
        let name = format!("{before}{found}{behind}");
        let judged = stored(&name);
        let inner = judged.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
        let inner = inner.unwrap_or_else(|| panic!("{name} is {judged}"));
        assert!(tokens(inner).next() == Some(0..inner.len()), "{name} is {judged}");
        assert_eq!(stored(&judged), judged, "{name}");
        let path = stored_as(default(), &format!("a/{name}/b"), Form::Path);
        assert_eq!(path, format!("a/{judged}/b"));
    }
}

#[test]
fn two_numbers_joined_in_a_name_are_two_tokens() {
    let token = |name: &str| stored(name);
    let both = format!("{}_{}", token("+14155550132"), token("+14155550134"));
    assert_eq!(stored("+14155550132_+14155550134"), both);
    assert_eq!(stored(&both), both);
    assert_eq!(stored("user_+14155550132"), format!("user_{}", token("+14155550132")));
}

#[test]
fn names_of_things_stay_as_they_are() {
    for name in [
        "release-2024-11-29",
        "550e8400-e29b-41d4-a716-446655440000",
        "user_550e8400-e29b-41d4-a716-446655440000",
        "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "sha256_9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "3f786850e387550fdab836ed7e6dc881de23001b",
        "v1.2.3-rc1",
        "v1.2.3-rc+20241129",
        "1.0.0-beta+20130313144700",
        "app-1.2.3+build.20241129",
        "my_project_2024",
        "snake_case_name_2",
        "2024-11-29",
        "snapshot_2024-11-29T10-15-00Z",
        "backup_20241129_work",
        "phone_20241129",
        "phone_2024-11-29",
        "thread_1732571234567",
        "thread-1732571234",
        "call_20241129",
        "call_1732571234",
        "message_1732571234",
        "message-1732571234567",
        "contact_123456",
        "cell_123456",
        "desk-204801",
        "registered_at_20241129",
        "feature/JIRA-1234-fix_login_2",
        "fix/issue-4155550132",
        "img_640_480_2024",
        "01_02_03_04_05",
        "run_210_345_2024",
        "c++17_headers",
        "a+b",
        "UTC+0100",
        "2024-11-29T10:00:00+0100",
        "Test_Suite_3",
        "12_Long_Street",
        "node-7_10.0.3.17",
        "api_key_rotation",
        "drivers_license_Apache-2.0",
        "logo@2x.png",
        "git@github.com:org/repo_2.git",
        "@scope/package-name_1",
        "100%_done",
        "a%20b%2Fc",
        "us-east-1_pool-123456789",
        "01HF7YAT00ZC9X8W5V3N2K1M0Q",
        "[PHONE]_1",
        "card_4111111111111112",
    ] {
        assert_eq!(stored(name), name);
        assert_eq!(stored_as(default(), name, Form::Path), name);
    }
}

/// A name covered by an exception is stored unchanged, in all of its parts.
#[test]
fn an_exception_holds_of_a_name_that_is_read() {
    let exception = |detector: &str, value: &str| Exception {
        detector: detector.into(),
        sha256: None,
        value: Some(value.into()),
        reason: "everybody's".into(),
        reviewer: "platform".into(),
        expires: None,
    };
    let exceptions = vec![exception("phone", "+14155550132"), exception("email", "help_desk@example.org")];
    let policy = Policy::new(&Settings { exceptions, ..Settings::default() }).unwrap();
    for name in ["user_+14155550132", "help_desk@example.org", "help_desk@example.org_x"] {
        assert_eq!(stored_as(&policy, name, Form::Whole), name);
    }
}

proptest! {
    /// For any name: storing it again does not change it, and no personal data is found in it.
    #[test]
    fn a_stored_name_is_stored_as_itself(
        parts in prop::collection::vec(
            prop_oneof![
                "[a-z :/\\[\\]_.@%-]{0,12}",
                "[0-9_.+%-]{0,14}",
                "\\+1 415 555 01[0-9]{2}",
                "[a-z]{1,6}@[a-z]{2,6}\\.org",
                "\\[PHONE:[0-9a-f]{20}\\]",
                Just("4111 1111 1111 1111".to_owned()),
            ],
            1..6,
        ),
    ) {
        let name = parts.concat();
        let judged = everything().judge_identifier(Some(&key()), ("", Form::Whole), &name, NOW, &mut Counts::default());
        if let Ok(judged) = judged {
            let once = judged.unwrap_or(name);
            let again = everything().judge_identifier(Some(&key()), ("", Form::Whole), &once, NOW, &mut Counts::default());
            prop_assert_eq!(again, Ok(None), "{}", once);
            prop_assert!(everything().findings(&once, NOW).is_empty());
        }
    }
}
