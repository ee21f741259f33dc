//! Whether the log is what it was: anchors outside of the volume, and what tells when they do not fit (L6).

mod rules;
