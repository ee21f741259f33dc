//! Rendered output of the chart and of kustomize.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use e2e::cluster::{self, Cluster};
use e2e::deploy::{OPERATOR_NAMESPACE, RELEASE, chart, helm, kubectl};
use e2e::paths::checkout_dir;
use serde::Deserialize as _;
use serde_json::{Map, Value};

type Objects = BTreeMap<String, Value>;

async fn helm_chart(cluster: &Cluster, verb: &[&str], more: &[&str]) -> Result<String> {
    let chart = chart();
    let chart = chart.to_str().context("the path is not valid UTF-8")?;
    helm(cluster, &[verb, &[chart], more].concat()).await
}

async fn rendered(cluster: &Cluster, values: &[&str]) -> Result<String> {
    let mut more = vec!["--namespace", OPERATOR_NAMESPACE];
    for value in values {
        more.extend(["--set", value]);
    }
    helm_chart(cluster, &["template", RELEASE], &more).await
}

/// kustomize renders the same objects as the chart with its default values.
#[tokio::test(flavor = "multi_thread")]
async fn the_chart_and_kustomize_make_the_same_objects() -> Result<()> {
    let cluster = cluster::ensure_up().await?;
    let from_chart = objects(&rendered(&cluster, &[]).await?)?;
    let config = checkout_dir().join("config/default");
    let kustomized =
        kubectl(&cluster, &["kustomize", config.to_str().context("the path is not valid UTF-8")?]).await?;
    let mut from_kustomize = objects(&kustomized)?;
    // Helm creates the release's namespace itself.
    from_kustomize.retain(|key, _| !key.contains("/Namespace/"));
    ensure!(from_chart.len() >= 10, "only {} objects", from_chart.len());
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    ensure!(
        names(&from_chart) == names(&from_kustomize),
        "chart {:#?}\nkustomize {:#?}",
        names(&from_chart),
        names(&from_kustomize)
    );
    for (key, object) in &from_chart {
        let other = &from_kustomize[key];
        ensure!(object == other, "{key}:\nchart {object:#}\nkustomize {other:#}");
    }
    println!("{} objects, equal", from_chart.len());
    Ok(())
}

/// Returns the objects of a manifest by their identity, without labels and annotations that are specific to one tool.
fn objects(manifest: &str) -> Result<Objects> {
    let mut objects = Objects::new();
    for document in serde_yaml::Deserializer::from_str(manifest) {
        let mut object = Value::deserialize(document)?;
        if object.is_null() {
            continue;
        }
        let metadata = object["metadata"].as_object_mut().context("an object without metadata")?;
        plain(metadata);
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let namespace = metadata.get("namespace").map(word).unwrap_or_default();
        let name = metadata.get("name").map(word).unwrap_or_default();
        let key = format!("{}/{}/{namespace}/{name}", word(&object["apiVersion"]), word(&object["kind"]));
        ensure!(objects.insert(key.clone(), object).is_none(), "{key} occurs twice");
    }
    Ok(objects)
}

fn plain(metadata: &mut Map<String, Value>) {
    if let Some(Value::Object(labels)) = metadata.get_mut("labels") {
        labels.remove("helm.sh/chart");
        if labels.get("app.kubernetes.io/managed-by").is_some_and(|tool| tool == "Helm") {
            labels.remove("app.kubernetes.io/managed-by");
        }
    }
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove("helm.sh/resource-policy");
    }
    metadata.retain(|key, value| {
        !(matches!(key.as_str(), "labels" | "annotations") && value.as_object().is_some_and(Map::is_empty))
    });
}

/// The chart passes `helm lint`, including warnings.
#[tokio::test(flavor = "multi_thread")]
async fn the_chart_passes_lint() -> Result<()> {
    let cluster = cluster::ensure_up().await?;
    let said = helm_chart(&cluster, &["lint"], &["--strict"]).await?;
    ensure!(said.contains("0 chart(s) failed"), "{said}");
    Ok(())
}

/// Values that the chart refuses, and the key that the message must name.
const REFUSED: [(&str, &str); 16] = [
    ("anchors.writesPerSecond=0", "writesPerSecond"),
    ("anchors.perSecond=5", "perSecond"),
    ("replica=2", "replica"),
    ("replicas=0", "replicas"),
    ("replicas=two", "replicas"),
    ("scope=all", "scope"),
    ("watchNamespace=team-a", "watchNamespace"),
    ("watchNamespace=Team_A", "watchNamespace"),
    ("image.tag=a b", "tag"),
    ("image.digest=sha256:abc", "digest"),
    ("image.pullPolicy=Sometimes", "pullPolicy"),
    ("engineImage.repository=", "repository"),
    ("log.level=loud", "level"),
    ("resources.limits.memory=much", "memory"),
    ("crds.instal=false", "instal"),
    ("networkPolicy.enabled=maybe", "enabled"),
];

/// Valid values for the same keys: a schema that refuses everything would pass the test above.
const ACCEPTED: [&str; 9] = [
    "anchors.writesPerSecond=200",
    "replicas=2",
    "scope=namespaced",
    "scope=namespaced,watchNamespace=team-a",
    "image.tag=v1.2-rc.3",
    "image.pullPolicy=Always",
    "log.level=debug",
    "resources.limits.memory=1Gi",
    "networkPolicy.enabled=false",
];

/// A mistake in the values fails before anything is created, with the name of the key.
#[tokio::test(flavor = "multi_thread")]
async fn values_that_mean_nothing_are_refused_by_name() -> Result<()> {
    let cluster = cluster::ensure_up().await?;
    for value in ACCEPTED {
        rendered(&cluster, &[value]).await.with_context(|| value.to_owned())?;
    }
    for (value, word) in REFUSED {
        match rendered(&cluster, &[value]).await {
            Ok(_) => anyhow::bail!("{value} was accepted"),
            // The first line of the message is the command line, which contains the value: leave it out.
            Err(error) => {
                let said = format!("{error:#}");
                let said = said.split_once('\n').map_or("", |(_, rest)| rest);
                ensure!(said.contains(word), "{value}: the refusal does not name {word}: {said}");
            }
        }
    }
    Ok(())
}
