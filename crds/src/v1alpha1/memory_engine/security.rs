//! Security context of the writer's pod, within Pod Security *restricted*; never root.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Security context of the pod, as in a pod's `securityContext`. Defaults: user, group and volume group 65532,
/// `OnRootMismatch`, and the seccomp profile `RuntimeDefault`. The pod always stays within Pod Security *restricted*:
/// it never runs as root, has no capabilities, and can write only to its volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PodSecurity {
    /// User ID, not 0. Set it when the engine is created: existing files keep their owner, so a later change also needs
    /// `fsGroupChangePolicy: Always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_user: Option<i64>,

    /// Group ID, not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub run_as_group: Option<i64>,

    /// Group ID that owns the volume, not 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub fs_group: Option<i64>,

    /// When the ownership of the files on the volume is changed to that group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs_group_change_policy: Option<FsGroupChangePolicy>,

    /// Additional group IDs, not 0, at most 16.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(range(min = 1, max = 2_147_483_647)), extend("x-kubernetes-list-type" = "set"))]
    pub supplemental_groups: Vec<i64>,

    /// SELinux labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub se_linux_options: Option<SeLinux>,

    /// Seccomp profile, which limits the system calls of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp_profile: Option<Seccomp>,
}

/// When the ownership of the files on a volume is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FsGroupChangePolicy {
    /// Only when the root directory of the volume has another owner.
    OnRootMismatch,
    /// At every start, which takes a long time for many files.
    Always,
}

/// SELinux labels. User and role are set by the container runtime.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SeLinux {
    /// SELinux type. Defaults to that of the container runtime.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<SeLinuxType>,

    /// SELinux level, for example `s0:c123,c456`. Defaults to that of the container runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9:,.-]*$"))]
    pub level: Option<String>,
}

/// SELinux types for containers that Pod Security allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeLinuxType {
    /// An ordinary container.
    ContainerT,
    /// A container with an init system.
    ContainerInitT,
    /// A container in a virtual machine.
    ContainerKvmT,
    /// A container that runs a container engine.
    ContainerEngineT,
}

/// A seccomp profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// Source of the profile.
    #[serde(rename = "type")]
    pub type_: SeccompType,

    /// Path of the profile, relative to the kubelet's directory of profiles. Only with `Localhost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(
            pattern = r"^[A-Za-z0-9_-][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)*$"
        )
    )]
    pub localhost_profile: Option<String>,
}

/// Source of a seccomp profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SeccompType {
    /// The default profile of the container runtime.
    RuntimeDefault,
    /// A profile in a file on the node.
    Localhost,
}
