//! What the pods of an engine are for.

/// The part that a pod plays. Each role has pods, reports and, where it is kept by one, a StatefulSet of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Owns the log and the volume.
    Writer,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Writer];

    /// Name of its pod.
    #[must_use]
    pub fn pod(self, engine: &str) -> String {
        match self {
            Self::Writer => format!("{engine}-0"),
        }
    }
}
