//! The API server's audit log: each request with its user. Local cluster only.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};

use anyhow::{Context as _, Result};
use e2e::cluster;
use serde::Deserialize;

/// The operator's user name at the API server.
pub(crate) const OPERATOR: &str = "system:serviceaccount:memory-system:memory-operator";

/// One request, with the fields that these tests read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) verb: String,
    pub(crate) stage: String,
    pub(crate) user: User,
    pub(crate) object_ref: Option<Object>,
    pub(crate) response_status: Option<Answer>,
    #[serde(default)]
    annotations: Annotations,
    #[serde(rename = "requestURI")]
    uri: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) username: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object {
    pub(crate) resource: String,
    #[serde(default)]
    pub(crate) api_group: String,
    pub(crate) subresource: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Answer {
    pub(crate) code: Option<u16>,
}

#[derive(Debug, Default, Deserialize)]
struct Annotations {
    #[serde(rename = "authorization.k8s.io/decision")]
    decision: Option<String>,
}

/// Begins of the names of namespaces with engines that need Secrets, and without that permission: always, or at their
/// beginning or end. A namespace that is deleted loses its RoleBinding before its engines.
const SECRET_NAMESPACES: [&str; 5] = ["t-leaves", "t-memory-specs", "t-service-key", "t-tls", "t-validate"];
/// Resources that the same RoleBinding grants.
const GRANTED_IN_A_NAMESPACE: [&str; 8] = [
    "secrets",
    "certificates",
    "roles",
    "rolebindings",
    "cronjobs",
    "jobs",
    "pods",
    "persistentvolumeclaims",
];
/// Namespace of the test that gives the permission late.
pub(crate) const FORBIDDEN: &str = "tls-forbidden";

impl Entry {
    /// Returns true if a test wants the API server to deny this request.
    pub(crate) fn is_denied_on_purpose(&self) -> bool {
        let object = self.object_ref.as_ref();
        object.is_some_and(|object| {
            let namespace = object.namespace.as_deref().unwrap_or_default();
            GRANTED_IN_A_NAMESPACE.contains(&object.resource.as_str())
                && SECRET_NAMESPACES.iter().any(|begin| namespace.starts_with(begin))
        })
    }

    /// Returns true if the API server denied the request to the user.
    pub(crate) fn denied(&self) -> bool {
        self.annotations.decision.as_deref() == Some("forbid")
    }

    /// Returns true if the request changes something.
    pub(crate) fn is_write(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// Returns true for a renewal of the Lease, the only write of an idle operator.
    pub(crate) fn is_lease(&self) -> bool {
        self.object_ref.as_ref().is_some_and(|object| object.resource == "leases")
    }

    /// Returns group, resource and verb of the request, as a role names them.
    pub(crate) fn permissions(&self) -> Vec<Permission> {
        let Some(object) = &self.object_ref else { return Vec::new() };
        let resource = match &object.subresource {
            Some(subresource) => format!("{}/{subresource}", object.resource),
            None => object.resource.clone(),
        };
        let permission = |verb: &str| (object.api_group.clone(), resource.clone(), verb.to_owned());
        let mut used = vec![permission(&self.verb)];
        // Server-side apply of a missing object: the API server also requires `create`, but logs one request.
        if self.verb == "patch"
            && self.response_status.as_ref().is_some_and(|answer| answer.code == Some(201))
        {
            used.push(permission("create"));
        }
        used
    }
}

/// API group, resource and verb.
pub(crate) type Permission = (String, String, String);

impl std::fmt::Display for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.response_status.as_ref().and_then(|answer| answer.code).unwrap_or_default();
        let object = self.object_ref.as_ref();
        let place = object.map(|object| {
            format!(
                "{} {}/{}",
                object.resource,
                object.namespace.as_deref().unwrap_or_default(),
                object.name.as_deref().unwrap_or_default()
            )
        });
        write!(f, "{} {} -> {code}", self.verb, place.unwrap_or_else(|| self.uri.clone()))
    }
}

/// A position in the log, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark(u64);

/// The start of the log.
pub(crate) const BEGINNING: Mark = Mark(0);

/// The current end of the log.
pub(crate) fn mark() -> Result<Mark> {
    Ok(Mark(cluster::audit_log_path()?.metadata().context("the audit log")?.len()))
}

/// Returns the requests of `user` after `mark` that have been answered, each once.
pub(crate) fn requests_of(user: &str, mark: Mark) -> Result<Vec<Entry>> {
    let mut file = File::open(cluster::audit_log_path()?).context("the audit log")?;
    file.seek(SeekFrom::Start(mark.0))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    // Most lines concern other users: parse only those that contain this user's name.
    let needle = format!("\"username\":\"{user}\"");
    let mut entries = Vec::new();
    for line in String::from_utf8_lossy(&text).split_inclusive('\n') {
        if line.ends_with('\n') && line.contains(&needle) {
            let entry: Entry = serde_json::from_str(line).with_context(|| line.to_owned())?;
            if entry.user.username == user && entry.stage != "RequestReceived" {
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

/// What an idle operator must not do, counted in a part of the log; and the renewals of the Lease, which it must do.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    pub(crate) writes: Vec<String>,
    pub(crate) lists: Vec<String>,
    pub(crate) gets: Vec<String>,
    pub(crate) lease: usize,
}

/// Summary of the operator's requests after `mark`.
pub(crate) fn operator_activity(mark: Mark) -> Result<Activity> {
    let mut activity = Activity::default();
    for entry in requests_of(OPERATOR, mark)? {
        match entry.verb.as_str() {
            _ if entry.is_lease() => activity.lease += 1,
            _ if entry.is_write() => activity.writes.push(entry.to_string()),
            "list" => activity.lists.push(entry.to_string()),
            "get" if entry.object_ref.is_some() => activity.gets.push(entry.to_string()),
            _ => {}
        }
    }
    Ok(activity)
}

/// The permissions that the operator used successfully after `mark`.
pub(crate) fn permissions_used(mark: Mark) -> Result<BTreeSet<Permission>> {
    let entries = requests_of(OPERATOR, mark)?;
    Ok(entries.iter().filter(|entry| !entry.denied()).flat_map(Entry::permissions).collect())
}
