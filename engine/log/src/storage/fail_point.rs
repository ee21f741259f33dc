//! Points in the code at which tests inject crashes.

macro_rules! fail_points {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// A point between two steps that together must appear atomic. One test crashes at each fail point. Another
        /// test verifies that every fail point is reached.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FailPoint {
            $($(#[$doc])* $name,)+
        }

        impl FailPoint {
            /// All fail points.
            #[cfg(test)]
            pub const ALL: &[FailPoint] = &[$(FailPoint::$name,)+];
        }
    };
}

fail_points! {
    /// A group was written and not synced.
    GroupWritten,
    /// A group is durable and not acknowledged.
    GroupDurable,
    /// Torn bytes were copied and not cut off.
    TornSetAside,
    /// Torn bytes were cut off.
    TornCut,
    /// The seal is durable; the next segment does not exist.
    SegmentSealed,
    /// The next segment exists and is empty.
    SegmentCreated,
    /// The header of the next segment is durable; the name of its file is not.
    HeaderDurable,
    /// The next segment is durable; the writer still uses the old one.
    SegmentNamed,
    /// A compressed segment is durable under a temporary name.
    CompressedWritten,
    /// The compressed segment has its final name beside the raw one.
    CompressedNamed,
    /// The raw segment was removed.
    RawRemoved,
    /// The marker of an erasure is durable; its event is not written.
    ErasureMarked,
    /// No file contains the erased payloads any more; the marker still exists.
    ErasureDone,
    /// A rewritten segment is durable under a temporary name.
    RewriteWritten,
    /// The rewritten segment has replaced the old one.
    RewriteNamed,
    /// The tree's hashes are durable; the checkpoint that needs them is not written.
    TreeDurable,
    /// The new local checkpoint is in place.
    CheckpointWritten,
    /// The next signing key is durable under a temporary name.
    NextKeyWritten,
    /// The log records the next signing key.
    NextKeyRecorded,
    /// The next signing key has become the current one.
    NextKeyNamed,
}
