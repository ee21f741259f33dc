//! JSON Schema patterns for text fields, for clients that build requests from the API description. Requests are
//! validated by [`crate::request`] alone; a test there verifies that it accepts what matches the patterns.

/// A name: one line that is not blank.
pub const NAME_PATTERN: &str =
    r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f\s][^\u0000-\u001f\u007f-\u009f]*$";
/// One line; may be empty.
pub const LINE_PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// Text that is not only white space.
pub const TEXT_PATTERN: &str = r"\S";
/// A segment of a namespace: a name without full stops.
pub const SEGMENT_PATTERN: &str =
    r"^[^\u0000-\u001f\u007f-\u009f.]*[^\u0000-\u001f\u007f-\u009f\s.][^\u0000-\u001f\u007f-\u009f.]*$";
/// The id of an event.
pub const ID_PATTERN: &str = "^[0-9a-f]{32}$";
