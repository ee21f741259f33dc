//! Recovers the id and kind of unreadable JSON-RPC messages, so that a waiting client receives an error response.

/// Maximum length of a token that is kept (an id or a field name), in bytes. Clients use numbers, UUIDs or short words
/// as ids.
const TOKEN_BYTES_MAX: usize = 512;

/// What could be recovered of a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecoveredMessage {
    /// The message's id as JSON, a number or a string. If there are several ids, the last one, as in most JSON parsers.
    pub id: Option<String>,
    /// Whether it is a response and not a request.
    pub is_reply: bool,
    /// Whether it names a method.
    pub has_method: bool,
}

impl RecoveredMessage {
    /// Whether the message is a request with an id, so that an error response can be sent to its sender.
    pub fn is_request(&self) -> bool {
        self.id.is_some() && !self.is_reply
    }

    /// Whether it is a notification, which gets no response.
    pub fn is_notification(&self) -> bool {
        self.id.is_none() && self.has_method
    }
}

/// Scans a message or a batch of messages incrementally and holds no more than one short token. Continues despite
/// everything that makes the text unreadable for a JSON parser: invalid characters or escapes, duplicate keys, numbers
/// out of range, any depth, and a missing end.
#[derive(Debug, Default)]
pub struct MessageScanner {
    found: Vec<RecoveredMessage>,
    current: RecoveredMessage,
    /// Number of open brackets.
    depth: usize,
    /// Number of open brackets at the top level of a message; 0 before the first bracket.
    level: usize,
    within: Within,
    token: Token,
    key: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Within {
    #[default]
    Nothing,
    Text,
    /// In a string, after a backslash.
    Escape,
    Word,
}

/// A string or a bare word at the top level of a message; empty if there is none, or if it is too long to keep.
#[derive(Debug, Default)]
struct Token {
    bytes: Vec<u8>,
    is_too_long: bool,
}

impl Token {
    fn push(&mut self, byte: u8) {
        if self.bytes.len() < TOKEN_BYTES_MAX { self.bytes.push(byte) } else { self.is_too_long = true }
    }

    fn take(&mut self) -> Option<String> {
        let Token { bytes, is_too_long } = std::mem::take(self);
        if is_too_long { None } else { String::from_utf8(bytes).ok() }
    }
}

impl MessageScanner {
    /// Scans a complete text.
    pub fn of(text: &[u8]) -> Vec<RecoveredMessage> {
        let mut salvage = MessageScanner::default();
        salvage.feed(text);
        salvage.finish()
    }

