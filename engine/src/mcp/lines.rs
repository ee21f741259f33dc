//! The stdio transport: one message per line. This module answers a line that cannot be parsed, with the id of the
//! request in it, and passes every other message to the library.

use std::io;
use std::sync::Arc;

use engine_core::limits::{BODY_BYTES_MAX, RPC_BATCH_MAX};
use engine_core::rpc::{MessageScanner, RecoveredMessage};
use rmcp::RoleServer;
use rmcp::model::ClientJsonRpcMessage;
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{Mutex, mpsc};

use super::unreadable::{Reply, Unreadable, check};

/// Maximum number of messages that are read but not handled yet. If a client sends faster, its writes to the pipe
/// block.
const WAITING_MAX: usize = 16;
/// The UTF-8 byte order mark, which may precede JSON and is ignored.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The output. The lock keeps lines from interleaving. `None` after the output was closed.
type Output<W> = Arc<Mutex<Option<W>>>;

/// The stdio transport that the library drives.
#[derive(Debug)]
pub(super) struct Lines<W> {
    messages: mpsc::Receiver<ClientJsonRpcMessage>,
    output: Output<W>,
}

impl<W: AsyncWrite + Unpin + Send + 'static> Lines<W> {
    /// Starts a task that reads until the input ends.
    pub(super) fn new(input: impl AsyncRead + Unpin + Send + 'static, output: W) -> Lines<W> {
        let output = Arc::new(Mutex::new(Some(output)));
        let (read, messages) = mpsc::channel(WAITING_MAX);
        tokio::spawn(receive(BufReader::new(input), read, Arc::clone(&output)));
        Lines { messages, output }
    }
}

impl<W: AsyncWrite + Unpin + Send + 'static> Transport<RoleServer> for Lines<W> {
    type Error = io::Error;

    fn send(
        &mut self,
        item: TxJsonRpcMessage<RoleServer>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let output = Arc::clone(&self.output);
        async move { write(&output, serde_json::to_vec(&item)?).await }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.messages.recv().await
    }

    async fn close(&mut self) -> io::Result<()> {
        drop(self.output.lock().await.take());
        Ok(())
    }
}

async fn write<W: AsyncWrite + Unpin>(output: &Output<W>, mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    match output.lock().await.as_mut() {
        Some(output) => {
            output.write_all(&line).await?;
            output.flush().await
        }
        None => Err(io::ErrorKind::NotConnected.into()),
    }
}

