//! Plans what stops or restarts the pod: the ConfigMap of the configuration and the StatefulSet.

use serde_json::Value;

use super::draft::{Plan, plan_child};
use crate::{
    children::CHILDREN,
    names::ChildKey,
    observed::Observed,
    update::{self, Pair, Update},
    validate::Valid,
};

/// The wanted objects of the table. While an update waits, the two objects that would restart the pod are as they were
/// applied, and left out if that is not known.
pub(super) fn wanted(
    observed: &Observed,
    valid: &Valid,
    is_held: bool,
    plan: &mut Plan,
) -> Vec<(ChildKey, Value)> {
    let mut wanted = CHILDREN.wanted(valid);
    let [config_key, set_key] =
        [&CHILDREN.config, &CHILDREN.stateful_set].map(|child| child.key(&valid.name));
    let of = |key: &ChildKey| wanted.iter().find(|(one, _)| one == key).map(|(_, object)| object.clone());
    let (Some(config), Some(set)) = (of(&config_key), of(&set_key)) else { return wanted };
    let pair = Pair { config, set };
    // A change that waits for a Secret is not decided before.
    plan.update = (!is_held).then(|| update::decide(observed, valid, &pair)).flatten();
    let kept = match &plan.update {
        Some(Update::Held(held)) => Some([
            match observed.children.contains_key(&config_key) {
                true => update::with_kept_config(observed, valid, held, &pair.config),
                // Without it, no pod would start.
                false => Some(pair.config.clone()),
            },
            update::with_kept_template(observed, valid, &pair.set),
        ]),
        Some(Update::Applied { .. }) | None => None,
    };
    let [config, set] = kept.unwrap_or_else(|| {
        let mut set = pair.set;
        if !is_held {
            update::annotate(observed, valid, &mut set);
        }
        [Some(pair.config), Some(set)]
    });
    for (key, object) in &mut wanted {
        match key {
            key if *key == config_key => *object = config.clone().unwrap_or_default(),
            key if *key == set_key => *object = set.clone().unwrap_or_default(),
            _ => {}
        }
    }
    wanted.retain(|(_, object)| !object.is_null());
    wanted
}

/// Plans that the pod of an engine that hibernates stops although a change of its template waits for a Secret.
pub(super) fn plan_stop(observed: &Observed, valid: &Valid, is_held: bool, plan: &mut Plan) {
    if !is_held || !valid.is_stopped {
        return;
    }
    let key = CHILDREN.stateful_set.key(&valid.name);
    let set = CHILDREN.stateful_set.wanted(valid);
    if let Some(kept) = set.and_then(|set| update::with_kept_template(observed, valid, &set)) {
        plan_child(observed, &key, &kept, plan);
    }
}
