//! The count of tokens beside what three public tokenizers make of texts of many kinds.

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
    claude: usize,
}

static PIECES: LazyLock<WordPiece> = LazyLock::new(|| WordPiece::read(VOCABULARY).unwrap());

#[test]
fn no_text_counts_less_than_providers_count() {
    let texts: Vec<Measured> = serde_json::from_str(TEXTS).unwrap();
    let mut kinds: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    for Measured { kind, text, cl100k, o200k, claude } in &texts {
        let counted = count(text, &PIECES);
        let sums = kinds.entry(kind).or_default();
        [counted, *cl100k, *o200k, *claude].iter().zip(sums).for_each(|(one, sum)| *sum += one);
        let most = *cl100k.max(o200k).max(claude);
        assert!(counted >= most, "{kind}: {counted} of {cl100k}, {o200k} and {claude}: {text:?}");
    }
    assert!(kinds.len() > 100);
    println!("| kind of text | counted | cl100k | o200k | Claude |\n|---|---|---|---|---|");
    for (kind, [counted, cl100k, o200k, claude]) in &kinds {
        println!("| {kind} | {counted} | {cl100k} | {o200k} | {claude} |");
    }
    let [counted, cl100k, ..] = kinds["English"];
    assert!((counted as f64) < ENGLISH_MAX * cl100k as f64);
}

/// A word of more than a hundred characters was one token, whatever its length.
#[test]
fn long_runs_count_by_their_length() {
    let base64 = "QWxsIG91ciBtZW1vcmllcyBhcmUga2VwdCBpbiBhIGxvZyBvbiBvbmUgdm9sdW1l".repeat(625);
    assert!(count(&base64, &PIECES) > base64.len() / 2, "{}", count(&base64, &PIECES));
    assert!(count(&"x".repeat(60_000), &PIECES) >= 60_000 / 8);
    assert_eq!(count("", &PIECES), 0);
}

/// The three cut digits, letters of scripts they know little of, and white space of several kinds smaller than words.
/// What is beyond the fixture grows as what is in it: by length.
#[test]
fn digits_scripts_and_white_space_count_by_their_length() {
    assert!(count(&"7315902846".repeat(300), &PIECES) >= 3_000 / 2);
    assert!(count(&"a\t\t\t\tb\n\n\n\n".repeat(200), &PIECES) >= 1_217);
    for script in ["ខ្ញុំចូលចិត្តកាហ្វេ", "ฉันชอบดื่มกาแฟ", "ຂ້ອຍມັກດື່ມກາເຟ", "བོད་ཀྱི་རྒྱལ་ས"]
    {
        let (one, characters) = (count(script, &PIECES), script.chars().count());
        assert!(one >= characters * 2, "{script}: {one}");
        assert!(count(&script.repeat(50), &PIECES) >= characters * 2 * 50, "{script}");
    }
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
