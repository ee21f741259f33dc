//! The operator's rights in the Helm chart and in the kustomize manifests: they must be exactly those that the table of
//! children needs.
#![expect(clippy::disallowed_methods, reason = "the manifests are files of this repository")]

use std::{collections::BTreeMap, fs, path::Path};

use crds::{Backup, BackupStandby, RolloutStatus, Secrets, TokenRotation};
use operator_core::{
    children::{CHILDREN, Children},
    names::ChildKind,
    plan::Write,
    rollout::{Rolled, Running},
    rotation::RotationView,
};
use serde_json::{Value, json};

use crate::backups::backup;
use crate::world::{engine, observed, planned, valid};

/// Rights on resources that are not children: API group, resource, verbs.
const OTHERS: [(&str, &str, &[&str]); 11] = [
    ("gateway.networking.k8s.io", "httproutes", &["get", "create", "patch", "delete"]),
    ("gateway.networking.k8s.io", "backendtlspolicies", &["get", "create", "patch", "delete"]),
    ("gateway.networking.k8s.io", "gateways", &["get"]),
    ("memoryengine.io", "memoryengines", &["list", "watch", "patch"]),
    ("memoryengine.io", "memoryengines/status", &["patch"]),
    ("memoryengine.io", "memorybackups", &["list", "watch", "create", "patch", "delete"]),
    ("memoryengine.io", "memorybackups/status", &["patch"]),
    ("", "pods", &["list", "watch"]),
    ("events.k8s.io", "events", &["list", "create", "patch"]),
    ("", "limitranges", &["list"]),
    ("storage.k8s.io", "storageclasses", &["get"]),
];

/// Verbs by API group and resource.
type Rules = BTreeMap<(String, String), Vec<String>>;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every right that the operator needs with these children.
fn needed(children: &Children) -> Rules {
    let of_children = children.access().into_iter().map(|one| (one.group, one.resource, one.verbs));
    let others = OTHERS.map(|(group, resource, verbs)| (group, resource, verbs.to_vec()));
    let all = of_children.chain(others);
    all.map(|(group, resource, verbs)| {
        ((group.to_owned(), resource.to_owned()), verbs.into_iter().map(str::to_owned).collect())
    })
    .collect()
}