/// Reads lines until the input ends or the receiver is closed.
async fn receive<W: AsyncWrite + Unpin>(
    mut input: BufReader<impl AsyncRead + Unpin>,
    read: mpsc::Sender<ClientJsonRpcMessage>,
    output: Output<W>,
) -> io::Result<()> {
    while let Some(line) = next(&mut input).await? {
        let Read { messages, refused } = match &line {
            Line::Whole(line) => parsed(line),
            Line::TooLong(salvaged) => {
                Read { messages: Vec::new(), refused: Unreadable::too_long().replies(salvaged) }
            }
        };
        for reply in refused {
            write(&output, serde_json::to_vec(&reply)?).await?;
        }
        for message in messages {
            if read.send(message).await.is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// A line of the input.
enum Line {
    Whole(Vec<u8>),
    /// The line exceeds the largest message. The value contains what was recovered of the line's messages while it was
    /// skipped.
    TooLong(Vec<RecoveredMessage>),
}

/// Reads the next line; returns none at the end of the input. Keeps at most as many bytes in memory as a message may
/// have.
async fn next(input: &mut BufReader<impl AsyncRead + Unpin>) -> io::Result<Option<Line>> {
    let (mut line, mut long) = (Vec::new(), None::<MessageScanner>);
    loop {
        let available = input.fill_buf().await?;
        let end = available.iter().position(|byte| *byte == b'\n');
        let piece = &available[..end.map_or(available.len(), |end| end + 1)];
        if long.is_none() && line.len() + piece.len() > BODY_BYTES_MAX {
            let mut salvage = MessageScanner::default();
            salvage.feed(&std::mem::take(&mut line));
            long = Some(salvage);
        }
        match &mut long {
            Some(salvage) => salvage.feed(piece),
            None => line.extend_from_slice(piece),
        }
        let (read, is_over) = (piece.len(), end.is_some() || piece.is_empty());
        input.consume(read);
        if is_over {
            let nothing = read == 0 && line.is_empty() && long.is_none();
            let line = long.map_or(Line::Whole(line), |salvage| Line::TooLong(salvage.finish()));
            return Ok(Some(line).filter(|_| !nothing));
        }
    }
}

/// The messages of a line, and the error responses for the messages that cannot be parsed.
#[derive(Default)]
struct Read {
    messages: Vec<ClientJsonRpcMessage>,
    refused: Vec<Reply>,
}

fn parsed(line: &[u8]) -> Read {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii();
    if line.is_empty() {
        return Read::default();
    }
    if let Err(unreadable) = check(line) {
        return Read { messages: Vec::new(), refused: unreadable.replies(&MessageScanner::of(line)) };
    }
    if !line.starts_with(b"[") {
        return one(line);
    }
    // The messages of a list are answered one by one, each with its own id.
    let list: Vec<&RawValue> = serde_json::from_slice(line).unwrap_or_default();
    if !(1..=RPC_BATCH_MAX).contains(&list.len()) {
        return Read {
            messages: Vec::new(),
            refused: Unreadable::wrong_count().replies(&MessageScanner::of(line)),
        };
    }
    let mut read = Read::default();
    for Read { messages, refused } in list.into_iter().map(|message| one(message.get().as_bytes())) {
        read.messages.extend(messages);
        read.refused.extend(refused);
    }
    read
}

fn one(message: &[u8]) -> Read {
    match serde_json::from_slice(message) {
        Ok(message) => Read { messages: vec![message], refused: Vec::new() },
        Err(_) => Read {
            messages: Vec::new(),
            refused: Unreadable::no_message().replies(&MessageScanner::of(message)),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// Returns the ids of the messages that are passed to the library, and the ids of the messages that are answered at
    /// once.
    async fn sorted(lines: &[&[u8]]) -> (Vec<serde_json::Value>, Vec<serde_json::Value>) {
        let input = io::Cursor::new(lines.concat());
        let (output, mut said) = tokio::io::duplex(1 << 20);
        let mut transport = Lines::new(input, output);
        let mut messages = Vec::new();
        while let Some(message) = transport.receive().await {
            messages.push(serde_json::to_value(message).unwrap()["id"].clone());
        }
        transport.close().await.unwrap();
        drop(transport);
        let mut text = String::new();
        said.read_to_string(&mut text).await.unwrap();
        let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].clone();
        (messages, text.lines().map(id).collect())
    }

    #[tokio::test]
    async fn every_line_that_cannot_be_read_is_answered_by_its_id() {
        let long =
            format!("{{\"method\":\"ping\",\"x\":\"{}\",\"id\":\"long\"}}\n", "x".repeat(BODY_BYTES_MAX));
        let deep =
            format!("{{\"id\":3,\"method\":\"ping\",\"x\":{}1{}}}\n", "[".repeat(100), "]".repeat(100));
        let lines: [&[u8]; 14] = [
            b"{\"jsonrpc\":\"2.0\",\"id\":\"ok\",\"method\":\"ping\"}\r\n",
            b"\n \r\n",
            b"{\"id\":1,\"method\":\"ping\",\"x\":\"\\ud83d\"}\n",
            b"{\"id\":2,\"method\":\"ping\",\"x\":1,\"x\":2}\n",
            deep.as_bytes(),
            b"{\"id\":4,\"method\":\"ping\",\"x\":\"\xff\"}\n",
            b"{\"id\":5,\"method\":\"ping\",\"x\":1e999}\n",
            b"{\"id\":6,\"method\":\"ping\"\n",
            long.as_bytes(),
            b"{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"ping\"}\n",
            b"{\"jsonrpc\":\"2.0\",\"id\":8.5,\"method\":\"ping\"}\n",
            b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\",\"x\":1,\"x\":2}\n",
            b"[{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"ping\"},{\"id\":9,\"method\":\"ping\"}]\n",
            b"\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"ping\"}",
        ];
        let (messages, answered) = sorted(&lines).await;
        assert_eq!(messages, ["ok", "a", "last"]);
        let expected = serde_json::json!([1, 2, 3, 4, 5, 6, "long", 7, 8.5, 9]);
        assert_eq!(serde_json::Value::from(answered), expected);
    }

    #[tokio::test]
    async fn what_belongs_to_no_request_is_answered_without_an_id() {
        let (messages, answered) = sorted(&[b"nothing\n", b"[]\n", b"{}\n"]).await;
        assert!(messages.is_empty());
        assert_eq!(answered, [serde_json::Value::Null, serde_json::Value::Null, serde_json::Value::Null]);
    }
}
