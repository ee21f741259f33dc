//! Splits tool results that exceed the size limit into parts.

use crate::limits::TOOL_ANSWER_BYTES_MAX;

/// Maximum size of the content of a result, in bytes. The rest of [`TOOL_ANSWER_BYTES_MAX`] is for the JSON-RPC framing
/// and the note on how to get the next part.
pub const ROOM: usize = TOOL_ANSWER_BYTES_MAX - 4096;

/// Size of a text, in bytes, as a string in JSON that is itself encoded as a JSON string. No encoding of a result is
/// larger.
pub fn cost(text: &str) -> usize {
    text.chars().map(cost_of).sum()
}

fn cost_of(c: char) -> usize {
    match c {
        // The character and its backslash, each with a backslash of the outer encoding.
        '"' | '\\' => 4,
        '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 3,
        c if c < ' ' => 7,
        c => c.len_utf8(),
    }
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// The part itself.
    pub text: &'a str,
    /// Offset of the next part, in characters; none if this is the last one.
    pub next: Option<usize>,
    /// Total number of characters in the text.
    pub total: usize,
}

/// The part of a text that starts after `offset` characters and costs at most `room` bytes; None if the text has fewer
/// characters than `offset`. A part has at least one character if any is left.
pub fn part(text: &str, offset: usize, room: usize) -> Option<Part<'_>> {
    let total = text.chars().count();
    let start = text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(offset)?;
    let (mut end, mut chars, mut used) = (start, 0, 0);
    for c in text[start..].chars() {
        used += cost_of(c);
        if used > room && chars > 0 {
            break;
        }
        end += c.len_utf8();
        chars += 1;
    }
    let next = Some(offset + chars).filter(|next| *next < total);
    Some(Part { text: &text[start..end], next, total })
}

/// Number of items from the start whose `costs` together fit into `room`; at least one, unless there are no items.
pub fn fitting(costs: impl IntoIterator<Item = usize>, room: usize) -> usize {
    let mut used = 0;
    let fits = |cost: &usize| {
        used += cost;
        used <= room
    };
    let costs: Vec<usize> = costs.into_iter().collect();
    costs.iter().copied().take_while(fits).count().max(usize::from(!costs.is_empty()))
}

/// Range of consecutive items around the item `anchor` whose `costs` together fit into `room`: start, and end
/// (exclusive).
pub fn around(costs: &[usize], anchor: usize, room: usize) -> (usize, usize) {
    let (mut from, mut to, mut used) = (0, costs.len(), costs.iter().sum::<usize>());
    while used > room && to - from > 1 {
        let (before, after) = (anchor.saturating_sub(from), (to - 1).saturating_sub(anchor));
        if before > after {
            used -= costs[from];
            from += 1;
        } else {
            to -= 1;
            used -= costs[to];
        }
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_put_together_are_the_text(text in "(?s).{0,300}", room in 1_usize..80) {
            let (mut whole, mut next) = (String::new(), Some(0));
            while let Some(offset) = next {
                let part = part(&text, offset, room).unwrap();
                prop_assert!(cost(part.text) <= room.max(7));
                whole.push_str(part.text);
                next = part.next;
            }
            prop_assert_eq!(&whole, &text);
            prop_assert!(part(&text, text.chars().count() + 1, room).is_none());
        }

        #[test]
        fn a_text_costs_what_it_takes(text in "(?s).{0,200}") {
            let json = serde_json::to_string(&text).unwrap();
            let within = serde_json::to_string(&json).unwrap();
            // `cost` does not include the quotation marks at both ends, which take six bytes.
            prop_assert_eq!(cost(&text) + 6, within.len());
        }
    }

    #[test]
    fn what_is_near_is_kept() {
        assert_eq!(fitting([3, 3, 3], 6), 2);
        assert_eq!(fitting([9, 3], 6), 1);
        assert_eq!(fitting([], 6), 0);
        assert_eq!(around(&[1; 9], 4, 9), (0, 9));
        assert_eq!(around(&[1; 9], 4, 3), (3, 6));
        assert_eq!(around(&[1; 9], 0, 3), (0, 3));
        assert_eq!(around(&[1; 9], 8, 3), (6, 9));
        assert_eq!(around(&[9], 0, 3), (0, 1));
    }
}
