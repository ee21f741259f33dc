//! Retention rules: which memories they remove, the hash of a plan, and the guard against removing too many.
//!
//! Age counts from when the engine accepted a memory, which clients cannot influence. The same rules, moment and state
//! of the log always give the same plan.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Hash;
use crate::event::{Draft, LOG_PROJECT, RETENTION_APPLIED};
use crate::limits::{NAME_CHARS_MAX, RETENTION_AGE_DAYS_MAX, RETENTION_ENTRIES_MAX, RETENTION_OVERRIDES_MAX};
use crate::request::{Refused, count, name};
use crate::row::microseconds;
use crate::wire::{ProjectPlan, ProjectRules, RetentionRules, RuleCounts};

const DAY_MICROSECONDS: i64 = 86_400_000_000;

/// Validates rules and converts them to the canonical form that is hashed.
pub fn check(mut rules: RetentionRules) -> Result<RetentionRules, Refused> {
    count("rules.projects", rules.projects.len(), 0, RETENTION_OVERRIDES_MAX)?;
    rules.projects.sort_by(|one, other| one.project.cmp(&other.project));
    if rules.projects.windows(2).any(|pair| pair[0].project == pair[1].project) {
        return Err(Refused::Twice("rules.projects"));
    }
    let own = |project: &ProjectRules| (project.max_age_days, project.max_entries);
    let all = rules.projects.iter().map(own).chain([(rules.max_age_days, rules.max_entries_per_project)]);
    let mut any = false;
    for (days, entries) in all {
        any |= days.is_some() || entries.is_some();
        within("max_age_days", days.map(u64::from), RETENTION_AGE_DAYS_MAX.into())?;
        within("max_entries_per_project", entries, RETENTION_ENTRIES_MAX)?;
    }
    for project in &rules.projects {
        name("rules.projects.project", &project.project, NAME_CHARS_MAX)?;
    }
    if any { Ok(rules) } else { Err(Refused::Missing("max_age_days or max_entries_per_project")) }
}

fn within(field: &'static str, value: Option<u64>, max: u64) -> Result<(), Refused> {
    match value {
        Some(value) if !(1..=max).contains(&value) => Err(Refused::Range { field, min: 1, max }),
        _ => Ok(()),
    }
}

/// Rules that apply to one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memories accepted before this moment (microseconds) are too old; absent if there is no age limit.
    pub cutoff: Option<i64>,
    /// Number of newest memories to keep; absent if there is no such limit.
    pub entries: Option<u64>,
}

/// The limits of a project at the moment `as_of`. If the project has its own rules, they replace the general rules
/// completely.
pub fn limits(rules: &RetentionRules, project: &str, as_of: Timestamp) -> Limits {
    let own = rules.projects.iter().find(|own| own.project == project);
    let (days, entries) = match own {
        Some(own) => (own.max_age_days, own.max_entries),
        None => (rules.max_age_days, rules.max_entries_per_project),
    };
    // A memory of exactly the maximum age is kept: only memories that were accepted before the cutoff are too old.
    let cutoff = days.map(|days| microseconds(as_of).saturating_sub(i64::from(days) * DAY_MICROSECONDS));
    Limits { cutoff, entries }
}

/// A memory that a rule may remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Sequence number.
    pub seq: u64,
    /// Id.
    pub id: String,
    /// When it was accepted, in microseconds.
    pub known: i64,
    /// Size of its content, in bytes.
    pub bytes: u64,
}

/// A project, and candidates for removal: all memories that a rule removes, and possibly others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectState {
    /// Project name.
    pub project: String,
    /// Number of memories in the project.
    pub total: u64,
    /// Sequence number of the oldest of the newest memories to keep; absent if all are kept.
    pub first_kept: Option<u64>,
    /// Candidates, in the order of the log.
    pub candidates: Vec<Candidate>,
}

/// Rules that remove a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reasons {
    /// It is too old.
    pub age: bool,
    /// The project has as many newer memories as it keeps.
    pub entries: bool,
}

/// Memories to remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Memories with the rules that remove them, in the order of the log.
    pub removed: Vec<(Candidate, Reasons)>,
    /// Plans of the projects that lose memories.
    pub projects: Vec<ProjectPlan>,
    /// Number of memories by rule.
    pub counts: RuleCounts,
    /// Total size of their content, in bytes.
    pub bytes: u64,
}

