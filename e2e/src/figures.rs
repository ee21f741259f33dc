//! Overhead of the operator in deployment time. Engines and bare StatefulSets alternate in one run, so that a noisy
//! machine slows both alike.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use crds::MemoryEngine;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::cluster::{self, Cluster};
use crate::deploy;
use crate::memories::Memories;
use crate::steps::Steps;
use crate::wait::{condition, until};

const LIMIT: Duration = Duration::from_secs(120);
/// Delay between two attempts to write to a starting pod.
const ATTEMPT: Duration = Duration::from_millis(50);
const NAMESPACE: &str = "bench-deploy";
/// The engine whose StatefulSet the bare ones copy.
const MODEL: &str = "model";
const SIZE: &str = "64Mi";

/// The same measurement of engines and of bare StatefulSets, in seconds.
#[derive(Debug, Default, Clone)]
pub struct Pair {
    /// Measurements of engines.
    pub engine: Vec<f64>,
    /// Measurements of bare StatefulSets.
    pub bare: Vec<f64>,
}

impl Pair {
    /// Median of the engines divided by the median of the bare StatefulSets.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        median(&self.engine) / median(&self.bare)
    }

    fn json(&self) -> Value {
        json!({
            "engine": self.engine, "bare": self.bare, "engine_median": median(&self.engine),
            "bare_median": median(&self.bare), "ratio": self.ratio(),
        })
    }
}

/// Results of one run.
#[derive(Debug, Default, Clone)]
pub struct Figures {
    /// From apply to Ready; for a bare StatefulSet, from the creation of its first object until its pod is ready.
    pub start: Pair,
    /// From the deletion of the pod to the first write that its successor acknowledges.
    pub back: Pair,
}

impl Figures {
    /// As JSON, in seconds.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({"apply_to_ready": self.start.json(), "deleted_to_write": self.back.json()})
    }

    /// As a readable table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{:<44}{:>9}{:>9}{:>8}\n", "median seconds", "engine", "bare", "ratio");
        for (name, pair) in
            [("apply to Ready", &self.start), ("pod deleted to first acknowledged write", &self.back)]
        {
            let (engine, bare) = (median(&pair.engine), median(&pair.bare));
            text += &format!("{name:<44}{engine:>9.2}{bare:>9.2}{:>8.2}\n", pair.ratio());
        }
        text
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

/// Measures on the cluster in use and prints a table and JSON.
///
/// # Errors
/// The operator cannot be installed, or something did not become ready in time.
pub async fn run(rounds: usize, steps: &Steps) -> Result<()> {
    let cluster = cluster::ensure_up().await?;
    deploy::ensure_installed(&cluster).await?;
    deploy::apply(&cluster, &deploy::restricted_namespace(NAMESPACE)).await?;
    let measured = measure(&cluster, NAMESPACE, rounds, steps).await;
    let namespaces: Api<Namespace> = Api::all(cluster.client());
    namespaces.delete(NAMESPACE, &DeleteParams::background()).await?;
    let figures = measured?;
    print!("{}", figures.table());
    println!("{}", figures.json());
    Ok(())
}

/// Measures in an existing namespace.
///
/// # Errors
/// Something did not become ready in time.
pub async fn measure(cluster: &Cluster, namespace: &str, rounds: usize, steps: &Steps) -> Result<Figures> {
    let bench = Bench {
        client: cluster.client(),
        plain_client: cluster.plain_client(),
        namespace: namespace.to_owned(),
    };
    // The first start is not counted: one-time costs affect engines and StatefulSets alike.
    bench.start_engine(MODEL).await?;
    let model = bench.model().await?;
    let mut figures = Figures::default();
    for round in 0..rounds {
        for kind in if round % 2 == 0 { [Kind::Engine, Kind::Bare] } else { [Kind::Bare, Kind::Engine] } {
            let name = format!("{}-{round}", kind.word());
            let start = match kind {
                Kind::Engine => bench.start_engine(&name).await?,
                Kind::Bare => bench.start_bare(&name, &model).await?,
            };
            let back = bench.delete_pod(&name).await?;
            bench.remove(kind, &name).await?;
            steps.say(&format!("{name}: ready after {start:.2} s, writing again after {back:.2} s"));
            kind.of(&mut figures.start).push(start);
            kind.of(&mut figures.back).push(back);
        }
    }
    bench.remove(Kind::Engine, MODEL).await?;
    Ok(figures)
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Engine,
    Bare,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Bare => "bare",
        }
    }

    fn of(self, pair: &mut Pair) -> &mut Vec<f64> {
        match self {
            Self::Engine => &mut pair.engine,
            Self::Bare => &mut pair.bare,
        }
    }
}

struct Bench {
    client: Client,
    plain_client: Client,
    namespace: String,
}

/// The objects that are copied for each bare StatefulSet.
struct Model {
    set: Value,
    claim: Value,
}

