//! Cuts a text into pieces. Places where it may cut, best first: section and block boundaries, sentences, lines,
//! clauses, words, grapheme clusters, characters.

use icu_segmenter::options::{SentenceBreakInvariantOptions, WordBreakInvariantOptions};
use icu_segmenter::{GraphemeClusterSegmenter, SentenceSegmenter, WordSegmenter};

use super::structure::{DEPTH_MAX, Structure};

/// Largest text in which the segmenter looks for words, in bytes. A longer text without a better place to cut is not
/// natural language; it is cut at white space only, because the segmenter's dictionaries are slow on it.
const UNBROKEN_BYTES_MAX: usize = 64 << 10;

/// Kinds of places where a text may be cut, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Sections,
    /// Boundaries of blocks at this depth.
    Blocks(usize),
    /// Sentence ends; in verbatim text: starts of lines after a blank line.
    Sentences,
    Lines,
    Clauses,
    Words,
    /// Boundaries of grapheme clusters (user-perceived characters).
    Clusters,
    Characters,
}

impl Level {
    fn next(self) -> Option<Level> {
        Some(match self {
            Level::Sections => Level::Blocks(0),
            Level::Blocks(depth) if depth + 1 < DEPTH_MAX => Level::Blocks(depth + 1),
            Level::Blocks(_) => Level::Sentences,
            Level::Sentences => Level::Lines,
            Level::Lines => Level::Clauses,
            Level::Clauses => Level::Words,
            Level::Words => Level::Clusters,
            Level::Clusters => Level::Characters,
            Level::Characters => return None,
        })
    }
}

/// Cuts a text into pieces of at most `max` bytes; a `max` below 4 counts as 4. The concatenated pieces equal the text.
///
/// A heading starts a new piece unless the current piece is still small, so that a piece covers one topic. Text that
/// fits into one piece is not cut; longer text is cut at the best places available.
pub(super) fn pieces<'a>(text: &'a str, structure: &Structure, max: usize) -> Vec<&'a str> {
    let mut cutter = Cutter { text, structure, max: max.max(4), start: 0, end: 0, pieces: Vec::new() };
    cutter.pack(text.len(), Level::Sections);
    cutter.flush();
    cutter.pieces
}

struct Cutter<'a, 's> {
    text: &'a str,
    structure: &'s Structure,
    max: usize,
    /// Range of the piece under construction.
    start: usize,
    end: usize,
    pieces: Vec<&'a str>,
}

impl Cutter<'_, '_> {
    fn flush(&mut self) {
        if self.start < self.end {
            self.pieces.push(&self.text[self.start..self.end]);
        }
        self.start = self.end;
    }

    /// Packs the text before `until` into pieces, cut at places of `level` or of later levels.
    fn pack(&mut self, until: usize, level: Level) {
        let mut places = self.places(self.end, until, level);
        places.push(until);
        for place in places {
            let (held, added) = (self.end - self.start, place - self.end);
            let is_small = held < self.max / 4;
            let begins_anew = level == Level::Sections && !is_small;
            let fits = held + added <= self.max;
            if !fits && (added <= self.max || !is_small) || begins_anew {
                self.flush();
            }
            if self.end - self.start + added <= self.max {
                self.end = place;
            } else if let Some(next) = level.next() {
                self.pack(place, next);
            } else {
                self.flush();
                self.end = place;
            }
        }
    }

    /// Places of `level` at which the text between `from` and `until` may be cut, in ascending order.
    fn places(&self, from: usize, until: usize, level: Level) -> Vec<usize> {
        let part = &self.text[from..until];
        let known = |places: &[usize]| -> Vec<usize> {
            let first = places.partition_point(|place| *place <= from);
            let behind = places.partition_point(|place| *place < until);
            let mut found = places.get(first..behind).unwrap_or_default().to_vec();
            found.dedup();
            found
        };
        let verbatim = |place: &usize| self.structure.is_verbatim(*place);
        let prose = |place: &usize| !self.structure.is_verbatim(*place) && !self.structure.is_in_atom(*place);
        let here = |places: Vec<usize>| {
            places.into_iter().map(|place| from + place).filter(|place| from < *place && *place < until)
        };
        match level {
            Level::Sections => known(&self.structure.sections),
            Level::Blocks(depth) => known(&self.structure.blocks[depth]),
            Level::Sentences => {
                let mut found: Vec<usize> = here(sentences(part)).filter(prose).collect();
                found.extend(here(paragraphs(part)).filter(verbatim));
                found.sort_unstable();
                found
            }
            Level::Lines => here(lines(part)).collect(),
            Level::Clauses => here(clauses(part)).filter(prose).collect(),
            Level::Words => here(words(part)).filter(|place| !self.structure.is_in_atom(*place)).collect(),
            Level::Clusters => here(GraphemeClusterSegmenter::new().segment_str(part).collect()).collect(),
            Level::Characters => here(part.char_indices().map(|(place, _)| place).collect()).collect(),
        }
    }
}

