//! As whom the writer's pod runs: within what Pod Security *restricted* allows, and never as root.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// As whom the pod runs, as in a pod's `securityContext`. What is left out is the operator's: user, group and group of the
/// volume 65532, `OnRootMismatch`, and the seccomp profile `RuntimeDefault`. Whatever is said, the pod stays within Pod Security
/// *restricted*: it never runs as root, has no capability, and writes to its volume only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurity {
    /// Number of the user, not 0. Choose it when the engine is made: files keep the user that made them, so a later change
    /// needs `fsGroupChangePolicy: Always` as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,

    /// Number of the group, not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_group: Option<i64>,

    /// Number of the group that the volume belongs to, not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub fs_group: Option<i64>,

    /// When the files of the volume are given to that group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_group_change_policy: Option<FsGroupChangePolicy>,

    /// Numbers of more groups, none of them 0, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 2_147_483_647)), extend("x-kubernetes-list-type" = "set"))]
    pub supplemental_groups: Vec<i64>,

    /// Labels of SELinux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinux>,

    /// System calls the pod may make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<Seccomp>,
}

/// When the files of a volume are given to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FsGroupChangePolicy {
    /// When the top of the volume does not belong to it.
    OnRootMismatch,
    /// At every start, which takes long when there are many.
    Always,
}

/// Labels of SELinux. User and role are the runtime's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeLinux {
    /// Type; left out, the runtime's.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<SeLinuxType>,

    /// Level, for example `s0:c123,c456`; left out, the runtime's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9:,.-]*$"))]
    pub level: Option<String>,
}

/// Types of SELinux for containers, as Pod Security allows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeLinuxType {
    /// An ordinary container.
    ContainerT,
    /// One with an init system in it.
    ContainerInitT,
    /// One with a virtual machine around it.
    ContainerKvmT,
    /// One with a container engine in it.
    ContainerEngineT,
}

/// System calls a pod may make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// Whose profile.
    #[serde(rename = "type")]
    pub type_: SeccompType,

    /// Path of the profile below the kubelet's folder of them. Only with `Localhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(
            pattern = r"^[A-Za-z0-9_-][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)*$"
        )
    )]
    pub localhost_profile: Option<String>,
}

/// Whose seccomp profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SeccompType {
    /// The container runtime's.
    RuntimeDefault,
    /// One of the node.
    Localhost,
}
