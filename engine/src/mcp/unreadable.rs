//! Error responses for messages that cannot be parsed. Each contains the id of the request if it can be found, so that
//! the client does not wait for a response that never comes.

use engine_core::limits::{BODY_BYTES_MAX, RPC_BATCH_MAX};
use engine_core::rpc::RecoveredMessage;
use engine_core::strict;
use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

/// JSON-RPC error code: the message is not JSON.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC error code: the message is not a request.
pub(crate) const INVALID_REQUEST: i32 = -32600;

/// Why a message cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    code: i32,
    message: String,
}

/// A JSON-RPC error response. It has no id if the id of the request is not known.
#[derive(Debug, Serialize)]
pub(crate) struct Reply {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Box<RawValue>>,
    error: serde_json::Value,
}

impl Unreadable {
    /// The error for well-formed JSON that is not a message of the protocol.
    pub(crate) fn no_message() -> Unreadable {
        let message =
            "this is not a message of the protocol; a request has \"jsonrpc\": \"2.0\", an id and a method";
        Unreadable { code: INVALID_REQUEST, message: message.to_owned() }
    }

    pub(crate) fn too_long() -> Unreadable {
        let message = format!("the message has more than {BODY_BYTES_MAX} bytes; send less at once");
        Unreadable { code: INVALID_REQUEST, message }
    }

    pub(crate) fn wrong_count() -> Unreadable {
        Unreadable {
            code: INVALID_REQUEST,
            message: format!("a list must have 1 to {RPC_BATCH_MAX} messages"),
        }
    }

    /// Returns one error response for each request that was recovered from the message, or one response without an id
    /// if nothing was recovered. Notifications and responses get no error response.
    pub(crate) fn replies(&self, salvaged: &[RecoveredMessage]) -> Vec<Reply> {
        let requests = salvaged.iter().filter(|message| message.is_request());
        let replies: Vec<Reply> = requests.map(|request| self.reply(request.id.clone())).collect();
        let wants_none = |message: &RecoveredMessage| message.is_reply || message.is_notification();
        match replies.is_empty() && !salvaged.iter().any(wants_none) {
            true => vec![self.alone()],
            false => replies,
        }
    }

    /// Returns an error response without an id.
    pub(crate) fn alone(&self) -> Reply {
        self.reply(None)
    }

    /// Returns an error response. `id` is the JSON text of the request's id.
    fn reply(&self, id: Option<String>) -> Reply {
        error(id.and_then(|id| RawValue::from_string(id).ok()), self.code, &self.message)
    }
}

/// Returns a JSON-RPC error response with this code and message.
pub(crate) fn error(id: Option<Box<RawValue>>, code: i32, message: &str) -> Reply {
    Reply { jsonrpc: "2.0", id, error: json!({ "code": code, "message": message }) }
}

/// Checks that a text is JSON that every parser understands in the same way. The library's own parser is less strict
/// than this API.
pub(crate) fn check(text: &[u8]) -> Result<(), Unreadable> {
    strict::check_sent(text).map_err(|fault| {
        let is_half = fault.reason.contains("hex escape") || fault.reason.contains("surrogate");
        let hint = match is_half {
            true => {
                "; a character beyond \\uffff needs two escapes, such as \\ud83d\\ude00; half of a pair is invalid"
            }
            false => "",
        };
        Unreadable {
            code: PARSE_ERROR,
            message: format!("the message is not JSON that can be read: {fault}{hint}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use engine_core::rpc::MessageScanner;

    use super::*;

    fn replies(text: &str) -> Vec<String> {
        let fault = check(text.as_bytes()).unwrap_err();
        let replies = fault.replies(&MessageScanner::of(text.as_bytes()));
        replies.iter().map(|reply| serde_json::to_string(reply).unwrap()).collect()
    }

    #[test]
    fn half_a_character_is_said_with_the_id_it_was_asked_with() {
        let said = replies(r#"{"id":"a","method":"tools/call","params":{"content":"\ud83d"}}"#);
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with(r#"{"jsonrpc":"2.0","id":"a","error":{"code":-32700"#), "{said:?}");
        assert!(said[0].contains("two escapes"), "{said:?}");
    }

    #[test]
    fn nobody_is_told_what_nobody_waits_for() {
        assert!(replies(r#"{"method":"notifications/progress","params":{"a":1,"a":2}}"#).is_empty());
        assert!(replies(r#"{"id":1,"result":{"a":1,"a":2}}"#).is_empty());
        let said = replies("nothing");
        assert!(said.len() == 1 && !said[0].contains("\"id\""), "{said:?}");
        assert_eq!(replies(r#"[{"id":1,"method":"a"},{"id":2,"method":"\ud83d"}]"#).len(), 2);
    }
}