/// The rules of a list, with one entry for each API group and resource.
fn granted(rules: &Value) -> Rules {
    let words = |rule: &Value, key: &str| -> Vec<String> {
        let list = rule[key].as_array().expect("a list").iter();
        list.map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let mut found = Rules::new();
    for rule in rules.as_array().expect("rules") {
        for group in words(rule, "apiGroups") {
            for resource in words(rule, "resources") {
                let before = found.insert((group.clone(), resource.clone()), words(rule, "verbs"));
                assert_eq!(before, None, "{resource} is there twice");
            }
        }
    }
    found
}

/// Rights in the namespaces whose engines need Secrets: API group, resource, verbs.
const IN_BOUND_NAMESPACES: [(&str, &str, &[&str]); 10] = [
    ("", "secrets", &["get", "create", "patch", "delete"]),
    ("cert-manager.io", "certificates", &["get", "create", "patch"]),
    ("", "pods", &["patch"]),
    ("batch", "cronjobs", &["get", "create", "patch", "delete"]),
    ("rbac.authorization.k8s.io", "roles", &["get", "create", "patch", "delete"]),
    ("rbac.authorization.k8s.io", "rolebindings", &["get", "create", "patch", "delete"]),
    ("", "serviceaccounts", &["delete"]),
    ("", "configmaps", &["delete"]),
    ("batch", "jobs", &["get", "create", "patch"]),
    ("", "persistentvolumeclaims", &["delete"]),
];

/// The rules of the role that is bound in single namespaces, in this manifest.
fn of_bound_role(path: &str) -> Rules {
    let manifest = read(path);
    let (_, rest) = manifest
        .split_once("secrets\"")
        .or_else(|| manifest.split_once("name: memory-operator-secrets"))
        .expect("the role");
    let (_, rest) = rest.split_once("\nrules:\n").expect("rules");
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    granted(&serde_yaml::from_str(&lines.collect::<Vec<_>>().join("\n")).expect("YAML"))
}

/// The role that names Secrets has no `list` and no `watch`, and exactly what is needed beside them.
#[test]
fn the_role_for_single_namespaces_grants_what_secrets_and_jobs_need_and_no_more() {
    let needed = IN_BOUND_NAMESPACES.map(|(group, resource, verbs)| {
        let verbs = verbs.iter().map(|verb| (*verb).to_owned()).collect();
        ((group.to_owned(), resource.to_owned()), verbs)
    });
    let needed = Rules::from(needed);
    for path in ["config/rbac/role.yaml", "charts/memory-operator/templates/rbac.yaml"] {
        assert_eq!(of_bound_role(path), needed, "{path}");
    }
}

/// A Role of a scheduled Job is refused by the API server unless the operator has all of its rights in that namespace.
#[test]
fn no_job_has_more_rights_than_the_operator() {
    let mut engine = engine();
    let rotation = TokenRotation { schedule: "@daily".into(), time_zone: "Etc/UTC".into(), suspend: false };
    engine.spec.secrets = Some(Secrets { rotation: Some(rotation) });
    let mut observed = observed(engine);
    observed.rotation = Some(RotationView::default());
    let roles: Vec<Value> = planned(&observed)
        .writes()
        .filter_map(|write| match write {
            Write::Create { key, object } if key.kind == ChildKind::Role => Some(object.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(roles.len(), 1);
    let rules = roles[0]["rules"].as_array().expect("rules");
    let one = json!({
        "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["notes-rotate"], "verbs": ["patch"],
    });
    assert_eq!(rules, &vec![one], "one verb on one object");
    let operator = needed(&CHILDREN);
    for ((group, resource), verbs) in granted(&roles[0]["rules"]) {
        let held = &operator[&(group, resource)];
        assert!(verbs.iter().all(|verb| held.contains(verb)), "{verbs:?} of {held:?}");
    }
}

fn of_kustomize() -> Rules {
    let manifest = read("config/rbac/role.yaml");
    let role = manifest.split("\n---").next().expect("the first document");
    let role: Value = serde_yaml::from_str(role).expect("YAML");
    assert_eq!(role["kind"], "ClusterRole");
    granted(&role["rules"])
}

/// The rules in the chart. They are in two named templates that contain no template expressions, so they can be parsed
/// as YAML.
fn of_chart() -> Rules {
    let templates = read("charts/memory-operator/templates/_names.tpl");
    let mut found = Rules::new();
    for name in ["memory-operator.engineRules", "memory-operator.clusterRules"] {
        let begin = format!("{{{{- define \"{name}\" -}}}}");
        let (_, rest) = templates.split_once(&begin).unwrap_or_else(|| panic!("{name} is missing"));
        let (rules, _) = rest.split_once("{{- end }}").expect("an end");
        found.extend(granted(&serde_yaml::from_str(rules).expect("YAML")));
    }
    found
}

#[test]
fn chart_and_kustomize_grant_what_the_children_need_and_no_more() {
    assert_eq!(of_kustomize(), needed(&CHILDREN), "config/rbac/role.yaml");
    assert_eq!(of_chart(), needed(&CHILDREN), "charts/memory-operator/templates/_names.tpl");
}

/// A child that may become unwanted needs an additional right.
#[test]
fn another_row_needs_other_rights() {
    let mut children = CHILDREN;
    children.disruption_budget.plan = children.network_policy.plan;
    assert_ne!(needed(&children), needed(&CHILDREN));
    children = CHILDREN;
    children.disruption_budget.kind = ChildKind::Service;
    assert_ne!(needed(&children), needed(&CHILDREN));
    assert_eq!(children.kinds().len(), CHILDREN.kinds().len() - 1);
}

/// Each row has a name that is unique within its kind, and is planned in exactly one way.
#[test]
fn every_child_is_another_object_and_is_wanted_removed_or_has_its_own_rules() {
    let mut keys = CHILDREN.keys("notes");
    let rows = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), rows);
    let mut engine = engine();
    engine.spec.readers.replicas = 1;
    engine.spec.backup = Some(Backup { standby: Some(BackupStandby::default()), ..backup() });
    let mut valid = valid(&observed(engine));
    let running = Running { runs: valid.revision(), knows: Vec::new() };
    let (writer, readers, canary) = (running.clone(), running.clone(), Some(running));
    valid.rolled = Some(Rolled {
        writer,
        readers,
        canary,
        drill: None,
        grants: Vec::new(),
        status: RolloutStatus::default(),
    });
    let wanted: Vec<_> = CHILDREN
        .wanted(&valid)
        .into_iter()
        .map(|(key, object)| {
            assert_eq!(
                object["metadata"]["name"],
                key.name.as_str(),
                "the builder and the row give one name"
            );
            key
        })
        .collect();
    let exposed = CHILDREN.exposed(&valid).len();
    assert_eq!((wanted.len() + exposed, CHILDREN.unwanted(&valid).len()), (rows - 3, 0));
}
