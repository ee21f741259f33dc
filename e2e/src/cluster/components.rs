//! The programs of the node: command line, dependencies and readiness probe of each.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use super::layout::{Layout, NODE_IP, NODE_NAME, POD_CIDR, SERVICE_CIDR};
use crate::tools;

/// A program under the supervisor.
#[derive(Debug, Clone)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// Components and steps that must be ready before this one is started.
    pub(crate) after: &'static [&'static str],
    pub(crate) ready: Probe,
}

/// Readiness probe of a component.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// A listener accepts connections at the address.
    Tcp(SocketAddr),
    /// A listener accepts connections at the socket.
    Unix(PathBuf),
    /// `GET path` answers 200, without TLS.
    Http(SocketAddr, &'static str),
    /// `/readyz` of the API server answers `ok`.
    ApiServer,
}

/// A step of the supervisor that components can depend on: the base objects are applied.
pub(crate) const OBJECTS: &str = "objects";

const ETCD: &str = "127.0.0.1:2379";
const CSI_SOCKET: &str = "kubelet/plugins/loop.csi.local/csi.sock";

/// All components, in the order `status` shows them.
///
/// # Errors
/// A program is not built.
pub(crate) fn all(layout: &Layout) -> Result<Vec<Component>> {
    Ok(vec![
        etcd(layout)?,
        containerd(layout)?,
        apiserver(layout)?,
        controller_manager(layout)?,
        scheduler(layout)?,
        kubelet(layout)?,
        proxy(layout)?,
        coredns(layout)?,
        loopcsi(layout)?,
        csi_provisioner(layout)?,
        csi_resizer(layout)?,
    ])
}

fn words(given: &[&str]) -> Vec<String> {
    given.iter().map(|&word| word.to_owned()).collect()
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn etcd(layout: &Layout) -> Result<Component> {
    let mut arguments = words(&[
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        // The data does not outlive `down`, so fsync would gain nothing.
        "--unsafe-no-fsync",
        "--logger=zap",
        "--log-level=warn",
    ]);
    arguments.push(format!("--data-dir={}", layout.text("etcd")));
    let ready = Probe::Tcp(local(2379));
    Ok(Component { name: "etcd", program: tools::program("etcd")?, arguments, after: &[], ready })
}

fn containerd(layout: &Layout) -> Result<Component> {
    let arguments = vec!["--config".to_owned(), layout.text("config/containerd.toml")];
    let ready = Probe::Unix(layout.containerd_socket());
    Ok(Component { name: "containerd", program: tools::program("containerd")?, arguments, after: &[], ready })
}

fn apiserver(layout: &Layout) -> Result<Component> {
    let pki = |file: &str| layout.text(&format!("pki/{file}"));
    let mut arguments = words(&[
        "--secure-port=6443",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--audit-log-mode=blocking",
        "--profiling=false",
        "--v=1",
    ]);
    arguments.extend([
        format!("--etcd-servers=http://{ETCD}"),
        format!("--advertise-address={NODE_IP}"),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--kubelet-client-certificate={}", pki("apiserver-kubelet-client.crt")),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet-client.key")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        format!("--service-account-key-file={}", pki("service-account.pub")),
        format!("--service-account-signing-key-file={}", pki("service-account.key")),
        format!("--audit-policy-file={}", layout.text("config/audit-policy.yaml")),
        format!("--audit-log-path={}", layout.audit_log().display()),
        // Tests read the log from its beginning: it must not be rotated, as it is after 100 MB by default.
        "--audit-log-maxsize=20000".into(),
    ]);
    let program = tools::program("kube-apiserver")?;
    Ok(Component { name: "kube-apiserver", program, arguments, after: &["etcd"], ready: Probe::ApiServer })
}

fn controller_manager(layout: &Layout) -> Result<Component> {
    let mut arguments = words(&[
        "--use-service-account-credentials=true",
        "--allocate-node-cidrs=true",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        "--node-monitor-period=1s",
        "--node-monitor-grace-period=20s",
        "--pvclaimbinder-sync-period=2s",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]);
    arguments.extend([
        format!("--kubeconfig={}", layout.text("config/controller-manager.kubeconfig")),
        format!("--service-account-private-key-file={}", layout.text("pki/service-account.key")),
        format!("--root-ca-file={}", layout.text("pki/ca.crt")),
        format!("--cluster-cidr={POD_CIDR}"),
    ]);
    let program = tools::program("kube-controller-manager")?;
    let ready = Probe::Tcp(local(10257));
    Ok(Component { name: "kube-controller-manager", program, arguments, after: &["kube-apiserver"], ready })
}

