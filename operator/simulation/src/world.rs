//! One simulated world: a revision is introduced while pods, clock, network, users and the operator itself misbehave.

use operator_core::rollout::{Command, Metric, Reading, Settings, State, Step, Verb};

use crate::{
    cluster::Cluster,
    dice::Dice,
    invariants::{Broken, Memory, check},
    operator::{Judge, Trouble, reconcile},
    questions::{Effect, Noise, Questions},
    steps::settings,
};

/// Time between two reconciles, seconds.
const TICK_S: u32 = 30;
/// Ticks in which something may go wrong.
const TROUBLED_TICKS: u32 = 60;
/// Ticks after which a world without further trouble has to be settled.
const CALM_TICKS_MAX: u32 = 600;
/// Changes that users make at most.
const EDITS_MAX: u64 = 4;
/// Little noise, so that the gates need few pairs and many worlds fit into a test.
const NOISE: Noise = Noise { errors: 0.002, cache: 0.002, recall: 0.002 };

/// What happens in a world.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The harm of the new revision. Later ones are clean.
    pub effect: Effect,
    /// Whether something goes wrong beside it.
    pub has_trouble: bool,
    /// Whether users change their minds.
    pub has_edits: bool,
}

/// How a world ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The gates that have failed.
    pub failures: Vec<Metric>,
    /// Whether a new revision became the stable one.
    pub promoted: bool,
    /// How long it took, seconds of the world.
    pub lasted_s: i64,
}

struct World {
    dice: Dice,
    cluster: Cluster,
    memory: Memory,
    settings: Settings,
    judge: Judge,
    plan: Plan,
    trouble: Trouble,
    restarts_left: u32,
    edits_left: u64,
    commands: u64,
    older: Option<Reading>,
}

/// Runs the world of a seed.
///
/// # Errors
///
/// The invariant that was broken, or that the world does not settle.
pub fn run(seed: u64, plan: Plan, judge: Judge) -> Result<Ended, Broken> {
    let mut dice = Dice::new(seed);
    let readers = usize::try_from(dice.below(3)).unwrap_or_default();
    let edits_left = if plan.has_edits { dice.below(EDITS_MAX + 1) } else { 0 };
    let mut world = World {
        cluster: Cluster::new("r0", readers, Questions::new(dice.roll(), NOISE)),
        memory: Memory::default(),
        settings: settings(),
        judge,
        plan,
        trouble: Trouble::default(),
        restarts_left: 2,
        edits_left,
        commands: 0,
        older: None,
        dice,
    };
    let began = world.cluster.now_s;
    world.reconcile()?;
    world.cluster.effects.insert("r1".to_owned(), plan.effect);
    world.cluster.edit(|resource| resource.revision = "r1".to_owned());
    for _ in 0..TROUBLED_TICKS {
        world.misbehave();
        world.tick()?;
    }
    world.settle()?;
    let promoted = world.state().stable() != "r0";
    Ok(Ended { failures: world.memory.failures, promoted, lasted_s: world.cluster.now_s - began })
}

impl World {
    fn state(&self) -> State {
        State::restore(self.cluster.resource.status.as_ref())
    }

    fn tick(&mut self) -> Result<(), Broken> {
        for _ in 0..TICK_S {
            self.cluster.pass_second(&mut self.dice);
        }
        check(&self.cluster, &mut self.memory)?;
        self.reconcile()?;
        self.older = self.cluster.reading();
        Ok(())
    }

    fn reconcile(&mut self) -> Result<(), Broken> {
        let is_asked = self.is_abort_asked();
        let trouble = std::mem::take(&mut self.trouble);
        self.trouble.clock_off_s = trouble.clock_off_s;
        let (memory, mut broken) = (&mut self.memory, None);
        let mut after_write = |cluster: &Cluster| {
            broken = broken.take().or_else(|| check(cluster, memory).err());
        };
        let is_complete =
            reconcile(&mut self.cluster, &self.settings, self.judge, &trouble, &mut after_write);
        match broken {
            Some(broken) => Err(broken),
            None if is_asked && !trouble.is_stale && !trouble.is_deposed => self.is_aborted(is_complete),
            None => Ok(()),
        }
    }

    /// Whether an abort has not been carried out yet.
    fn is_abort_asked(&self) -> bool {
        let resource = &self.cluster.resource;
        let done = resource.status.as_ref().map(|status| status.done_commands.as_slice()).unwrap_or_default();
        resource.commands.iter().any(|one| one.verb == Verb::Abort && !done.contains(&one.id))
    }

    /// An abort takes one step, whatever the step was.
    fn is_aborted(&self, is_complete: bool) -> Result<(), Broken> {
        let (step, weight) = (self.state().step(), self.cluster.weight());
        if !is_complete || (!step.is_trial() && weight == 0) {
            return Ok(());
        }
        Err(Broken { rule: "an abort takes one step", seen: format!("{step:?} with {weight} %") })
    }

