//! Checks of the audit log that run after all other tests, on the same cluster.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use e2e::cluster;
use e2e::deploy::OPERATOR_NAMESPACE;
use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use kube::{Api, Client};

use crate::audit::{self, BEGINNING, OPERATOR, Permission};

/// A permission that is used only when an engine has more than 48 records of backups.
const RARE: (&str, &str, &str) = ("memoryengine.io", "memorybackups", "delete");

/// The operator used every permission that it has, and none of its requests was denied.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_used_every_permission_and_was_denied_nothing() -> Result<()> {
    let cluster = cluster::ensure_up().await?;
    if !cluster.is_local() {
        println!("skipped: no access to another cluster's audit log");
        return Ok(());
    }
    let requests = audit::requests_of(OPERATOR, BEGINNING)?;
    let denied: Vec<String> = requests
        .iter()
        .filter(|entry| entry.denied() && !entry.is_denied_on_purpose())
        .map(ToString::to_string)
        .collect();
    let granted = granted(&cluster.client()).await?;
    let used = audit::permissions_used(BEGINNING)?;
    let is_rare =
        |(group, resource, verb): &Permission| RARE == (group.as_str(), resource.as_str(), verb.as_str());
    let unused: Vec<_> = granted.difference(&used).filter(|permission| !is_rare(permission)).collect();
    println!(
        "requests {}  granted {}  granted and used {}  denied {}",
        requests.len(),
        granted.len(),
        granted.len() - unused.len(),
        denied.len()
    );
    ensure!(granted.len() > 30, "the operator's roles were not found: {granted:?}");
    ensure!(denied.is_empty(), "denied: {denied:#?}");
    ensure!(unused.is_empty(), "granted and never used: {unused:#?}");
    Ok(())
}

/// Returns all permissions that bindings grant to the operator's service account.
async fn granted(client: &Client) -> Result<BTreeSet<Permission>> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    let wide: Api<ClusterRoleBinding> = Api::all(client.clone());
    for binding in wide.list(&Default::default()).await? {
        if names_the_operator(binding.subjects.as_deref()) {
            rules.extend(of_role(client, &binding.role_ref, None).await?);
        }
    }
    let narrow: Api<RoleBinding> = Api::all(client.clone());
    for binding in narrow.list(&Default::default()).await? {
        if names_the_operator(binding.subjects.as_deref()) {
            rules.extend(of_role(client, &binding.role_ref, binding.metadata.namespace.as_deref()).await?);
        }
    }
    Ok(rules.iter().flat_map(permissions).collect())
}

fn names_the_operator(subjects: Option<&[Subject]>) -> bool {
    subjects.unwrap_or_default().iter().any(|subject| {
        subject.kind == "ServiceAccount"
            && subject.name == "memory-operator"
            && subject.namespace.as_deref() == Some(OPERATOR_NAMESPACE)
    })
}

async fn of_role(client: &Client, role: &RoleRef, namespace: Option<&str>) -> Result<Vec<PolicyRule>> {
    let rules = match role.kind.as_str() {
        "ClusterRole" => Api::<ClusterRole>::all(client.clone()).get(&role.name).await?.rules,
        _ => {
            let namespace = namespace.context("a Role without a namespace")?;
            Api::<Role>::namespaced(client.clone(), namespace).get(&role.name).await?.rules
        }
    };
    Ok(rules.unwrap_or_default())
}

fn permissions(rule: &PolicyRule) -> Vec<Permission> {
    let mut permissions = Vec::new();
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            permissions.extend(rule.verbs.iter().map(|verb| (group.clone(), resource.clone(), verb.clone())));
        }
    }
    permissions
}
