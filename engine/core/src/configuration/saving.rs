//! `saving`: defaults for saving memories.

use super::key::Key;
use super::section::{section, words};
use crate::wire;

section! {
    /// Defaults for saving memories, used when a request does not set them.
    "saving" => Saving {
        /// what to do when a memory of the project already has the [same text](engine.md#the-same-text-again)
        "sameText" same_text: SameText, or SameText::SaveAndReport, since "0.1.0"
            => Key::one_of(SameText::WORDS).field("spec.saving.sameText").live();
    }
}

words! {
    /// What to do when a memory of the project already has the same text.
    SameText {
        /// Save the memory, and name the earlier one in the answer.
        SaveAndReport = "Say",
        /// Write nothing, and return the earlier memory.
        SaveOnce = "SaveOnce",
    }
}

impl From<SameText> for wire::SameText {
    fn from(word: SameText) -> wire::SameText {
        match word {
            SameText::SaveAndReport => wire::SameText::SaveAndReport,
            SameText::SaveOnce => wire::SameText::SaveOnce,
        }
    }
}