/// Byte offsets of sentence ends, by Unicode's rules. A line end does not end a sentence, because prose is often broken
/// into lines.
fn sentences(text: &str) -> Vec<usize> {
    let one_line = text.replace('\n', " ");
    let segmenter = SentenceSegmenter::new(SentenceBreakInvariantOptions::default());
    segmenter.segment_str(&one_line).collect()
}

/// Byte offsets after blank lines.
fn paragraphs(text: &str) -> Vec<usize> {
    let mut blank = false;
    let (mut found, mut place) = (Vec::new(), 0);
    for line in text.split_inclusive('\n') {
        let is_blank = line.trim().is_empty();
        if blank && !is_blank {
            found.push(place);
        }
        blank = is_blank;
        place += line.len();
    }
    found
}

/// Byte offsets after line ends.
fn lines(text: &str) -> Vec<usize> {
    text.match_indices('\n').map(|(place, _)| place + 1).collect()
}

/// Byte offsets of clause ends: after commas and similar marks. In scripts with spaces between words, a mark counts
/// only if a space follows it, because numbers contain commas too.
fn clauses(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut characters = text.char_indices().peekable();
    let mut before = ' ';
    while let Some((_, character)) = characters.next() {
        let next = characters.peek().copied();
        let Some((place, following)) = next else { break };
        match character {
            '、' | '，' | '；' | '：' | '。' | '！' | '？' | '।' | '॥' | '။' | '၊' | '។' | '༎' | '།'
            | '…'
                if !is_closing(following) =>
            {
                found.push(place);
            }
            // In a script without spaces between words, a space ends a clause.
            ' ' if is_unspaced(before) && is_unspaced(following) => found.push(place),
            ' ' if matches!(before, ',' | ';' | ':' | '،' | '؛' | '–' | '—') => found.push(place),
            _ => {}
        }
        before = character;
    }
    found
}

