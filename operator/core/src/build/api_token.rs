//! The files with which a client in a pod reaches the API server: a token, the authority of the API server, and the
//! namespace. Kubernetes can mount them into each container of a pod by itself; here one container asks for them.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector,
    ProjectedVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};

/// Name of the volume.
const VOLUME: &str = "api-token";
/// Where every client of Kubernetes looks for the files.
const DIRECTORY: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The ConfigMap with the authority, which Kubernetes keeps in each namespace.
const AUTHORITY: &str = "kube-root-ca.crt";
/// Lifetime of the token, seconds. The kubelet replaces it before, and clients read the file again.
const TOKEN_SECONDS: i64 = 3_600;
/// The mode of the files that Kubernetes would mount. The kubelet gives a token to the user of the pod alone.
const MODE: i32 = 0o644;

pub(super) fn volume() -> Volume {
    let token = ServiceAccountTokenProjection {
        // The audience of the API server.
        audience: None,
        expiration_seconds: Some(TOKEN_SECONDS),
        path: "token".to_owned(),
    };
    let authority = ConfigMapProjection {
        name: AUTHORITY.to_owned(),
        items: Some(vec![KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None }]),
        optional: None,
    };
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".to_owned(),
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".to_owned()),
            field_path: "metadata.namespace".to_owned(),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let sources = vec![
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
        VolumeProjection { config_map: Some(authority), ..VolumeProjection::default() },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
            ..VolumeProjection::default()
        },
    ];
    Volume {
        name: VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource { default_mode: Some(MODE), sources: Some(sources) }),
        ..Volume::default()
    }
}

pub(super) fn mount() -> VolumeMount {
    VolumeMount {
        name: VOLUME.to_owned(),
        mount_path: DIRECTORY.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
