//! The operator's own options that decisions depend on.

/// Settings of the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Default image of engines; `None` if the operator has no default.
    pub engine_image: Option<String>,
    /// The operator's own image, which scheduled Jobs run; `None` if the operator does not know it.
    pub operator_image: Option<String>,
    /// Whether the operator watches one namespace only.
    pub is_namespaced: bool,
    /// Namespace of the operator: its pods may reach the administration port of engines.
    pub operator_namespace: String,
}
