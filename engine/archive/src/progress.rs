//! What a restore tells people while it runs.

/// Follows a restore, for people.
pub trait Progress: Sync {
    /// An attempt begins that reads this many bytes.
    fn begins(&self, bytes: u64);
    /// So many bytes more were read.
    fn advances(&self, bytes: u64);
}
