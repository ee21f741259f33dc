//! Places in the code where a crash is most telling.

macro_rules! fail_points {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// A place between two steps that together have to look like one. A test ends the world at each of them, and
        /// another checks that none is left out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum FailPoint {
            $($(#[$doc])* $name,)+
        }

        impl FailPoint {
            /// All of them.
            #[cfg(test)]
            pub const ALL: &[FailPoint] = &[$(FailPoint::$name,)+];
        }
    };
}

fail_points! {
    /// A group was written, not synced.
    GroupWritten,
    /// A group is durable, nobody knows yet.
    GroupDurable,
    /// Torn bytes were copied, not cut off.
    TornSetAside,
    /// Torn bytes were cut off.
    TornCut,
    /// The seal is durable, there is no next segment.
    SegmentSealed,
    /// The next segment has a name and nothing in it.
    SegmentCreated,
    /// The next segment has its header, which is durable; its name is not.
    HeaderDurable,
    /// The next segment is there for good; the writer still holds the old one.
    SegmentNamed,
    /// A compressed segment is durable under a name of its own.
    CompressedWritten,
    /// The compressed segment has its name beside the raw one.
    CompressedNamed,
    /// The raw segment is gone.
    RawRemoved,
    /// The mark of a forgetting is durable, the event that says so is not written.
    ErasureMarked,
    /// No file holds what is forgotten any more; the mark is still there.
    ErasureDone,
    /// A segment without forgotten payloads is durable under a name of its own.
    RewriteWritten,
    /// It has taken the place of the one before.
    RewriteNamed,
    /// The tree's hashes are durable, the checkpoint that needs them is not written.
    TreeDurable,
    /// The new local checkpoint is in place.
    CheckpointWritten,
    /// The next signing key is durable under a name of its own.
    NextKeyWritten,
    /// The log says which key comes next.
    NextKeyRecorded,
    /// The next key is the key.
    NextKeyNamed,
}
