//! Every combination of findings, answers and settings.

use crds::OnViolation;

use super::*;

fn finding(check: Check, is_violation: bool) -> Finding {
    Finding { check, is_of_spec: false, is_violation, text: String::new() }
}

/// Whatever else is known: a violation is never published, and neither is what was never proven.
#[test]
fn what_is_not_proven_is_not_published() {
    let text = String::new;
    let doors = [
        FrontDoor::NotAsked,
        FrontDoor::NoAddress(text()),
        FrontDoor::Unreachable(text()),
        FrontDoor::Unsafe(text()),
        FrontDoor::Answers,
    ];
    let all = [Check::Production, Check::Access, Check::Tls, Check::Integrity, Check::Projection];
    for door in &doors {
        let is_safe = !matches!(door, FrontDoor::Unsafe(_));
        for was_exposed in [false, true] {
            let none = decide(OnViolation::Withdraw, &[], door, was_exposed);
            assert_eq!(none.is_published, is_safe, "{door:?}");
            assert_eq!(none.objects, if is_safe { Objects::Wanted } else { Objects::Kept });
            for check in all {
                let violated = [finding(check, true)];
                let decision = decide(OnViolation::Withdraw, &violated, door, was_exposed);
                assert_eq!(decision, Decision { objects: Objects::Removed, is_published: false });
                let unknown = decide(OnViolation::Withdraw, &[finding(check, false)], door, was_exposed);
                assert_eq!(unknown, Decision { objects: Objects::Kept, is_published: false });
                let warned = decide(OnViolation::Warn, &violated, door, was_exposed);
                assert_eq!(warned.is_published, was_exposed, "a first exposure is always proven");
            }
        }
    }
}

/// What the spec itself lacks ends the exposure, whatever `onViolation` says.
#[test]
fn what_the_spec_lacks_is_never_only_said() {
    let lacks = Finding { is_of_spec: true, ..finding(Check::Access, true) };
    let decision = decide(OnViolation::Warn, &[lacks], &FrontDoor::Answers, true);
    assert_eq!(decision, Decision { objects: Objects::Removed, is_published: false });
}

/// Reminders do not withhold anything; an engine that has not reported does, and violates nothing.
#[test]
fn reminders_withhold_nothing_and_silence_does() {
    use crate::conditions::{ConditionType, Reason, Truth, Verdict};
    let of = |truth, reason| {
        move |kind: ConditionType| match kind {
            ConditionType::SecretsValid => Verdict::new(truth, reason, ""),
            _ => Verdict::new(Truth::True, Reason::Settled, ""),
        }
    };
    let found = |truth, reason, seen| {
        let verdicts = ConditionType::ALL.map(of(truth, reason));
        let place = |kind| ConditionType::ALL.iter().position(|one| *one == kind).unwrap();
        condition_findings(|kind| &verdicts[place(kind)], seen)
    };
    let seen = Seen { has_reported: true, ..Seen::default() };
    for reminder in [Reason::SecretTooOld, Reason::SecretExpired] {
        assert_eq!(found(Truth::False, reminder, seen), []);
    }
    let unread = found(Truth::Unknown, Reason::SecretsUnreadable, seen);
    assert!(unread.len() == 1 && !unread[0].is_violation, "{unread:?}");
    let for_a_moment = Seen { is_unread_for_a_moment: true, ..seen };
    assert_eq!(found(Truth::Unknown, Reason::SecretsUnreadable, for_a_moment), []);
    assert_eq!(found(Truth::Unknown, Reason::SecretsForbidden, for_a_moment).len(), 1, "an answer");
    let missing = found(Truth::False, Reason::SecretMissing, seen);
    assert!(missing.len() == 1 && missing[0].is_violation, "{missing:?}");
    let silent = found(Truth::True, Reason::SecretsUsable, Seen::default());
    assert!(silent.len() == 1 && !silent[0].is_violation, "{silent:?}");
}

/// One door that is open to everybody counts, whatever the others do; then one that does not answer.
#[test]
fn every_host_and_every_address_counts() {
    let (unsafe_door, away) = (FrontDoor::Unsafe("a".into()), FrontDoor::Unreachable("b".into()));
    let of =
        |found: &[&FrontDoor]| FrontDoor::of_all(&found.iter().map(|one| (*one).clone()).collect::<Vec<_>>());
    assert_eq!(of(&[&FrontDoor::Answers, &away, &unsafe_door]), unsafe_door);
    assert_eq!(of(&[&FrontDoor::Answers, &away]), away);
    assert_eq!(of(&[&FrontDoor::Answers, &FrontDoor::Answers]), FrontDoor::Answers);
    assert_eq!(of(&[]), FrontDoor::NotAsked);
}