    /// Scans more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.step(*byte);
        }
    }

    /// The messages, in order. Includes an unfinished message, without the value that was being read.
    pub fn finish(mut self) -> Vec<RecoveredMessage> {
        if self.level > 0 && self.depth >= self.level {
            self.found.push(self.current);
        }
        self.found
    }

    fn step(&mut self, byte: u8) {
        match (self.within, byte) {
            (Within::Escape, _) => {
                self.within = Within::Text;
                self.keep(byte);
            }
            (Within::Text, b'\\') => {
                self.within = Within::Escape;
                self.keep(byte);
            }
            (Within::Text, b'"') => {
                self.within = Within::Nothing;
                self.keep(byte);
            }
            (Within::Text, _) => self.keep(byte),
            (_, b'"') => {
                self.within = Within::Text;
                self.begin(byte);
            }
            (_, b'{' | b'[') => {
                self.within = Within::Nothing;
                self.open(byte);
            }
            (_, b'}' | b']') => {
                self.within = Within::Nothing;
                self.close();
            }
            (_, b':') => self.named(),
            (_, b',') => self.separated(),
            (_, b' ' | b'\t' | b'\r' | b'\n') => self.within = Within::Nothing,
            (Within::Word, _) => self.keep(byte),
            (Within::Nothing, _) => {
                self.within = Within::Word;
                self.begin(byte);
            }
        }
    }

    fn is_at_level(&self) -> bool {
        self.level > 0 && self.depth == self.level
    }

    fn begin(&mut self, byte: u8) {
        if self.is_at_level() {
            self.token = Token::default();
            self.token.push(byte);
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.is_at_level() {
            self.token.push(byte);
        }
    }

    fn open(&mut self, byte: u8) {
        if self.level == 0 {
            // Messages of a batch are one level deeper.
            self.level = if byte == b'[' { 2 } else { 1 };
        }
        self.depth += 1;
        if self.is_at_level() {
            self.current = RecoveredMessage::default();
            (self.key, self.token) = (None, Token::default());
        }
    }

    fn close(&mut self) {
        if self.is_at_level() {
            self.value();
            self.found.push(std::mem::take(&mut self.current));
        }
        self.depth = self.depth.saturating_sub(1);
        // Values that are nested deeper are not kept.
        self.token = Token::default();
    }

    fn named(&mut self) {
        self.within = Within::Nothing;
        if self.is_at_level() {
            self.key = self.token.take().and_then(|key| serde_json::from_str(&key).ok());
            match self.key.as_deref() {
                Some("result" | "error") => self.current.is_reply = true,
                Some("method") => self.current.has_method = true,
                _ => {}
            }
        }
    }

    fn separated(&mut self) {
        self.within = Within::Nothing;
        if self.is_at_level() {
            self.value();
        }
    }

    fn value(&mut self) {
        let value = self.token.take();
        if self.key.take().as_deref() != Some("id") {
            return;
        }
        let is_id = |value: &String| {
            let read = serde_json::from_str::<serde_json::Value>(value);
            read.is_ok_and(|value| value.is_string() || value.is_number())
        };
        self.current.id = value.filter(is_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: impl AsRef<[u8]>) -> Vec<Option<String>> {
        MessageScanner::of(text.as_ref()).into_iter().map(|message| message.id).collect()
    }

    #[track_caller]
    fn check(text: impl AsRef<[u8]>, id: &str) {
        let text = text.as_ref();
        assert_eq!(ids(text), [Some(id.to_owned())], "{}", String::from_utf8_lossy(text));
        // Feeds the text in small chunks.
        let mut salvage = MessageScanner::default();
        text.chunks(3).for_each(|piece| salvage.feed(piece));
        assert_eq!(salvage.finish()[0].id.as_deref(), Some(id));
    }

    #[test]
    fn a_request_that_cannot_be_read_keeps_its_id() {
        check(br#"{"id":7,"method":"m","params":{"a":"\ud83d"}}"#, "7");
        check(br#"{"method":"m","params":{"a":"\ud83d","id":1},"jsonrpc":"2.0","id":7}"#, "7");
        check(b"{\"params\":[\"\xff\xfe\"],\"id\":\"a-1\"}", "\"a-1\"");
        check(br#"{"params":{"id":1,"a":2,"a":3},"id":-4}"#, "-4");
        check(br#"{"params":{"a":1e999},"id":5.5}"#, "5.5");
        check(br#"{"params":{"a":NaN,"b":undefined},"id":5}"#, "5");
        check(format!("{{\"params\":{}1{},\"id\":9}}", "[".repeat(5000), "]".repeat(5000)), "9");
        check(br#"{"id":3,"params":{"a":"b"#, "3");
        check(br#"{"id":3,"params":[1,2}"#, "3");
        check(br#"{ "\u0069d" : 3 , "x" : "\"},{\\" }"#, "3");
        check(br#"{"id":1,"id":2}"#, "2");
        check(b"\xef\xbb\xbf{\"id\":8,\"x\":tru}", "8");
        check(
            format!("{{\"x\":\"{}\",\"id\":12345678901234567890}}", "y".repeat(100_000)),
            "12345678901234567890",
        );
    }

    #[test]
    fn what_has_no_id_gets_none() {
        for text in [
            "",
            "nothing",
            "\"id\":1",
            "{\"id\":3",
            "{\"id\":\"\\ud83d\",",
            "{\"id\":null,",
            "{\"id\":[1],",
            "{\"id\":{\"id\":1},",
            "{\"params\":{\"id\":1},",
            "{\"id\":1e999,",
            "{\"id\":true}",
        ] {
            assert!(ids(text).iter().all(Option::is_none), "{text}: {:?}", ids(text));
        }
        assert_eq!(ids(format!("{{\"id\":\"{}\"}}", "x".repeat(600))), [None]);
    }

    #[test]
    fn every_message_of_a_list_keeps_its_id() {
        let text = br#"[{"id":1,"method":"a"},{"method":"n"},{"id":"b","p":["\ud83d",{}]},{"id":4,"p":"#;
        assert_eq!(ids(text), [Some("1".to_owned()), None, Some("\"b\"".to_owned()), Some("4".to_owned())]);
        let kinds: Vec<(bool, bool)> = MessageScanner::of(text)
            .iter()
            .map(|message| (message.is_request(), message.is_notification()))
            .collect();
        assert_eq!(kinds, [(true, false), (false, true), (true, false), (true, false)]);
    }

    #[test]
    fn an_answer_is_not_answered() {
        for text in [r#"{"id":1,"result":{"a":"\ud83d"}}"#, r#"{"id":1,"error":{"a":1,"a":2}}"#] {
            assert!(!MessageScanner::of(text.as_bytes())[0].is_request(), "{text}");
        }
    }
}