/// Decides which memories to remove: those that are too old, and those that exceed the number to keep.
pub fn decide(rules: &RetentionRules, as_of: Timestamp, states: Vec<ProjectState>) -> Decision {
    let mut decision = Decision::default();
    for state in states {
        let limits = limits(rules, &state.project, as_of);
        let mut plan = ProjectPlan { project: state.project, total: state.total, ..ProjectPlan::default() };
        for candidate in state.candidates {
            let reasons = Reasons {
                age: limits.cutoff.is_some_and(|cutoff| candidate.known < cutoff),
                entries: limits.entries.is_some()
                    && state.first_kept.is_some_and(|first| candidate.seq < first),
            };
            if !reasons.age && !reasons.entries {
                continue;
            }
            plan.counts.add(reasons.age, reasons.entries);
            decision.counts.add(reasons.age, reasons.entries);
            plan.memories += 1;
            plan.bytes += candidate.bytes;
            decision.bytes += candidate.bytes;
            decision.removed.push((candidate, reasons));
        }
        if plan.memories > 0 {
            decision.projects.push(plan);
        }
    }
    decision.removed.sort_by_key(|(candidate, _)| candidate.seq);
    decision.projects.sort_by(|one, other| one.project.cmp(&other.project));
    decision
}

/// Hash of a plan: of the rules, the moment, the state of the log, and every removed memory with the rules that remove
/// it.
pub fn plan_hash(rules: &RetentionRules, as_of: Timestamp, applied_seq: u64, decision: &Decision) -> Hash {
    let rules = serde_json::to_string(rules).expect("names and numbers are always JSON");
    let as_of = microseconds(as_of);
    let mut text = format!("memory-engine/retention/1\n{rules}\n{as_of}\n{applied_seq}\n");
    for (candidate, reasons) in &decision.removed {
        let (age, entries) =
            (if reasons.age { "age" } else { "-" }, if reasons.entries { "entries" } else { "-" });
        text += &format!("{} {} {age} {entries}\n", candidate.seq, candidate.id);
    }
    Hash::of(text.as_bytes())
}

/// How much a run may remove without confirmation of the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Maximum share of the memories of any one project, in percent.
    pub percent: u8,
    /// Maximum number of memories of all projects together.
    pub memories: u64,
}

/// Why the plan exceeds the guard, one reason per text; empty if it does not.
pub fn spikes(guard: Guard, decision: &Decision) -> Vec<String> {
    let mut spikes = Vec::new();
    let removed = decision.removed.len() as u64;
    if removed > guard.memories {
        spikes.push(format!("{removed} memories would be removed, more than {}", guard.memories));
    }
    for plan in &decision.projects {
        if u128::from(plan.memories) * 100 > u128::from(plan.total) * u128::from(guard.percent) {
            let ProjectPlan { project, memories, total, .. } = plan;
            spikes.push(format!(
                "project {project:?} would lose {memories} of {total}, more than {} %",
                guard.percent
            ));
        }
    }
    spikes
}

/// Payload of an event of type [`RETENTION_APPLIED`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPayload {
    /// Hash of the plan that was carried out.
    pub plan_hash: Hash,
    /// Rules of the plan.
    pub rules: RetentionRules,
    /// Moment of the plan.
    pub as_of: Timestamp,
    /// Sequence number of the last event that the plan took into account.
    pub applied_seq: u64,
    /// Number of removed memories.
    pub memories: u64,
    /// Total size of their content, in bytes.
    pub bytes: u64,
    /// Number of removed memories by rule.
    pub by_rule: RuleCounts,
    /// Number of removed memories by project.
    pub by_project: BTreeMap<String, u64>,
    /// Why the guard would have refused the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spikes: Vec<String>,
    /// The number of memories that was confirmed to override the guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spike_guard_overridden: Option<u64>,
    /// Free-text reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The event that records a retention run by `actor`.
