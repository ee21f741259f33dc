//! Tests of verifying a log against anchors.

use super::*;
use crate::merkle::{EMPTY_ROOT, Frontier, leaf};

fn anchor(size: u64, root: Hash) -> Anchor {
    Anchor { origin: "memory-engine/ours".into(), size, root: root.to_string(), rollbacks: 0 }
}

fn known(anchor: Anchor) -> GivenAnchor {
    GivenAnchor::Known { anchor, accepted: None }
}

/// Merkle tree roots of a log with one event per letter, at every size of the log.
fn roots(events: &str) -> Vec<Hash> {
    let mut tree = Frontier::empty();
    let mut roots = vec![tree.root()];
    for event in events.bytes() {
        tree.push(leaf(&Hash::of(&[event])), &mut Vec::new());
        roots.push(tree.root());
    }
    roots
}

fn facts(events: &str, signed_size: u64, given: &GivenAnchor) -> LogFacts {
    let roots = roots(events);
    let at = |size: u64| usize::try_from(size).ok().and_then(|size| roots.get(size)).copied();
    LogFacts {
        origin: "memory-engine/ours".into(),
        size: events.len() as u64,
        root_at_anchor: needed_root(given).and_then(at),
        signed_size,
    }
}

/// Judges the log `found` against an anchor recorded when the log `abcdef` had 4 events. `expected` is the kind of
/// fault; None if the log is accepted.
fn check(found: &str, signed_size: u64, expected: Option<IntegrityFaultKind>) {
    let given = known(anchor(4, roots("abcdef")[4]));
    let verdict = judge(&given, &facts(found, signed_size, &given));
    assert_eq!(verdict.err().map(|fault| fault.kind), expected, "{found} signed to {signed_size}");
}

#[test]
fn each_way_of_tampering_is_told() {
    use IntegrityFaultKind::{Forked, Rewritten, Truncated};
    check("abcd", 4, None);
    check("abcdef", 4, None);
    check("abcdefg", 6, None);
    // Events after the last checkpoint are not signed, but match the anchor.
    check("abcdef", 0, None);
    // The last events, the last segment or everything dropped; an older copy of the volume.
    check("abc", 3, Some(Truncated));
    check("a", 1, Some(Truncated));
    check("", 0, Some(Truncated));
    // An older copy of the volume, with events added since, with the same key.
    check("abcx", 4, Some(Forked));
    check("abxxxx", 6, Some(Forked));
    // An event edited, dropped, duplicated or moved, and all hashes recomputed without the key.
    check("abXdef", 2, Some(Rewritten));
    check("abdef", 2, Some(Rewritten));
    check("abbcdef", 2, Some(Rewritten));
    check("abdcef", 0, Some(Rewritten));
    check("xxxxxx", 0, Some(Rewritten));
    // Changes after the anchor cannot be detected.
    check("abcdxx", 6, None);
}