/// Whether a character belongs to Thai, Lao, Tibetan, Myanmar or Khmer.
fn is_unspaced(character: char) -> bool {
    matches!(character, '\u{e00}'..='\u{fff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

fn is_closing(character: char) -> bool {
    matches!(
        character,
        '”' | '’'
            | '」'
            | '』'
            | '）'
            | '》'
            | '〉'
            | '】'
            | '〕'
            | '"'
            | '\''
            | ')'
            | '。'
            | '，'
            | '！'
            | '？'
            | '…'
    )
}

/// Byte offsets of word starts: after white space, and, in scripts without spaces, where the segmenter's dictionary
/// ends a word.
fn words(text: &str) -> Vec<usize> {
    let blank = |place: usize| text[..place].ends_with(char::is_whitespace);
    if text.len() > UNBROKEN_BYTES_MAX || text.is_ascii() {
        let behind = |(place, blank): (usize, &str)| place + blank.len();
        return text.match_indices(char::is_whitespace).map(behind).collect();
    }
    let segmenter = WordSegmenter::new_dictionary(WordBreakInvariantOptions::default());
    let segments = segmenter.segment_str(text).filter(|place| {
        let following = text[*place..].chars().next();
        blank(*place) || following.is_some_and(char::is_alphanumeric)
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::*;

    fn cut(text: &str, max: usize) -> Vec<&str> {
        pieces(text, &Structure::of(text), max)
    }

    #[test]
    fn a_piece_begins_where_a_thought_does() {
        let text = "# One\n\nfirst thought\n\nsecond thought, longer\n\n## Two\n\nthird\n";
        assert_eq!(
            cut(text, 100),
            ["# One\n\nfirst thought\n\nsecond thought, longer\n\n", "## Two\n\nthird\n"]
        );
        assert_eq!(cut(text, 30)[0], "# One\n\nfirst thought\n\n");
        assert_eq!(cut("one two three four", 9), ["one two ", "three ", "four"]);
        assert!(cut("", 10).is_empty());
        let underlined = "One\n===\n\nfirst thought, with more\n\nTwo\n---\n\nsecond thought\n";
        assert_eq!(
            cut(underlined, 60),
            ["One\n===\n\nfirst thought, with more\n\n", "Two\n---\n\nsecond thought\n"]
        );
    }

    #[test]
    fn code_is_cut_only_if_it_is_larger_than_a_piece() {
        let code = "```sh\n# no heading\nrun. Then stop.\n\nx\n```\n\n";
        let text = format!("{}{code}{}", "Some words.\n\n", "More words.\n\n".repeat(3));
        for max in code.len()..80 {
            let found = cut(&text, max);
            assert!(found.iter().any(|piece| piece.contains(code.trim_end())), "{max}: {found:?}");
        }
        let long = "```\nfn a() {\n    b;\n}\n\nfn c() {\n    d;\n}\n```\n";
        assert_eq!(cut(long, 32), ["```\nfn a() {\n    b;\n}\n\n", "fn c() {\n    d;\n}\n```\n"]);
    }

    #[test]
    fn a_long_list_or_table_is_cut_between_its_items_and_rows() {
        let list = "- first item\n  with a line\n- second item\n  - inner\n- third item\n";
        assert_eq!(
            cut(list, 30),
            ["- first item\n  with a line\n", "- second item\n  - inner\n", "- third item\n"]
        );
        let table = "| a | b |\n|---|---|\n| 1 | 2. Two |\n| 3 | 4. Four |\n";
        assert_eq!(cut(table, 36), ["| a | b |\n|---|---|\n| 1 | 2. Two |\n", "| 3 | 4. Four |\n"]);
    }

    #[test]
    fn prose_is_cut_behind_a_sentence_in_every_script() {
        for (sentence, more) in [
            ("我们在北京的蓝瓶咖啡馆见面，讨论了新的计划。", ""),
            ("我们今天去公园！", ""),
            ("昨日は東京で友達に会いました。", ""),
            ("明日は来ますか？", ""),
            ("오늘은 날씨가 좋습니다.", " "),
            ("हम कल मिलेंगे।", " "),
            ("نلتقي غدا في المقهى؟", " "),
            ("We met Bob,\nwho paid 3.50 for it.", " "),
            ("Wir sahen uns »gestern«!", "\n"),
            ("เราพบกันที่ร้านกาแฟ", " "),
            ("យើងជួបគ្នានៅហាងកាហ្វេ។", ""),
        ] {
            let sentence = format!("{sentence}{more}");
            let text = sentence.repeat(40);
            for max in [sentence.len() * 3 + 2, sentence.len() * 7 + 5] {
                for piece in cut(&text, max) {
                    assert_eq!(piece.len() % sentence.len(), 0, "{piece:?} is cut within a sentence");
                }
            }
        }
        // A sentence that is too long is cut at its clauses first, then between words.
        let clause = "我们在北京见面，";
        for piece in cut(&clause.repeat(30), 100) {
            assert!(piece.ends_with('，'), "{piece:?}");
        }
        for piece in cut(&"咖啡店".repeat(60), 100) {
            assert_eq!(piece.chars().count() % 3, 0, "{piece:?}");
        }
    }

    #[test]
    fn a_link_is_not_cut_if_it_fits() {
        let link = "[a text. With two sentences](https://example.org/a,b)";
        let text = format!("Words before it, and more. See {link} for it. And more words. ").repeat(5);
        let link = link.to_owned();
        for max in [90, 120, 150] {
            assert_eq!(cut(&text, max).iter().map(|piece| piece.matches(&link).count()).sum::<usize>(), 5);
        }
    }

    #[test]
    fn no_character_of_several_is_torn() {
        for cluster in ["👨‍👩‍👧‍👦", "e\u{301}\u{302}", "🇩🇪", "각", "ก็"] {
            for piece in cut(&cluster.repeat(50), 60) {
                assert_eq!(piece.len() % cluster.len(), 0, "{piece:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn pieces_are_the_text_and_no_larger_than_they_may_be(
            text in "([a-c# é🦀。，ก]|\n|\n\n|```|---\n|- |> |\\| a |\\[x\\]\\(y\\)|# x\n|    |<p>|[a-z]{1,40}){0,60}",
            max in 4..60_usize,
        ) {
            let text: String = text.nfc().collect();
            let found = cut(&text, max);
            prop_assert_eq!(found.concat(), text.as_str());
            for piece in found {
                prop_assert!(!piece.is_empty() && piece.len() <= max, "{:?}", piece);
            }
        }
    }
}
