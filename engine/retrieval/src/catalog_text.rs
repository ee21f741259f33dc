//! Functions that convert the texts of a memory to the forms that a catalog compares.

use engine_core::embedding::hashing::fnv1a;
use engine_core::words::words;
use engine_projection::{MemoryRow, title_form};

use super::names::is_named_actor;

/// Maximum number of bytes of a memory that are embedded: the mean vector of a longer text carries no information.
const EMBEDDED_BYTES_MAX: usize = 64 << 10;

/// Case-insensitive hash of a title; 0 for an empty title.
pub(super) fn title_number(title: &str) -> u32 {
    let hash = fnv1a(title_form(title).as_bytes());
    let number = u32::try_from((hash ^ (hash >> 32)) & u64::from(u32::MAX)).expect("cut to 32 bits");
    if title.is_empty() { 0 } else { number.max(1) }
}

/// Returns the words of an actor name in lower case (none for the default name), and whether the name is capitalised.
pub(super) fn name_words(actor: &str) -> (Vec<String>, bool) {
    let mut found = Vec::new();
    if is_named_actor(actor) {
        words(actor, |word| found.push(word.to_owned()));
    }
    (found, actor.starts_with(char::is_uppercase))
}

/// The text of a memory that is embedded.
pub(super) fn embedded(row: &MemoryRow) -> String {
    let content = &row.content[..row.content.floor_char_boundary(EMBEDDED_BYTES_MAX)];
    match row.title.is_empty() {
        true => content.to_owned(),
        false => format!("{}\n{content}", row.title),
    }
}
