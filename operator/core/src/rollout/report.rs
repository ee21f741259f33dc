//! What the status says about a rollout.

use crds::{RolloutDecision, RolloutGate, RolloutGateStatus, RolloutPhase, RolloutStatus};
use engine_core::rollout::metric::Metric;
use jiff::Timestamp;

use super::{
    decision::{Breach, Cause, Decision, Outcome, Refusal, Wait},
    gate::{Judgement, NoData, Verdict, Verdicts},
    input::Verb,
    ladder::Step,
    outlook::outlook,
    record::Record,
    settings::Settings,
    state::State,
};

/// Longest text in the status, characters.
const TEXT_MAX: usize = 512;

/// The status of a rollout. `wanted` is the revision that the spec asks for, with what is wrong otherwise.
#[must_use]
pub(super) fn rollout_status(
    state: &State,
    decision: &Decision,
    (settings, verdicts): (&Settings, &Verdicts),
    (wanted, noted): (&str, Option<String>),
    now: Timestamp,
) -> RolloutStatus {
    let gates = match state.step().is_trial() {
        true => {
            let in_force = verdicts.judgements.iter().filter(|one| settings.gates.contains(&one.metric));
            in_force.filter_map(|one| gate_status(state, one, now)).collect()
        }
        false => Vec::new(),
    };
    let said = described(state, decision, verdicts, wanted);
    let noted = noted.filter(|_| state.step() != Step::Stable);
    let message = noted.map_or_else(|| said.clone(), |noted| format!("{said}. {noted}"));
    RolloutStatus {
        phase: phase(state.step()),
        wanted_revision: wanted.to_owned(),
        stable_revision: state.stable().to_owned(),
        canary_revision: state.revision().map(str::to_owned),
        weight: decision.weight().into(),
        message: shortened(message),
        gates,
        decisions: state.records().iter().map(decided).collect(),
        state: serde_json::to_value(state.save()).expect("integers and texts are JSON"),
    }
}

/// The step as the API spells it.
#[must_use]
pub fn phase(step: Step) -> RolloutPhase {
    match step {
        Step::Unknown => RolloutPhase::Unknown,
        Step::Stable => RolloutPhase::Stable,
        Step::DarkLaunch => RolloutPhase::DarkLaunch,
        Step::Shadow => RolloutPhase::Shadow,
        Step::Canary(_) => RolloutPhase::Canary,
        Step::Promoting => RolloutPhase::Promoting,
        Step::Soaking => RolloutPhase::Soaking,
        Step::RolledBack => RolloutPhase::RolledBack,
    }
}

/// The gate of a metric; `None` for those that nothing measures.
#[must_use]
pub fn gate_of(metric: Metric) -> Option<RolloutGate> {
    Some(match metric {
        Metric::Error => RolloutGate::Error,
        Metric::Timeout => RolloutGate::Timeout,
        Metric::Fallback => RolloutGate::Fallback,
        Metric::Degraded => RolloutGate::Degraded,
        Metric::AboveMedian => RolloutGate::AboveMedian,
        Metric::AboveP95 => RolloutGate::AboveP95,
        Metric::OverLimit => RolloutGate::OverLimit,
        Metric::KnownItemMissed => RolloutGate::KnownItemMissed,
        Metric::Disagreement => RolloutGate::Disagreement,
        Metric::Digest => RolloutGate::Digest,
        Metric::Chain => RolloutGate::Chain,
        Metric::Downgrade => RolloutGate::Downgrade,
        Metric::Readiness => RolloutGate::Readiness,
        Metric::CacheMiss | Metric::Redaction => return None,
    })
}

fn gate_status(state: &State, one: &Judgement, now: Timestamp) -> Option<RolloutGateStatus> {
    let figures = state.evidence()?.figures(one.metric, now.as_second());
    let outlook = outlook(one.metric, &figures);
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Some(RolloutGateStatus {
        gate: gate_of(one.metric)?,
        verdict: spelled(one.verdict).to_owned(),
        canary_only: number(one.life.canary_only),
        stable_only: number(one.life.stable_only),
        pairs: number(one.life.pairs),
        step_pairs: number(one.step.pairs),
        missing_pairs: outlook.map(|outlook| number(outlook.missing_pairs)),
        eta_seconds: outlook.and_then(|outlook| outlook.eta_s).map(number),
    })
}

fn spelled(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Fail => "Fail",
        Verdict::Pass => "Pass",
        Verdict::Hold => "Hold",
        Verdict::NoData(NoData::Stale) => "Stale",
        Verdict::NoData(NoData::StableBad) => "StableBad",
        Verdict::NoData(NoData::Excluded) => "Excluded",
        Verdict::NoData(NoData::ControlDiffers) => "ControlDiffers",
        Verdict::NoData(NoData::TooFew) => "TooFew",
    }
}

fn decided(record: &Record) -> RolloutDecision {
    let at = Timestamp::from_second(record.at_s).unwrap_or(Timestamp::UNIX_EPOCH);
    RolloutDecision {
        at: at.to_string(),
        revision: record.revision.clone(),
        from: phase(record.from),
        to: phase(record.to),
        because: shortened(because(&record.cause, &record.evidence)),
    }
}

