//! The stream of a client. It can send an error before there is a request, and closes without cutting off the
//! error.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::StatusCode;
use engine_core::wire::ErrorCode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::connection_timeouts::ConnectionTimeouts;
use crate::refusal::Refusal;
use service::RequestIds;
use service::tls::Socket;

/// Maximum size of a request head, bytes: enough for the longest query string and ordinary headers.
pub(super) const HEAD_BYTES_MAX: usize = 96 << 10;
/// Maximum number of headers, as the HTTP library sets it; each proxy adds a few.
pub(super) const HEADERS_MAX: usize = 100;

/// Maximum time to send the last response, shut down the sending side, and discard what the client still sends. Closing
/// at once would reset the connection, and a client that is still sending could lose the response.
const LINGER_MAX: Duration = Duration::from_secs(1);
/// Maximum number of bytes that are discarded. A client that sends more is faulty.
const LINGER_BYTES_MAX: u64 = 1 << 20;

/// Converts an error to an HTTP response for a connection that is closed afterwards. The ids are made: such a request
/// has no head that could name them.
pub(super) fn refusal_response(refusal: Refusal) -> Vec<u8> {
    response_with_ids(refusal, &RequestIds::made())
}

fn response_with_ids(refusal: Refusal, ids: &RequestIds) -> Vec<u8> {
    let status = StatusCode::from_u16(refusal.code().status()).unwrap_or(StatusCode::BAD_REQUEST);
    let retry_after = refusal.retry_after_s().map(|seconds| format!("retry-after: {seconds}\r\n"));
    tracing::debug!(
        request_id = ids.request(),
        trace_id = ids.trace(),
        code = refusal.code().as_str(),
        "a connection is refused or ended"
    );
    let id = ids.request();
    let body = serde_json::to_string(&refusal.into_body()).unwrap_or_default();
    format!(
        "HTTP/1.1 {} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-request-id: {id}\r\n{}connection: close\r\n\r\n{body}",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len(),
        retry_after.unwrap_or_default(),
    )
    .into_bytes()
}

/// Sends a last response, if there is one, and closes the connection gracefully.
pub(super) async fn close_gracefully(mut stream: Socket, words: Option<Vec<u8>>) {
    let leave = async {
        if let Some(words) = words {
            stream.write_all(&words).await?;
        }
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await
    };
    // If the time is over, the client is gone or too slow; the connection is closed in any case.
    let _over = tokio::time::timeout(LINGER_MAX, leave).await;
}

/// A stream that replaces the error responses of the HTTP library, which have no body, with responses that have a
/// message and a hint.
#[derive(Debug)]
pub(super) struct Stream {
    inner: Socket,
    /// Replacement for a response of the library; these bytes are not sent yet.
    pending: Vec<u8>,
    timeouts: Arc<ConnectionTimeouts>,
    /// Ids of the request that was refused because its head cannot be read.
    unreadable: Option<RequestIds>,
}

impl Stream {
    pub(super) fn new(inner: Socket, timeouts: Arc<ConnectionTimeouts>) -> Stream {
        Stream { inner, pending: Vec::new(), timeouts, unreadable: None }
    }

    /// Ids of the request that was refused because its head cannot be read.
    pub(super) fn unreadable(&self) -> Option<&RequestIds> {
        self.unreadable.as_ref()
    }

    /// Returns the connection, without the replacement.
    pub(super) fn into_inner(self) -> Socket {
        self.inner
    }

    /// Updates the timeouts after a write.
    fn progressed(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) {
            self.timeouts.sent();
        }
    }

    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let sent = ready!(Pin::new(&mut self.inner).poll_write(context, &self.pending))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }
}

/// Returns the replacement if `written` is an error response of the library. The engine's own responses always have a
/// body.
fn instead_of(written: &[u8]) -> Option<Refusal> {
    let status = written.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    let refusal = match status {
        b"400" => Refusal::new(ErrorCode::InvalidArgument, "the head of the request is not HTTP/1.1")
            .hint("check the request line, the headers and the bytes between two requests"),
        b"414" | b"431" => Refusal::new(
            ErrorCode::HeadTooLarge,
            format!(
                "the request line and headers are longer than {} bytes, or there are more than {} headers",
                HEAD_BYTES_MAX, HEADERS_MAX
            ),
        )
        .hint("send long texts in the body: POST /v1/checkout takes a query of any allowed length"),
        _ => return None,
    };
    let is_bare = written.ends_with(b"\r\n\r\n")
        && written.windows(21).any(|line| line.eq_ignore_ascii_case(b"\r\ncontent-length: 0\r\n"));
    is_bare.then_some(refusal)
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, into);
        if into.filled().len() > before {
            self.timeouts.received();
        }
        read
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_pending(context))?;
        if let Some(refusal) = instead_of(bytes) {
            let ids = RequestIds::made();
            self.pending = response_with_ids(refusal, &ids);
            self.unreadable = Some(ids);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.progressed(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The library writes a head without a body in a separate call.
        match slices {
            [only] => self.poll_write(context, only),
            _ => {
                ready!(self.poll_pending(context))?;
                let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
                self.progressed(&written);
                written
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_library_says_without_a_body_is_said_in_words() {
        let bare = |status: &str| {
            format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n")
        };
        let code = |written: &str| instead_of(written.as_bytes()).map(|refusal| refusal.code());
        assert_eq!(code(&bare("431 Request Header Fields Too Large")), Some(ErrorCode::HeadTooLarge));
        assert_eq!(code(&bare("414 URI Too Long")), Some(ErrorCode::HeadTooLarge));
        assert_eq!(code(&bare("400 Bad Request")), Some(ErrorCode::InvalidArgument));
        assert_eq!(code(&bare("202 Accepted")), None);
        assert_eq!(code("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}"), None);
        assert_eq!(code("{}"), None);
    }

    #[test]
    fn last_words_are_a_whole_answer() {
        let words = refusal_response(Refusal::new(ErrorCode::Overloaded, "full").hint("wait"));
        let text = String::from_utf8(words).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with("HTTP/1.1 503 Service Unavailable\r\n") && head.contains("retry-after: 1"),
            "{head}"
        );
        assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
        assert!(body.contains(r#""code":"OVERLOADED""#), "{body}");
    }
}
