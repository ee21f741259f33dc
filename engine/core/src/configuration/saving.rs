//! `saving`: how memories are saved.

use super::key::Key;
use super::section::{section, words};
use crate::wire;

section! {
    /// How memories are saved when a request does not set it.
    "saving" => Saving {
        /// what is done when a memory of the project has the [same text](engine.md#the-same-text-again) already
        "sameText" same_text: SameText, or SameText::Say, since "0.1.0"
            => Key::words(SameText::WORDS).field("spec.saving.sameText");
    }
}

words! {
    /// What is done when a memory of the project has the same text already.
    SameText {
        /// The memory is saved, and the answer names the earlier one.
        Say = "Say",
        /// Nothing is written, and the answer is the earlier memory.
        SaveOnce = "SaveOnce",
    }
}

impl From<SameText> for wire::SameText {
    fn from(word: SameText) -> wire::SameText {
        match word {
            SameText::Say => wire::SameText::Say,
            SameText::SaveOnce => wire::SameText::SaveOnce,
        }
    }
}
