//! Standard output of commands. A reader that has seen enough, such as `head`, is no failure: the command ends as if
//! everything had been read.

use std::io::{self, ErrorKind, Write};

use serde::Serialize;

/// Writes a text.
///
/// # Errors
/// Writing fails for another reason than that nobody reads.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    Ok(written(|out| out.write_all(text.as_bytes()))?)
}

/// Writes JSON and a line break.
///
/// # Errors
/// As for [`print()`].
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Lets `write` write. Its own failures are returned, whatever becomes of standard output.
///
/// # Errors
/// As for [`print()`], or `write` fails by itself.
pub(crate) fn written(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = Out { out: io::BufWriter::new(io::stdout().lock()), is_closed: false };
    let outcome = write(&mut out).and_then(|()| out.flush());
    if out.is_closed { Ok(()) } else { outcome }
}

/// Standard output that remembers that nobody reads it.
struct Out<W> {
    out: W,
    is_closed: bool,
}

impl<W> Out<W> {
    fn noted<T>(&mut self, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|fault| self.is_closed |= fault.kind() == ErrorKind::BrokenPipe)
    }
}

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let outcome = self.out.write(bytes);
        self.noted(outcome)
    }

    fn flush(&mut self) -> io::Result<()> {
        let outcome = self.out.flush();
        self.noted(outcome)
    }
}
