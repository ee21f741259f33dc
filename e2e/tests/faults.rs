//! Short runs of the fault campaigns, each with a control that proves the campaign detects faults. docs/guide/faults.md
//! describes the long runs. They need root, to create file systems and namespaces.

use std::process::Command;

/// Runs `e2e faults …`, which determines the verdict and cleans up after itself.
#[track_caller]
fn check(arguments: &str) {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: faults need root");
        return;
    }
    let words = arguments.split(' ');
    let output = Command::new(env!("CARGO_BIN_EXE_e2e"))
        .arg("faults")
        .args(words)
        .output()
        .expect("the program is built together with this test");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(
        output.status.success(),
        "{arguments}: {}\n{said}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn power_cuts_on_ext4_lose_nothing() {
    check("power-cut --filesystem ext4 --cuts 100");
}

#[test]
fn power_cuts_on_xfs_lose_nothing() {
    check("power-cut --filesystem xfs --cuts 100");
}

#[test]
fn power_cuts_without_syncs_are_noticed_on_ext4() {
    check("power-cut --filesystem ext4 --cuts 20 --control");
}

#[test]
fn power_cuts_without_syncs_are_noticed_on_xfs() {
    check("power-cut --filesystem xfs --cuts 20 --control");
}

#[test]
fn two_hundred_kills_lose_nothing() {
    check("kill --cuts 200");
}

#[test]
fn no_failing_system_call_makes_a_false_acknowledgement() {
    check("errno --sample 80");
}

#[test]
fn failing_syncs_that_are_ignored_are_noticed() {
    check("errno --control --sample 12");
}

/// The control is three hundred starts on an untouched log: none of them may report a fault.
#[test]
fn tampering_is_told_by_its_kind() {
    check("tamper --opens 300");
}

/// One target has a planted fault, which must be found.
#[test]
fn no_parser_breaks_its_promise() {
    check("fuzz --seconds 5");
}

/// Every kind of step is interrupted; `faults drills --drills 200` is the long form.
#[test]
fn drills_bring_back_what_was_archived() {
    check("drills --drills 28");
}

#[test]
fn drills_on_an_object_store_bring_back_what_was_archived() {
    check("drills --drills 14 --store s3");
}

#[test]
fn drills_with_an_archive_that_loses_an_event_are_noticed() {
    check("drills --drills 12 --control");
}

/// The long form forgets 1,000 texts.
#[test]
fn what_is_forgotten_is_in_no_version_of_a_locked_bucket_and_versions_of_keys_are_reported() {
    check("object-lock --texts 300");
}

/// The long form is away for an hour.
#[test]
fn a_store_that_is_away_stops_no_write_and_costs_no_memory() {
    check("store-away --seconds 20");
}
