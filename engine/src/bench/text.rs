//! Generates memories and questions. The texts are the same in every run.

/// Size of the text of one memory, in bytes. The figures in the documentation refer to it.
const CONTENT_BYTES: usize = 300;
/// Number of different words. Frequent words are short, as in natural language.
const WORDS: u64 = 4_096;

/// A pseudo-random sequence of texts.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    state: u64,
}

impl Texts {
    /// Starts a sequence. Each seed gives different texts.
    pub(super) fn new(seed: u64) -> Texts {
        Texts { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// Returns a text of about 300 bytes.
    pub(super) fn content(&mut self) -> String {
        let mut content = String::with_capacity(CONTENT_BYTES + 16);
        while content.len() < CONTENT_BYTES {
            content.push_str(&self.word());
            content.push(' ');
        }
        content
    }

    fn word(&mut self) -> String {
        // The product of two uniform random numbers favours small numbers, so a few words are frequent.
        let rank = (self.next() % WORDS) * (self.next() % WORDS) / WORDS;
        let mut word = String::new();
        push_word(rank, &mut word);
        word
    }

    /// Returns a query with this number of words, distributed as in the texts.
    pub(super) fn words(&mut self, count: u64) -> String {
        (0..count).map(|_| self.word()).collect::<Vec<_>>().join(" ")
    }

    /// Returns a query of two to six words. One query in ten contains only words that occur in no text.
    pub(super) fn question(&mut self) -> String {
        let count = 2 + self.next() % 5;
        if self.next().is_multiple_of(10) {
            return (0..count)
                .map(|_| format!("none{}", self.next() % 1_000_000))
                .collect::<Vec<_>>()
                .join(" ");
        }
        self.words(count)
    }

    /// Returns the body of a request that saves one memory.
    pub(super) fn memory(&mut self) -> String {
        format!(r#"{{"content":"{}","project":"bench"}}"#, self.content())
    }

    /// Returns the body of a request that appends `count` events.
    pub(super) fn events(&mut self, count: usize) -> String {
        let event = |texts: &mut Texts| {
            format!(
                r#"{{"type":"bench.noted","project":"bench","payload":{{"text":"{}"}}}}"#,
                texts.content()
            )
        };
        let events: Vec<String> = (0..count).map(|_| event(self)).collect();
        format!(r#"{{"events":[{}]}}"#, events.join(","))
    }
}

/// Appends a pronounceable word for a number: two letters for each base-80 digit.
fn push_word(mut number: u64, word: &mut String) {
    loop {
        let digit = (number % 80) as usize;
        word.push(char::from(b"bdfghjklmnprstvw"[digit / 5]));
        word.push(char::from(b"aeiou"[digit % 5]));
        number /= 80;
        if number == 0 {
            return;
        }
    }
}
