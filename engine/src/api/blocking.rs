//! CPU-bound work that must not delay other requests.

use tokio::runtime::RuntimeFlavor;

/// Runs CPU-bound work. If `is_long`, runs it so that it does not block other requests.
pub(super) fn run_blocking<T>(is_long: bool, work: impl FnOnce() -> T) -> T {
    // A single-threaded runtime has no other worker that could take over its tasks.
    let has_others = tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if is_long && has_others { tokio::task::block_in_place(work) } else { work() }
}
