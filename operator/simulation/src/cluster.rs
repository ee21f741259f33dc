//! What the simulated operator acts on: the resource, the pods, and the process that answers reads.

use std::collections::BTreeMap;

use operator_core::rollout::{
    Command, Counts, Drills, Grant, Metric, Pairing, PodView, Pods, Reading, Reads, Status, Step,
};

use crate::{
    dice::Dice,
    questions::{Effect, Questions},
};

/// How long a pod takes to become ready, seconds.
const START_S: i64 = 20;

/// The resource as the API server has it.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) version: u64,
    pub(crate) revision: String,
    pub(crate) commands: Vec<Command>,
    pub(crate) status: Option<Status>,
}

/// A workload, and since when its pod is ready.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) revision: String,
    ready_at_s: i64,
}

impl Workload {
    pub(crate) fn new(name: &str, revision: &str, now_s: i64) -> Self {
        Self { name: name.to_owned(), revision: revision.to_owned(), ready_at_s: now_s + START_S }
    }

    pub(crate) fn take(&mut self, revision: &str, now_s: i64) {
        (self.revision, self.ready_at_s) = (revision.to_owned(), now_s + START_S);
    }

    pub(crate) fn fail(&mut self, now_s: i64) {
        self.ready_at_s = now_s + START_S;
    }

    pub(crate) fn is_ready(&self, now_s: i64) -> bool {
        now_s >= self.ready_at_s
    }

    fn view(&self, now_s: i64) -> PodView {
        PodView { name: self.name.clone(), revision: self.revision.clone(), is_ready: self.is_ready(now_s) }
    }
}

/// The process that answers reads, asks the canary and counts the pairs.
#[derive(Clone, Debug)]
pub(crate) struct Answerer {
    pub(crate) restarts: u32,
    /// The revision whose canary it knows, and the pairs with it.
    pub(crate) pairing: Option<(String, Pairing)>,
    pub(crate) grant: Grant,
    pub(crate) reads: Reads,
}

/// Everything outside of the operator.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// The time that is true.
    pub(crate) now_s: i64,
    pub(crate) resource: Resource,
    /// The resource before its last change, for reads from an old cache.
    pub(crate) before: Resource,
    pub(crate) canary: Option<Workload>,
    pub(crate) readers: Vec<Workload>,
    pub(crate) writer: Workload,
    pub(crate) answerer: Answerer,
    /// The drills before the step that follows this one of this revision.
    pub(crate) drills: Option<(String, Step, Drills)>,
    /// The effect of each revision that has one.
    pub(crate) effects: BTreeMap<String, Effect>,
    /// What processes that are gone have counted of each revision.
    counted: BTreeMap<(String, Metric), Counts>,
    seq: u64,
    questions: Questions,
}

impl Cluster {
    pub(crate) fn new(revision: &str, readers: usize, questions: Questions) -> Self {
        let resource =
            Resource { version: 1, revision: revision.to_owned(), commands: Vec::new(), status: None };
        Self {
            now_s: 1_000_000,
            before: resource.clone(),
            resource,
            canary: None,
            readers: (0..readers).map(|n| Workload::new(&format!("reader-{n}"), revision, 0)).collect(),
            writer: Workload::new("writer", revision, 0),
            answerer: Answerer { restarts: 0, pairing: None, grant: Grant::new(0, 0), reads: Reads::Off },
            drills: None,
            effects: BTreeMap::new(),
            counted: BTreeMap::new(),
            seq: 1,
            questions,
        }
    }

    /// Changes the resource. Every change has a version.
    pub(crate) fn edit(&mut self, change: impl FnOnce(&mut Resource)) {
        self.before = self.resource.clone();
        change(&mut self.resource);
        self.resource.version += 1;
    }

    pub(crate) fn pods(&self) -> Pods {
        Pods {
            canary: self.canary.as_ref().map(|pod| pod.view(self.now_s)),
            readers: self.readers.iter().map(|pod| pod.view(self.now_s)).collect(),
            writer: Some(self.writer.view(self.now_s)),
            is_stopped: false,
        }
    }

    pub(crate) fn serving(&self) -> impl Iterator<Item = &Workload> {
        self.readers.iter().chain([&self.writer])
    }

    pub(crate) fn serving_mut(&mut self) -> impl Iterator<Item = &mut Workload> {
        self.readers.iter_mut().chain([&mut self.writer])
    }

    pub(crate) fn weight(&self) -> u8 {
        self.answerer.grant.weight(self.now_s)
    }

    /// The container of the answering process restarts: counters and weight are gone.
    pub(crate) fn restart_answerer(&mut self) {
        let floor = self.seq + 1;
        self.seq = floor;
        self.answerer.restarts += 1;
        self.answerer.grant = Grant::new(0, self.now_s);
        if let Some((revision, pairing)) = self.answerer.pairing.take() {
            self.keep_account(&revision, &pairing);
            self.answerer.pairing = Some((revision, Pairing::new(floor)));
        }
    }

    fn keep_account(&mut self, revision: &str, pairing: &Pairing) {
        for (metric, counts) in pairing.tally().counts.iter() {
            let sum = self.counted.entry((revision.to_owned(), metric)).or_default();
            *sum = sum.plus(counts);
        }
    }

    /// What was truly counted of a revision.
    pub(crate) fn truth(&self, revision: &str, metric: Metric) -> Counts {
        let gone = self.counted.get(&(revision.to_owned(), metric)).copied().unwrap_or_default();
        let here = self.answerer.pairing.as_ref().filter(|(known, _)| known == revision);
        here.map_or(gone, |(_, pairing)| gone.plus(&pairing.tally().of(metric)))
    }

    /// Gives the answering process the canary that it asks. Another revision has other pairs.
    pub(crate) fn introduce(&mut self, revision: &str) {
        if self.answerer.pairing.as_ref().is_none_or(|(known, _)| known != revision) {
            let floor = self.seq + 1;
            self.seq = floor;
            if let Some((before, pairing)) = self.answerer.pairing.take() {
                self.keep_account(&before, &pairing);
            }
            self.answerer.pairing = Some((revision.to_owned(), Pairing::new(floor)));
        }
    }

    /// One second of reads, and the checks of the canary every thirty.
    pub(crate) fn pass_second(&mut self, dice: &mut Dice) {
        self.now_s += 1;
        self.seq += 1;
        let Some((revision, pairing)) = &mut self.answerer.pairing else { return };
        let effect = self.effects.get(revision).copied().unwrap_or(Effect::Clean);
        let canary = self.canary.as_ref().filter(|pod| pod.revision == *revision);
        // A canary that was taken away is no gap.
        if let Some(pod) = canary {
            pairing.readiness(pod.is_ready(self.now_s));
        }
        if self.now_s % 30 == 0 {
            let differs = effect == Effect::Digest && dice.chance(0.2);
            for metric in [Metric::Digest, Metric::Chain, Metric::Redaction, Metric::Downgrade] {
                pairing.check(metric, differs && metric == Metric::Digest, false);
            }
            pairing.control(10);
        }
        if canary.is_some() && self.answerer.reads != Reads::Off {
            pairing.take(&self.questions.ask(effect, self.seq, self.now_s * 1_000));
        }
    }

    /// What the operator reads from the answering process.
    pub(crate) fn reading(&self) -> Option<Reading> {
        let (revision, pairing) = self.answerer.pairing.as_ref()?;
        Some(Reading {
            pod: "answerer".to_owned(),
            revision: revision.clone(),
            restarts: self.answerer.restarts,
            tally: pairing.tally().clone(),
        })
    }
}