fn scheduler(layout: &Layout) -> Result<Component> {
    let config = format!("--config={}", layout.text("config/scheduler.yaml"));
    let arguments = vec![config, "--bind-address=127.0.0.1".to_owned()];
    let program = tools::program("kube-scheduler")?;
    let ready = Probe::Tcp(local(10259));
    Ok(Component { name: "kube-scheduler", program, arguments, after: &["kube-apiserver"], ready })
}

fn kubelet(layout: &Layout) -> Result<Component> {
    let arguments = vec![
        format!("--config={}", layout.text("config/kubelet.yaml")),
        format!("--kubeconfig={}", layout.text("config/kubelet.kubeconfig")),
        format!("--hostname-override={NODE_NAME}"),
        format!("--node-ip={NODE_IP}"),
        format!("--root-dir={}", layout.text("kubelet")),
        format!("--cert-dir={}", layout.text("kubelet/pki")),
        "--v=2".to_owned(),
    ];
    let program = tools::program("kubelet")?;
    let ready = Probe::Http(local(10248), "/healthz");
    Ok(Component { name: "kubelet", program, arguments, after: &["kube-apiserver", "containerd"], ready })
}

fn proxy(layout: &Layout) -> Result<Component> {
    let arguments = vec![format!("--config={}", layout.text("config/proxy.yaml"))];
    let program = tools::program("kube-proxy")?;
    let ready = Probe::Http(local(10256), "/livez");
    Ok(Component { name: "kube-proxy", program, arguments, after: &["kube-apiserver"], ready })
}

fn coredns(layout: &Layout) -> Result<Component> {
    let arguments = vec!["-conf".to_owned(), layout.text("config/Corefile")];
    let ready = Probe::Http((NODE_IP, 8181).into(), "/ready");
    Ok(Component {
        name: "coredns",
        program: tools::program("coredns")?,
        arguments,
        after: &[OBJECTS],
        ready,
    })
}

fn loopcsi(layout: &Layout) -> Result<Component> {
    let arguments = vec![
        format!("-volumes={}", layout.text("volumes")),
        format!("-socket={}", layout.text(CSI_SOCKET)),
        format!("-registration-socket={}", layout.text("kubelet/plugins_registry/loop.sock")),
        format!("-node={NODE_NAME}"),
    ];
    let ready = Probe::Unix(layout.at(CSI_SOCKET));
    Ok(Component { name: "loopcsi", program: tools::program("loopcsi")?, arguments, after: &[], ready })
}

fn csi_provisioner(layout: &Layout) -> Result<Component> {
    let mut arguments = csi_sidecar(layout, 8091);
    arguments.extend(words(&[
        "--default-fstype=xfs",
        "--retry-interval-start=200ms",
        "--extra-create-metadata=false",
    ]));
    let program = tools::program("csi-provisioner")?;
    let ready = Probe::Tcp(local(8091));
    Ok(Component { name: "csi-provisioner", program, arguments, after: &[OBJECTS, "loopcsi"], ready })
}

fn csi_resizer(layout: &Layout) -> Result<Component> {
    let mut arguments = csi_sidecar(layout, 8092);
    arguments.extend(words(&["--retry-interval-start=200ms", "--handle-volume-inuse-error=false"]));
    let program = tools::program("csi-resizer")?;
    let ready = Probe::Tcp(local(8092));
    Ok(Component { name: "csi-resizer", program, arguments, after: &[OBJECTS, "loopcsi"], ready })
}

fn csi_sidecar(layout: &Layout, port: u16) -> Vec<String> {
    vec![
        format!("--csi-address={}", layout.text(CSI_SOCKET)),
        format!("--kubeconfig={}", layout.text("config/csi.kubeconfig")),
        format!("--http-endpoint=127.0.0.1:{port}"),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ]
}
