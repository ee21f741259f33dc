//! What the operator was started with, as far as decisions depend on it.

/// Settings of the whole operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Image of engines whose spec names none; `None` when the operator was given none either.
    pub engine_image: Option<String>,
    /// Namespace the operator runs in: its pods may reach the administration port of engines.
    pub operator_namespace: String,
}
