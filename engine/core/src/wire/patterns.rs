//! Forms of text fields as patterns of JSON Schema, for those who write requests by a description of the API. What
//! counts is [`crate::request`]; a test there holds the two together.

/// A name: one line that is not blank.
pub const NAME_PATTERN: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$";
/// One line, perhaps empty.
pub const LINE_PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// Text that is not blank.
pub const TEXT_PATTERN: &str = r"\S";
/// A segment of a namespace: a name without full stops.
pub const SEGMENT_PATTERN: &str =
    r"^[^\u0000-\u001f\u007f-\u009f.]*[^\u0000-\u001f\u007f-\u009f\s.][^\u0000-\u001f\u007f-\u009f.]*$";
/// The id of an event.
pub const ID_PATTERN: &str = "^[0-9a-f]{32}$";
