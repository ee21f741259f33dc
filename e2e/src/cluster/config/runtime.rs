//! Configuration of the kubelet and containerd.

use serde_json::json;

use super::pretty::pretty;
use crate::cluster::layout::{Layout, NODE_IP};
use crate::images::archive::PAUSE_IMAGE;

pub(super) fn kubelet(layout: &Layout) -> String {
    pretty(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        // Some machines still use cgroup v1. On cgroup v2 this setting has no effect.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", layout.name),
        "enforceNodeAllocatable": ["pods"],
        "containerRuntimeEndpoint": format!("unix://{}", layout.text("run/containerd.sock")),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout.text("pki/ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": layout.text("pki/kubelet.crt"),
        "tlsPrivateKeyFile": layout.text("pki/kubelet.key"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [NODE_IP.to_string()],
        "resolvConf": layout.text("config/resolv.conf"),
        "failSwapOn": false,
        "makeIPTablesUtilChains": false,
        "volumePluginDir": layout.text("kubelet/volumeplugins"),
        "podLogsDir": layout.text("log/pods"),
        "maxPods": 250,
        "serializeImagePulls": false,
        // The disk is shared with the rest of the machine: a fairly full disk must not trigger image garbage
        // collection.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi", "nodefs.available": "200Mi", "imagefs.available": "200Mi",
            "nodefs.inodesFree": "1%"},
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "4s",
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "eventRecordQPS": 0,
        "shutdownGracePeriod": "0s",
        // One test kills a process twenty times. With the default crash-loop backoff (up to 5 min) it would take an
        // hour.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
        "featureGates": {"KubeletCrashLoopBackOffMax": true},
    }))
}

pub(super) fn containerd(layout: &Layout) -> String {
    let root = layout.text("containerd");
    let run = layout.text("run");
    let cni = layout.text("config/cni");
    let runc =
        ["/usr/sbin/runc", "/usr/bin/runc"].into_iter().find(|path| std::path::Path::new(path).exists());
    let runc = runc.unwrap_or("runc");
    // restrict_oom_score_adj: without CAP_SYS_RESOURCE, a sandbox that requests a lower score fails to start.
    format!(
        r#"version = 3
root = "{root}"
state = "{run}/containerd"
disabled_plugins = [
  "io.containerd.grpc.v1.tracing",
  "io.containerd.internal.v1.opt",
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs",
]

[grpc]
  address = "{run}/containerd.sock"

[ttrpc]
  address = "{run}/containerd.sock.ttrpc"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE_IMAGE}"

[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/usr/lib/cni"]
    conf_dir = "{cni}"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false
"#
    )
}