fn because(cause: &Cause, evidence: &[Judgement]) -> String {
    match cause {
        Cause::Respecified => "the spec asks for another revision".to_owned(),
        Cause::Found => "everything runs what the spec asks for".to_owned(),
        Cause::Passed => format!("every gate has passed: {} of them", evidence.len()),
        Cause::Updated => "everything runs the new revision".to_owned(),
        Cause::Failed(metric) => {
            let evidence = evidence.iter().map(measured).collect::<Vec<_>>().join(", ");
            format!("the gate {metric:?} failed: {evidence}")
        }
        Cause::Drills(what) => format!("a drill failed, and the step begins anew: {what}"),
        Cause::Late => "not every pod of the revision was ready in time".to_owned(),
        Cause::Refused { verb, by, why } => {
            let by = if by.is_empty() { "somebody" } else { by };
            format!("{by} asked to {}, and that is not carried out: {}", word(*verb), refused(*why))
        }
        Cause::Asked { verb, by, why } => {
            let by = if by.is_empty() { "somebody" } else { by };
            let why = if why.is_empty() { String::new() } else { format!(": {why}") };
            format!("{by} asked to {}{why}", word(*verb))
        }
    }
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Abort => "abort",
        Verb::Retry => "retry",
        Verb::PromoteNext => "promote",
        Verb::PromoteFull => "promote fully",
        Verb::Hold => "hold",
    }
}

/// The figures that decided about a gate. Logarithms of wealth are shown with their bound.
fn measured(one: &Judgement) -> String {
    let counts = &one.life;
    let bound = match one.fail_bound_milli {
        0 => String::new(),
        bound => format!(", log wealth {} of {}", in_units(one.fail_log_milli), in_units(bound)),
    };
    format!(
        "only the canary was bad in {} and only the stable revision in {} of {} pairs in {} s{bound}",
        counts.canary_only, counts.stable_only, counts.pairs, one.window_s
    )
}

fn in_units(milli: i64) -> String {
    let sign = if milli < 0 { "-" } else { "" };
    let milli = milli.unsigned_abs();
    format!("{sign}{}.{:02}", milli / 1_000, milli % 1_000 / 10)
}

/// What happens, and what somebody can do about it.
fn described(state: &State, decision: &Decision, verdicts: &Verdicts, wanted: &str) -> String {
    let stable = state.stable();
    match state.step() {
        Step::Unknown => {
            "the state of the rollout is missing, and not everything runs what the spec asks for: nothing is changed \
             until somebody asks to abort or to retry"
                .to_owned()
        }
        Step::Stable => format!("everything runs revision {stable}"),
        Step::RolledBack => {
            let why = state.records().last().map(|record| because(&record.cause, &record.evidence));
            format!(
                "revision {wanted} was rolled back, and everything runs {stable}: {}. The spec still asks for {wanted}: \
                 change it back, or ask to retry",
                why.unwrap_or_default()
            )
        }
        _ => format!(
            "{:?} of revision {}, the stable one is {stable}: {}",
            phase(state.step()),
            state.revision().unwrap_or_default(),
            waited(&decision.outcome, verdicts)
        ),
    }
}

fn waited(outcome: &Outcome, verdicts: &Verdicts) -> String {
    match outcome {
        Outcome::NotLeading => "another operator leads".to_owned(),
        Outcome::Waits(wait) => waits(*wait, verdicts),
        Outcome::Breached(breach) => format!("the step begins anew: {}", breached(*breach)),
        Outcome::Entered(..) => "the step has begun".to_owned(),
        Outcome::Held => "somebody holds the step".to_owned(),
        Outcome::Released => "the hold has ended".to_owned(),
        Outcome::Refused(refusal) => format!("the request is not carried out: {}", refused(*refusal)),
    }
}

fn waits(wait: Wait, verdicts: &Verdicts) -> String {
    match wait {
        Wait::Nothing => "nothing is waited for".to_owned(),
        Wait::OtherRevision | Wait::MissingState => "somebody has to decide".to_owned(),
        Wait::Held => "somebody holds the step: ask to promote or to retry".to_owned(),
        Wait::Soak(seconds) => format!("it lasts {seconds} s more"),
        Wait::Gate(metric) => {
            let verdict = verdicts.of(metric).map_or("none", spelled);
            format!("the gate {metric:?} has to pass, and says {verdict}")
        }
        Wait::Drills => "the drills have to pass".to_owned(),
        Wait::FailedDrills => {
            "drills have failed too often, see the decisions: ask to retry, to promote or to abort".to_owned()
        }
        Wait::Pods => "the pods take the revision".to_owned(),
    }
}

fn breached(breach: Breach) -> String {
    match breach {
        Breach::PodNotReady => "a pod of the revision is not ready".to_owned(),
        Breach::StableDown => "no pod of the stable revision answers".to_owned(),
        Breach::DrillFailed => "a drill failed".to_owned(),
        Breach::NotJudged(metric, why) => {
            format!("the gate {metric:?} cannot be judged ({})", spelled(Verdict::NoData(why)))
        }
    }
}

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::NoReason => "it needs a reason",
        Refusal::NoRollout => "there is no rollout",
        Refusal::HasFailed => "the revision has failed, ask to retry first",
        Refusal::PodsReturn => "pods of an earlier rollout still return to the stable revision",
        Refusal::IsPromoting => "the pods are being changed already",
        Refusal::NothingToRetry => "nothing has failed, and nothing is held",
        Refusal::MissingState => "the state is missing: ask to abort or to retry first",
    }
}

fn shortened(text: String) -> String {
    match text.chars().count() > TEXT_MAX {
        true => text.chars().take(TEXT_MAX - 1).chain(['…']).collect(),
        false => text,
    }
}
