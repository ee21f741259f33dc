//! Roles of the pods of an engine.

/// Role of a pod. Each role has pods and reports of its own, and a StatefulSet if one manages its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Owns the log and the volume.
    Writer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 1] = [Self::Writer];

    /// Name of its pod.
    #[must_use]
    pub fn pod(self, engine: &str) -> String {
        match self {
            Self::Writer => format!("{engine}-0"),
        }
    }
}
