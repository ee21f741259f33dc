//! The phases of a rotation, and what is ignored.

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn view(token: Option<OwnedToken>) -> RotationView {
    RotationView { token, ..RotationView::default() }
}

fn token() -> OwnedToken {
    OwnedToken { is_usable: true, issued_at: Some(at(0)), ..OwnedToken::default() }
}

#[test]
fn a_rotation_has_two_acknowledged_phases() {
    let begin = Some(Change::Begin { request: "a".into() });
    assert_eq!(decide(&view(None), None, at(0)), Some(Change::Issue));
    assert_eq!(
        decide(&view(Some(OwnedToken::default())), None, at(0)),
        Some(Change::Issue),
        "a damaged token"
    );
    assert_eq!(decide(&view(Some(token())), None, at(1000)), None);
    assert_eq!(decide(&view(Some(token())), Some("a"), at(1000)), begin);
    let both = OwnedToken { has_previous: true, request: Some("a".into()), ..token() };
    let mut distributing = view(Some(both));
    assert_eq!(decide(&distributing, Some("b"), at(1000)), None, "the engine has not accepted the new one");
    assert_eq!((phase(&distributing), done(&distributing)), (Phase::Distribute, None));
    distributing.is_accepted = true;
    assert_eq!(decide(&distributing, Some("b"), at(1000)), Some(Change::Retire));
    let one = view(Some(OwnedToken { request: Some("a".into()), ..token() }));
    assert_eq!((phase(&one), done(&one)), (Phase::Done, Some("a")));
    assert_eq!(decide(&one, Some("a"), at(1000)), None, "one rotation for one request");
    assert_eq!(decide(&one, Some("b"), at(1000)), Some(Change::Begin { request: "b".into() }));
}

#[test]
fn requests_are_bounded_and_checked() {
    assert_eq!(decide(&view(Some(token())), Some("a"), at(59)), None, "too soon");
    assert!(decide(&view(Some(token())), Some("a"), at(60)).is_some());
    assert!(
        decide(&view(Some(token())), Some("a"), at(-60)).is_some(),
        "a clock that was ahead stops nothing"
    );
    let forbidden = Unread { is_forbidden: true, text: String::new() };
    let unread = RotationView { unread: Some(forbidden), ..view(None) };
    assert_eq!(decide(&unread, Some("a"), at(1000)), None, "what is not known is not replaced");
    for (text, is_id) in [("4b1f-0", true), ("", false), ("a b", false), ("a\n", false), ("../a", false)] {
        assert_eq!(request_id(text).is_some(), is_id, "{text:?}");
    }
    assert_eq!(request_id(&"a".repeat(REQUEST_BYTES_MAX + 1)), None);
}
