//! Relations between the parameters of the guard. The schema has the bounds of each.

use crds::Guard;
use engine_core::configuration;

use super::Fault;
use crate::build::guard as converted;

/// Checks what the engine would refuse.
pub(super) fn check_guard(guard: &Guard, faults: &mut Vec<Fault>) {
    let checked: configuration::Guard = converted(guard);
    if checked.slow_samples_min() > checked.slow_window() {
        faults.push(Fault::AtMost { field: "spec.guard.slowSamplesMin", bound: "spec.guard.slowWindow" });
    }
    if checked.hold_seconds() > checked.hold_max_seconds() {
        faults.push(Fault::AtMost { field: "spec.guard.holdSeconds", bound: "spec.guard.holdMaxSeconds" });
    }
}
