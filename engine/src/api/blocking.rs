//! Work that keeps a processor busy, without delaying other requests.

use tokio::runtime::RuntimeFlavor;

/// Does what takes a processor for some time where no other request waits for it.
pub(super) fn run_blocking<T>(is_long: bool, work: impl FnOnce() -> T) -> T {
    // A runtime of one thread has nobody to pass its work on to.
    let has_others = tokio::runtime::Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if is_long && has_others { tokio::task::block_in_place(work) } else { work() }
}