impl Bench {
    fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Seconds from apply to Ready.
    async fn start_engine(&self, name: &str) -> Result<f64> {
        let engine = json!({
            "apiVersion": "memoryengine.io/v1alpha1", "kind": "MemoryEngine", "metadata": {"name": name},
            "spec": {"writer": {"storage": {"size": SIZE}}},
        });
        let engines = self.api::<MemoryEngine>();
        let started = Instant::now();
        engines.patch(name, &PatchParams::apply("bench"), &Patch::Apply(&engine)).await?;
        let ready = await_condition(engines, name, |engine: Option<&MemoryEngine>| {
            engine.is_some_and(|engine| {
                let seen = engine.status.as_ref().and_then(|status| status.observed_generation);
                seen == engine.metadata.generation
                    && condition(engine, "Ready").is_some_and(|ready| ready.status == "True")
            })
        });
        tokio::time::timeout(LIMIT, ready)
            .await
            .with_context(|| format!("{name} did not become Ready"))??;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Returns the objects that the operator created for the model, without their identifying fields.
    async fn model(&self) -> Result<Model> {
        let set = self.api::<StatefulSet>().get(MODEL).await?;
        let claim = self.api::<PersistentVolumeClaim>().get(&format!("{MODEL}-data")).await?;
        let mut claim_spec = json!(claim.spec);
        let fields = claim_spec.as_object_mut().context("a claim without a spec")?;
        fields.remove("volumeName");
        let mut set_spec = json!(set.spec);
        let pod = set_spec["template"]["spec"].as_object_mut().context("a set without pods")?;
        pod.remove("serviceAccountName");
        pod.remove("serviceAccount");
        Ok(Model { set: set_spec, claim: claim_spec })
    }

    /// Seconds from the creation of the first object until the pod is ready.
    async fn start_bare(&self, name: &str, model: &Model) -> Result<f64> {
        let labels = json!({"app": name});
        let port = json!([{"name": "http", "port": 8080, "targetPort": "http"}]);
        let mut set = model.set.clone();
        set["serviceName"] = format!("{name}-headless").into();
        set["selector"] = json!({"matchLabels": labels});
        set["template"]["metadata"] = json!({"labels": labels});
        for volume in set["template"]["spec"]["volumes"].as_array_mut().context("a set without volumes")? {
            if volume["name"] == "data" {
                volume["persistentVolumeClaim"]["claimName"] = format!("{name}-data").into();
            }
        }
        let service = json!({"selector": labels, "ports": port});
        let mut headless = service.clone();
        headless["clusterIP"] = "None".into();

        let started = Instant::now();
        self.create::<Service>(&format!("{name}-headless"), &headless).await?;
        self.create::<Service>(name, &service).await?;
        self.create::<PersistentVolumeClaim>(&format!("{name}-data"), &model.claim).await?;
        self.create::<StatefulSet>(name, &set).await?;
        let pod = format!("{name}-0");
        let ready = await_condition(self.api::<Pod>(), &pod, |pod: Option<&Pod>| {
            let status = pod.and_then(|pod| pod.status.as_ref());
            status.and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
                conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
            })
        });
        tokio::time::timeout(LIMIT, ready).await.with_context(|| format!("{pod} did not become ready"))??;
        Ok(started.elapsed().as_secs_f64())
    }

    async fn create<K>(&self, name: &str, spec: &Value) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + DeserializeOwned
            + serde::Serialize
            + Clone
            + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec}))?;
        self.api::<K>().create(&Default::default(), &object).await?;
        Ok(())
    }

    /// Seconds from the deletion of the pod to the first write that the next pod acknowledges.
    async fn delete_pod(&self, name: &str) -> Result<f64> {
        let (pods, pod) = (self.api::<Pod>(), format!("{name}-0"));
        let memories = Memories::of(&self.plain_client, &self.namespace, name);
        // A pod becomes ready shortly before its Service routes to it, so wait for a first write.
        until("a write before the deletion", LIMIT, async || {
            memories.save("before the pod was deleted", Some("before")).await.map(Some)
        })
        .await?;
        let before = pods.get(&pod).await?.metadata.uid;
        let started = Instant::now();
        pods.delete(&pod, &DeleteParams::default()).await?;
        let written = async {
            loop {
                // The old pod still responds while it drains; its responses are not counted.
                let now = pods.get_opt(&pod).await?;
                if now.is_some_and(|now| now.metadata.uid != before)
                    && memories.save("after the pod was deleted", Some("after")).await.is_ok()
                {
                    return anyhow::Ok(());
                }
                tokio::time::sleep(ATTEMPT).await;
            }
        };
        tokio::time::timeout(LIMIT, written).await.with_context(|| format!("{pod} accepted no write"))??;
        Ok(started.elapsed().as_secs_f64())
    }

    /// Deletes the objects of one start, so that each start finds the same state of the cluster.
    async fn remove(&self, kind: Kind, name: &str) -> Result<()> {
        let params = DeleteParams::background();
        match kind {
            Kind::Engine => {
                self.api::<MemoryEngine>().delete(name, &params).await?;
            }
            Kind::Bare => {
                self.api::<StatefulSet>().delete(name, &params).await?;
                self.api::<Service>().delete(name, &params).await?;
                self.api::<Service>().delete(&format!("{name}-headless"), &params).await?;
            }
        }
        let (claims, name) = (self.api::<PersistentVolumeClaim>(), format!("{name}-data"));
        let uid = claims.get(&name).await?.metadata.uid.context("a claim without a uid")?;
        claims.delete(&name, &params).await?;
        let gone = await_condition(claims, &name, conditions::is_deleted(&uid));
        tokio::time::timeout(LIMIT, gone).await.with_context(|| format!("{name} is not removed"))??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        let pair = Pair { engine: vec![3.0, 9.0, 3.0], bare: vec![2.0] };
        assert_eq!(pair.ratio(), 1.5);
    }
}
