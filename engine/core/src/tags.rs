//! Tag filters for memories.

use crate::limits::{TAG_CHARS_MAX, TAGS_MAX};
use crate::request::{Refused, text};
use crate::words::make_normal;

/// A filter by tags that a memory must have. Tags are compared in normal form, otherwise verbatim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags {
    any: Vec<String>,
    all: Vec<String>,
}

impl Tags {
    /// Both lists: of the first a memory must have one, of the second all.
    #[must_use]
    pub fn lists(&self) -> (&[String], &[String]) {
        (&self.any, &self.all)
    }

    /// All tags of both lists, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.any.iter_mut().chain(&mut self.all)
    }

    /// Validates both lists: a memory must have at least one tag of the first and every tag of the second. An empty
    /// list does not filter.
    pub fn new(mut any: Vec<String>, mut all: Vec<String>) -> Result<Tags, Refused> {
        for (field, tags) in [("tags_any", &mut any), ("tags_all", &mut all)] {
            if tags.len() > TAGS_MAX {
                let (field, found) = (field.to_owned(), tags.len());
                return Err(Refused::Count { field, found, min: 0, max: TAGS_MAX });
            }
            for (i, tag) in tags.iter_mut().enumerate() {
                // Converts to the normal form, in which memories store their tags.
                make_normal(tag);
                text(&format!("{field}[{i}]"), tag, TAG_CHARS_MAX)?;
            }
        }
        Ok(Tags { any, all })
    }

    /// Whether the filter is empty.
    pub fn is_empty(&self) -> bool {
        self.any.is_empty() && self.all.is_empty()
    }

    /// Tags of which a memory must have at least one.
    pub fn any(&self) -> &[String] {
        &self.any
    }

    /// Tags all of which a memory must have.
    pub fn all(&self) -> &[String] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_that_no_memory_can_have_are_refused() {
        let of = |n: usize, tag: &str| vec![tag.to_owned(); n];
        assert!(Tags::new(Vec::new(), Vec::new()).unwrap().is_empty());
        assert!(!Tags::new(of(TAGS_MAX, "a"), Vec::new()).unwrap().is_empty());
        for (any, all, named) in [
            (of(TAGS_MAX + 1, "a"), Vec::new(), "tags_any has 33 items"),
            (Vec::new(), of(1, " "), "tags_all[0] must not be empty"),
            (of(1, "a\nb"), Vec::new(), "tags_any[0] must not have control characters"),
            (of(1, &"x".repeat(TAG_CHARS_MAX + 1)), Vec::new(), "tags_any[0] has 65 characters"),
        ] {
            assert!(Tags::new(any, all).unwrap_err().to_string().contains(named), "{named}");
        }
    }
}
