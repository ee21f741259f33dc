//! The roles that the pods of an engine can have.

/// Role of a pod. Each role has its own pod and report, and a StatefulSet if one manages the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Owns the log and the volume.
    Writer,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 1] = [Self::Writer];

    /// Name of the pod with this role.
    #[must_use]
    pub fn pod(self, engine: &str) -> String {
        match self {
            Self::Writer => format!("{engine}-0"),
        }
    }
}
