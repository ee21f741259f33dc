//! Lines of standard input on their way to the library, which reads JSON less strictly than this API does.

use std::io;

use engine_core::limits::BODY_BYTES_MAX;
use engine_core::strict;
use serde::de::IgnoredAny;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

/// Well formed and no message: the library answers that it is an invalid request.
const NO_MESSAGE: &[u8] = b"{}\n";

/// Passes lines on until there are no more. What two readers could understand differently becomes a line that is refused;
/// what is no JSON at all, or longer than any request, is left to the library, which drops it.
pub(super) async fn sift(
    input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    let (mut line, mut within_a_long_one) = (Vec::new(), false);
    loop {
        line.clear();
        let mut bounded = (&mut input).take(BODY_BYTES_MAX as u64 + 1);
        if bounded.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let is_whole = line.ends_with(b"\n") && !within_a_long_one;
        within_a_long_one = !line.ends_with(b"\n");
        let refused = is_whole && is_json(&line) && strict::check_sent(line.trim_ascii()).is_err();
        output.write_all(if refused { NO_MESSAGE } else { &line }).await?;
    }
}

fn is_json(line: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(line).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_two_readers_could_understand_differently_becomes_no_message() {
        let long = format!("{{\"a\":\"{}\"}}\n", "x".repeat(BODY_BYTES_MAX));
        let deep = format!("{}1{}\n", "[".repeat(100), "]".repeat(100));
        let doubled = "{\"a\":1,\"a\":2}\n";
        let kept = ["{\"a\":1}\r\n", "\n", "{\n", &long, "{\"last\":1}"];
        let given = [kept[0], doubled, kept[1], kept[2], &deep, kept[3], doubled, kept[4]].concat();
        let mut passed = Vec::new();
        sift(given.as_bytes(), &mut passed).await.unwrap();
        let expected = [kept[0], "{}\n", kept[1], kept[2], "{}\n", kept[3], "{}\n", kept[4]].concat();
        assert!(passed == expected.as_bytes());
    }
}