/// Checks all combinations of a small log and a small anchor against the definitions of the fault kinds.
#[test]
fn every_small_case_is_judged_as_defined() {
    use IntegrityFaultKind::{ForeignLog, Forked, Rewritten, Truncated};
    let log = "abcdef";
    let mut cases = 0;
    for size in 0..=6_usize {
        for anchored in 0..=6_usize {
            for differs_at in 0..=6_usize {
                for signed in 0..=size as u64 {
                    for origin in ["memory-engine/ours", "memory-engine/theirs"] {
                        let mut was = log[..anchored].to_owned();
                        if differs_at < anchored {
                            was.replace_range(differs_at..=differs_at, "X");
                        }
                        let given = known(Anchor {
                            origin: origin.into(),
                            ..anchor(anchored as u64, roots(&was)[anchored])
                        });
                        let expected = match () {
                            () if origin.ends_with("theirs") => Some(ForeignLog),
                            () if size < anchored => Some(Truncated),
                            () if differs_at >= anchored => None,
                            () if signed >= anchored as u64 => Some(Forked),
                            () => Some(Rewritten),
                        };
                        let verdict = judge(&given, &facts(&log[..size], signed, &given));
                        assert_eq!(verdict.err().map(|fault| fault.kind), expected);
                        cases += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cases, 7 * 7 * 2 * 28);
}

#[test]
fn without_an_anchor_only_an_empty_log_is_written_to() {
    let judged = |given, events| judge(&given, &facts(events, 0, &given)).err().map(|fault| fault.kind);
    assert_eq!(judged(GivenAnchor::New, ""), None);
    assert_eq!(judged(GivenAnchor::New, "ab"), None);
    assert_eq!(judged(GivenAnchor::Missing, ""), None);
    assert_eq!(judged(GivenAnchor::Missing, "a"), Some(IntegrityFaultKind::AnchorMissing));
}

#[test]
fn an_anchor_of_nothing_is_extended_by_everything() {
    let given = known(anchor(0, EMPTY_ROOT));
    assert_eq!(judge(&given, &facts("abc", 3, &given)), Ok(()));
    let wrong = known(anchor(0, Hash::ZERO));
    let fault = judge(&wrong, &facts("abc", 3, &wrong)).expect_err("nothing has another root");
    assert_eq!(fault.kind, IntegrityFaultKind::Rewritten);
}

#[test]
fn messages_say_what_to_do() {
    let given = known(anchor(4, roots("abcdef")[4]));
    let message = |events, signed| judge(&given, &facts(events, signed, &given)).expect_err("it differs");
    let truncated = message("ab", 2);
    assert!(truncated.message.contains("ends at event 2, but event 4 was anchored"), "{}", truncated.message);
    assert_eq!(truncated.seq, 3);
    for (fault, advice) in [
        (truncated, "accept with spec.integrity.acceptRollback that the events after 2 are lost"),
        (message("abcx", 4), "keep both volumes"),
        (message("abcx", 0), "restore the backup"),
    ] {
        assert!(fault.message.contains(advice), "{}", fault.message);
    }
}

#[test]
fn what_is_no_anchor_is_said_to_be_none() {
    let right = anchor(4, Hash::ZERO);
    let fault = |anchor| check_form(&known(anchor)).map_err(|fault| fault.0);
    assert_eq!(fault(right.clone()), Ok(()));
    assert_eq!(fault(Anchor { origin: String::new(), ..right.clone() }), Err("origin"));
    assert_eq!(fault(Anchor { size: u64::MAX, ..right.clone() }), Err("size"));
    for root in ["", "00", &"A".repeat(64), &"0".repeat(65)] {
        assert_eq!(fault(Anchor { root: root.into(), ..right.clone() }), Err("root"));
    }
    let accepted = AcceptedRollback {
        number: 1,
        from_size: 9,
        from_root: right.root.clone(),
        to_size: 4,
        to_root: right.root.clone(),
        reason: "lost".into(),
    };
    let fault = |accepted, rollbacks| {
        let anchor = Anchor { rollbacks, ..right.clone() };
        check_form(&GivenAnchor::Known { anchor, accepted: Some(accepted) }).map_err(|fault| fault.0)
    };
    assert_eq!(fault(accepted.clone(), 1), Ok(()));
    assert_eq!(fault(accepted.clone(), 0), Err("accepted.number"));
    assert_eq!(fault(AcceptedRollback { number: 0, ..accepted.clone() }, 1), Err("accepted.number"));
    assert_eq!(fault(AcceptedRollback { to_size: 5, ..accepted.clone() }, 1), Err("accepted.to_size"));
    assert_eq!(fault(AcceptedRollback { to_root: "x".into(), ..accepted }, 1), Err("accepted.to_root"));
}

#[test]
fn a_newer_anchor_replaces_an_older_one_and_may_clear_its_fault() {
    let mut held = Held::default();
    let roots = roots("abcdef");
    let mut give = |given: &GivenAnchor, events: &str| {
        let taken = held.take(given, &facts(events, 0, given));
        (taken, held.fault().map(|fault| fault.kind), held.anchor().map(|anchor| anchor.size))
    };
    let extends = Taken::Extends(None);
    assert_eq!(give(&known(anchor(2, roots[2])), "abc"), (extends.clone(), None, Some(2)));
    assert_eq!(give(&known(anchor(1, roots[1])), "abc"), (Taken::Older, None, Some(2)));
    assert_eq!(give(&GivenAnchor::New, "abc"), (Taken::Older, None, Some(2)));
    assert_eq!(give(&GivenAnchor::Missing, "abc"), (Taken::Older, None, Some(2)));
    let truncated = Some(IntegrityFaultKind::Truncated);
    assert_eq!(give(&known(anchor(5, roots[5])), "abc"), (Taken::Contradicts, truncated, Some(2)));
    // An older anchor that the log extends does not clear the fault.
    assert_eq!(give(&known(anchor(3, roots[3])), "abc"), (Taken::Older, truncated, Some(2)));
    let accepted = AcceptedRollback {
        number: 1,
        from_size: 5,
        from_root: roots[5].to_string(),
        to_size: 3,
        to_root: roots[3].to_string(),
        reason: "the disk is gone".into(),
    };
    let decided = GivenAnchor::Known {
        anchor: Anchor { rollbacks: 1, ..anchor(3, roots[3]) },
        accepted: Some(accepted.clone()),
    };
    assert_eq!(give(&decided, "abc"), (Taken::Extends(Some(accepted)), None, Some(3)));
    assert_eq!(rollback_key(1), "rollback-1");
}

#[test]
fn a_missing_anchor_that_turns_up_clears_the_fault() {
    let mut held = Held::default();
    assert_eq!(held.take(&GivenAnchor::Missing, &facts("abc", 0, &GivenAnchor::Missing)), Taken::Contradicts);
    let given = known(anchor(2, roots("ab")[2]));
    assert_eq!(held.take(&given, &facts("abc", 0, &given)), Taken::Extends(None));
    assert_eq!(held.fault(), None);
}
