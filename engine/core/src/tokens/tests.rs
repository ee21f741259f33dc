//! The count of tokens beside what two tokenizers of a provider make of texts of many kinds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

const VOCABULARY: &str = include_str!("../../../data/static-minilm-vocab.txt");
/// Made by `scripts/tokens/measure.mjs`.
const TEXTS: &str = include_str!("../../tests/fixtures/tokens.json");
/// A count that is so many times too high for English would waste the budget of who asks.
const ENGLISH_MAX: f64 = 1.3;

#[derive(Deserialize)]
struct Measured {
    kind: String,
    text: String,
    cl100k: usize,
    o200k: usize,
}

static PIECES: LazyLock<WordPiece> = LazyLock::new(|| WordPiece::read(VOCABULARY).unwrap());

#[test]
fn no_text_counts_less_than_providers_count() {
    let texts: Vec<Measured> = serde_json::from_str(TEXTS).unwrap();
    let mut kinds: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for Measured { kind, text, cl100k, o200k } in &texts {
        let counted = count(text, &PIECES);
        let sums = kinds.entry(kind).or_default();
        [counted, *cl100k, *o200k].iter().zip(sums).for_each(|(one, sum)| *sum += one);
        assert!(counted >= *cl100k.max(o200k), "{kind}: {counted} of {cl100k} and {o200k}: {text:?}");
    }
    assert!(kinds.len() > 100);
    println!("| kind of text | counted | cl100k | o200k |\n|---|---|---|---|");
    for (kind, [counted, cl100k, o200k]) in &kinds {
        println!("| {kind} | {counted} | {cl100k} | {o200k} |");
    }
    let [counted, cl100k, _] = kinds["English"];
    assert!((counted as f64) < ENGLISH_MAX * cl100k as f64);
}

/// The two that were seen: a whole text came for "27 tokens".
#[test]
fn long_runs_count_by_their_length() {
    let base64 = "QWxsIG91ciBtZW1vcmllcyBhcmUga2VwdCBpbiBhIGxvZyBvbiBvbmUgdm9sdW1l".repeat(625);
    assert!(count(&base64, &PIECES) > base64.len() / 2, "{}", count(&base64, &PIECES));
    assert!(count(&"x".repeat(60_000), &PIECES) >= 60_000 / 8);
    assert_eq!(count("", &PIECES), 0);
}

proptest! {
    /// A context is put together of texts that were counted one by one.
    #[test]
    fn parts_count_no_less_than_the_whole(a in "[ -~\\n]{0,40}", b in "[a-zA-Z0-9é漢ก ]{0,40}") {
            let whole = count(&format!("{a}\n{b}"), &PIECES);
        prop_assert!(whole <= count(&a, &PIECES) + count(&b, &PIECES) + 4);
    }

    #[test]
    fn longer_texts_count_more(text in "\\PC{1,60}", times in 2..20_usize) {
            prop_assert!(count(&text.repeat(times), &PIECES) * 4 >= times);
        prop_assert!(count(&text, &PIECES) <= 3 * text.len());
    }
}
