//! Logs panics. The standard library prints the message of a panic, which may quote the data that the program was
//! working on, for example the text whose bytes were cut in the middle of a character.

use std::any::Any;
use std::panic::PanicHookInfo;
use std::thread;

/// Message of a panic that is not a literal of the program.
const WITHHELD: &str = "withheld, because it may quote data";

/// From now on, a panic is one line of the log with its place in the source.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place = panic.location().map(|place| format!("{}:{}", place.file(), place.line()));
        let current = thread::current();
        tracing::error!(
            thread = current.name().unwrap_or_default(),
            place = place.unwrap_or_default(),
            panic = literal(panic.payload()),
            "a thread panicked"
        );
    }));
}

/// The message, if it is a literal: a formatted message may contain data.
fn literal(payload: &(dyn Any + Send)) -> &'static str {
    payload.downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_said_without_the_data_that_it_quotes() {
        let message = |fails: fn()| literal(&*std::panic::catch_unwind(fails).unwrap_err()).to_owned();
        assert_eq!(message(|| panic!("the queue is closed")), "the queue is closed");
        assert_eq!(message(|| panic!("{}", String::from("a memory"))), WITHHELD);
        let cut: fn() = || assert_ne!("a short memory é".split_at(16).0, "");
        assert_eq!(message(cut), WITHHELD);
    }
}