pub fn draft(payload: &RetentionPayload, actor: &str) -> Draft {
    Draft {
        kind: RETENTION_APPLIED.into(),
        actor: actor.to_owned(),
        project: LOG_PROJECT.into(),
        session: None,
        causes: Vec::new(),
        payload: serde_json::value::to_raw_value(payload).expect("names, numbers and times are always JSON"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + days * 86_400).unwrap()
    }

    /// All memories in the order of their sequence numbers: project, and the day of acceptance.
    type All = Vec<(u8, i64)>;

    /// A simple implementation of the rules: the sequence numbers of the memories that they remove.
    fn naive(rules: &RetentionRules, as_of: Timestamp, all: &All) -> Vec<u64> {
        let goes = |place: usize| {
            let (project, day) = all[place];
            let own = rules.projects.iter().find(|own| own.project == project.to_string());
            let days = own.map_or(rules.max_age_days, |own| own.max_age_days);
            let entries = own.map_or(rules.max_entries_per_project, |own| own.max_entries);
            let newer = all[place + 1..].iter().filter(|(other, _)| *other == project).count() as u64;
            let age = as_of.duration_since(at(day)).as_secs();
            days.is_some_and(|days| age > i64::from(days) * 86_400)
                || entries.is_some_and(|entries| newer >= entries)
        };
        (0..all.len()).filter(|place| goes(*place)).map(|place| place as u64 + 1).collect()
    }

    /// The input of [`decide`] that a database would provide.
    fn states(rules: &RetentionRules, as_of: Timestamp, all: &All) -> Vec<ProjectState> {
        let mut by_project: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
        for (seq, (project, day)) in (1..).zip(all) {
            let candidate =
                Candidate { seq, id: format!("{seq:032x}"), known: microseconds(at(*day)), bytes: seq };
            by_project.entry(project.to_string()).or_default().push(candidate);
        }
        let state = |(project, candidates): (String, Vec<Candidate>)| {
            let entries = limits(rules, &project, as_of).entries;
            let first_kept = entries.and_then(|entries| {
                let place = candidates.len().checked_sub(usize::try_from(entries).unwrap())?;
                candidates.get(place).map(|candidate| candidate.seq)
            });
            ProjectState { project, total: candidates.len() as u64, first_kept, candidates }
        };
        by_project.into_iter().map(state).collect()
    }

    fn rules() -> impl Strategy<Value = RetentionRules> {
        let own = (0..3_u8, prop::option::of(1..20_u32), prop::option::of(1..6_u64));
        let own = own.prop_map(|(project, max_age_days, max_entries)| ProjectRules {
            project: project.to_string(),
            max_age_days,
            max_entries,
        });
        (prop::option::of(1..20_u32), prop::option::of(1..6_u64), prop::collection::vec(own, 0..2)).prop_map(
            |(max_age_days, max_entries_per_project, projects)| RetentionRules {
                max_age_days,
                max_entries_per_project,
                projects,
                ..RetentionRules::default()
            },
        )
    }

    proptest! {
        #[test]
        fn what_goes_is_what_the_rules_say(
            all in prop::collection::vec((0..3_u8, 0..30_i64), 0..40),
            rules in rules(),
            as_of in 0..40_i64,
        ) {
            let decision = decide(&rules, at(as_of), states(&rules, at(as_of), &all));
            let gone: Vec<u64> = decision.removed.iter().map(|(candidate, _)| candidate.seq).collect();
            prop_assert_eq!(&gone, &naive(&rules, at(as_of), &all));
            prop_assert_eq!(decision.projects.iter().map(|plan| plan.memories).sum::<u64>(), gone.len() as u64);
            let RuleCounts { age, entries, both } = decision.counts;
            prop_assert_eq!(age + entries + both, gone.len() as u64);
            prop_assert_eq!(decision.bytes, gone.iter().sum::<u64>());
            let hash = plan_hash(&rules, at(as_of), 40, &decision);
            prop_assert_eq!(hash, plan_hash(&rules, at(as_of), 40, &decide(&rules, at(as_of), states(&rules, at(as_of), &all))));
            prop_assert_ne!(hash, plan_hash(&rules, at(as_of), 41, &decision));
            prop_assert_ne!(hash, plan_hash(&rules, at(as_of + 1), 40, &decision));
        }
    }

    #[test]
    fn exactly_as_old_as_it_may_be_is_not_too_old() {
        let rules = RetentionRules { max_age_days: Some(10), ..RetentionRules::default() };
        let cutoff = limits(&rules, "p", at(10)).cutoff.unwrap();
        assert_eq!(cutoff, microseconds(at(0)));
        let state = |known| ProjectState {
            project: "p".into(),
            total: 1,
            first_kept: None,
            candidates: vec![Candidate { seq: 1, id: "x".into(), known, bytes: 0 }],
        };
        assert_eq!(decide(&rules, at(10), vec![state(cutoff)]).removed.len(), 0);
        assert_eq!(decide(&rules, at(10), vec![state(cutoff - 1)]).removed.len(), 1);
    }

    #[test]
    fn rules_have_one_form_and_bounds() {
        let own = |project: &str| ProjectRules {
            project: project.into(),
            max_age_days: Some(1),
            max_entries: None,
        };
        let with = |projects: Vec<ProjectRules>| RetentionRules { projects, ..RetentionRules::default() };
        assert_eq!(check(with(vec![own("b"), own("a")])), check(with(vec![own("a"), own("b")])));
        assert!(check(with(vec![own("a"), own("a")])).is_err());
        assert!(check(with(vec![own(" ")])).is_err());
        assert!(check(RetentionRules::default()).is_err(), "rules without a limit");
        for (days, entries) in [(Some(0), None), (Some(RETENTION_AGE_DAYS_MAX + 1), None), (None, Some(0))] {
            let rules = RetentionRules {
                max_age_days: days,
                max_entries_per_project: entries,
                ..RetentionRules::default()
            };
            assert!(check(rules).is_err(), "{days:?} {entries:?}");
        }
    }

    #[test]
    fn more_than_usual_is_said() {
        let all: All = (0..10).map(|n| (0, n)).collect();
        let rules = RetentionRules { max_entries_per_project: Some(8), ..RetentionRules::default() };
        let decision = decide(&rules, at(10), states(&rules, at(10), &all));
        let guard = |percent, memories| spikes(Guard { percent, memories }, &decision).len();
        assert_eq!((guard(20, 2), guard(19, 2), guard(20, 1), guard(1, 1)), (0, 1, 1, 2));
    }
}
