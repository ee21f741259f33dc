//! Every combination of findings, answers and settings.

use crds::OnViolation;

use super::*;

fn finding(check: Check, is_violation: bool) -> Finding {
    Finding { check, is_violation, text: String::new() }
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