    /// One thing may go wrong in each tick.
    fn misbehave(&mut self) {
        if self.edits_left > 0 && self.dice.chance(0.06) {
            self.edits_left -= 1;
            self.edit();
        }
        if !self.plan.has_trouble {
            return;
        }
        match self.dice.below(100) {
            0..5 => self.trouble.is_stale = true,
            5..8 => self.trouble.is_deposed = true,
            8..11 => self.trouble.no_counters = true,
            11..15 => self.trouble.old_reading = self.older.clone(),
            15..25 => self.trouble.crash_after = u32::try_from(self.dice.below(6)).ok(),
            25 => self.trouble.stable_down = true,
            26 => self.jump(),
            27..29 => self.cluster.restart_answerer(),
            29..32 if self.restarts_left > 0 => self.fail_canary(),
            32 => self.fail_serving(),
            _ => {}
        }
    }

    /// The clock of the operator jumps, by seconds or by days.
    fn jump(&mut self) {
        let far = i64::try_from(10_u64.pow(1 + u32::try_from(self.dice.below(6)).unwrap_or_default()))
            .unwrap_or_default();
        self.trouble.clock_off_s = if self.dice.chance(0.5) { far } else { -far };
        // Each jump, and the way back, can count as watched for as long as a reading stays fresh.
        self.memory.jumped_s += 2 * operator_core::rollout::STALE_S_MAX;
    }

    fn fail_canary(&mut self) {
        self.restarts_left -= 1;
        let now_s = self.cluster.now_s;
        if let Some(pod) = &mut self.cluster.canary {
            pod.fail(now_s);
        }
    }

    fn fail_serving(&mut self) {
        let now_s = self.cluster.now_s;
        let unlucky = usize::try_from(self.dice.below(3)).unwrap_or_default();
        if let Some(pod) = self.cluster.serving_mut().nth(unlucky) {
            pod.fail(now_s);
        }
    }

    /// A user does something.
    fn edit(&mut self) {
        match self.dice.below(8) {
            0 => {
                let revision = format!("r{}", 2 + self.dice.below(3));
                self.cluster.edit(|resource| resource.revision = revision);
            }
            1 => self.cluster.edit(|resource| resource.revision = "r0".to_owned()),
            2 => self.cluster.edit(|resource| resource.revision = "r1".to_owned()),
            3 => {
                self.memory.lost_at_s = self.cluster.now_s;
                self.cluster.edit(|resource| resource.status = None);
            }
            4 => self.ask(Verb::Abort),
            5 => self.ask(Verb::Hold),
            6 => self.ask(Verb::Retry),
            _ => {
                let verb = if self.dice.chance(0.5) { Verb::PromoteNext } else { Verb::PromoteFull };
                self.ask(verb);
            }
        }
    }

    fn ask(&mut self, verb: Verb) {
        self.commands += 1;
        if verb == Verb::Retry {
            self.memory.failed.remove(&self.cluster.resource.revision);
        }
        let (id, by, why) = (format!("c{}", self.commands), "a user".to_owned(), "a reason".to_owned());
        self.cluster.edit(|resource| resource.commands = vec![Command { id, verb, by, why }]);
    }

    /// Nothing goes wrong any more, and users only answer what waits for them. Then the world must come to rest.
    fn settle(&mut self) -> Result<(), Broken> {
        self.trouble = Trouble::default();
        for tick in 0..CALM_TICKS_MAX {
            if self.is_settled() {
                return Ok(());
            }
            let waits_for_user =
                self.cluster.resource.status.as_ref().is_none_or(|status| status.hold.is_some());
            let step = self.cluster.resource.status.as_ref().map_or(Step::Unknown, |status| status.step);
            if (waits_for_user || step == Step::Unknown) && tick % 4 == 3 {
                self.ask(Verb::Retry);
            }
            self.tick()?;
        }
        let seen = format!("{:?} for {}", self.state().step(), self.cluster.resource.revision);
        Err(Broken { rule: "every world comes to rest", seen })
    }

    fn is_settled(&self) -> bool {
        let is_trial = self.cluster.resource.status.as_ref().is_none_or(|status| status.step.is_trial());
        if is_trial {
            return false;
        }
        let state = self.state();
        let wanted = &self.cluster.resource.revision;
        let is_over = match state.step() {
            Step::Stable => state.stable() == wanted,
            Step::RolledBack => state.failed().contains(wanted),
            Step::Unknown
            | Step::DarkLaunch
            | Step::Shadow
            | Step::Canary(_)
            | Step::Promoting
            | Step::Soaking => false,
        };
        let runs = |revision: &str| self.cluster.serving().all(|pod| pod.revision == revision);
        is_over && runs(state.stable()) && self.cluster.canary.is_none() && self.cluster.weight() == 0
    }
}
