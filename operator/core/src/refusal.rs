//! Extracts the cause and the remedy from Kubernetes' message about a refused object.

/// Names the object that caused the refusal in the message `said`, and the remedy. `limit_ranges` are the names of the
/// LimitRanges in the namespace. Returns `None` for an unknown kind of message.
#[must_use]
pub fn explained(said: &str, limit_ranges: &[String]) -> Option<String> {
    if let Some(quota) = word_after(said, "exceeded quota: ") {
        return Some(format!(
            "ResourceQuota {quota} has no capacity left. Raise it, remove what uses it, or request less in spec.writer"
        ));
    }
    if let Some(quota) = word_after(said, "failed quota: ") {
        return Some(format!(
            "ResourceQuota {quota} requires requests and limits for all that it counts. Set them in spec.writer.resources; \
             an injector must set those of its containers"
        ));
    }
    if is_about_limits(said) {
        return Some(format!(
            "{} of the namespace does not allow that. Change it, or spec.writer.resources and spec.writer.storage.size",
            limits_named(limit_ranges)
        ));
    }
    if let Some(level) = quoted_after(said, "violates PodSecurity ") {
        return Some(format!(
            "Pod Security of the namespace ({level}) does not allow the pod. The engine's own is within `restricted`: check \
             what was injected into it"
        ));
    }
    if let Some(class) = word_after(said, "no PriorityClass with name ") {
        return Some(format!(
            "PriorityClass {class} does not exist. Make it, or correct spec.writer.priorityClassName"
        ));
    }
    if let Some(webhook) = quoted_after(said, "admission webhook ") {
        return Some(format!(
            "the admission webhook {webhook} does not allow that. Ask the team that runs it"
        ));
    }
    // The message about a failed MutatingAdmissionPolicy contains only the word "policy".
    let policies =
        [("ValidatingAdmissionPolicy ", "ValidatingAdmissionPolicy"), ("policy ", "MutatingAdmissionPolicy")];
    for (words, kind) in policies {
        if let Some(policy) = quoted_after(said, words).filter(|_| said.contains(" with binding ")) {
            return Some(format!("{kind} {policy} does not allow that. Ask its author"));
        }
    }
    None
}

/// Whether a LimitRange caused the refusal. The message contains the limit, but not the name of the LimitRange.
#[must_use]
pub fn is_about_limits(said: &str) -> bool {
    [" usage per ", " max limit to request ratio per "].iter().any(|words| said.contains(words))
}

fn limits_named(limit_ranges: &[String]) -> String {
    match limit_ranges {
        [] => "a LimitRange".to_owned(),
        [one] => format!("LimitRange {one}"),
        several => format!("one of the LimitRanges {}", several.join(", ")),
    }
}

/// The word that follows `words` in `said`.
fn word_after<'a>(said: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = said.split_once(words)?;
    let end = rest.find([',', ':', ' ', ';']).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|word| !word.is_empty())
}

/// The text in quotes that follows `words` in `said`.
fn quoted_after<'a>(said: &'a str, words: &str) -> Option<&'a str> {
    let (_, rest) = said.split_once(words)?;
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    rest[1..].split_once(quote).map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, limit_ranges: &[&str], expected: Option<&str>) {
        let names: Vec<String> = limit_ranges.iter().map(|name| (*name).to_owned()).collect();
        let found = explained(said, &names);
        match expected {
            Some(part) => assert!(found.as_ref().is_some_and(|text| text.contains(part)), "{found:?}"),
            None => assert_eq!(found, None),
        }
    }

    /// The samples are messages of real API servers.
    #[test]
    fn what_refuses_is_called_by_its_name() {
        let create = "create Pod notes-0 in StatefulSet notes failed error: pods \"notes-0\" is forbidden: ";
        let quota = "exceeded quota: team-compute, requested: requests.cpu=50m, used: requests.cpu=2, limited: requests.cpu=2";
        check(&format!("{create}{quota}"), &[], Some("ResourceQuota team-compute has no capacity"));
        let unsaid = "failed quota: team-compute: must specify limits.cpu for: daprd,engine";
        check(&format!("{create}{unsaid}"), &[], Some("ResourceQuota team-compute requires"));
        let range = "[maximum memory usage per Container is 128Mi, but limit is 512Mi, minimum cpu usage per Pod is 1, but request is 50m]";
        check(&format!("{create}{range}"), &["small-pods"], Some("LimitRange small-pods of"));
        check(&format!("{create}{range}"), &["a", "b"], Some("one of the LimitRanges a, b of"));
        check(&format!("{create}{range}"), &[], Some("a LimitRange of"));
        let ratio = "memory max limit to request ratio per Container is 2, but provided ratio is 8.000000";
        check(&format!("{create}{ratio}"), &["ratio"], Some("LimitRange ratio of"));
        let security = "violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false (container \"x\" must …)";
        check(&format!("{create}{security}"), &[], Some("(restricted:latest)"));
        check(
            &format!("{create}no PriorityClass with name gold was found"),
            &[],
            Some("PriorityClass gold does"),
        );
        let webhook = "admission webhook \"check.example.org\" denied the request: no";
        check(webhook, &[], Some("webhook check.example.org"));
        let policy =
            "ValidatingAdmissionPolicy 'no-latest' with binding 'b' denied request: failed expression: false";
        check(&format!("{create}{policy}"), &[], Some("ValidatingAdmissionPolicy no-latest"));
        let mutating =
            "policy 'inject' with binding 'all' denied request: error applying patch: may not mutate";
        check(&format!("{create}{mutating}"), &[], Some("MutatingAdmissionPolicy inject does"));
        check("a policy 'x' of somebody", &[], None);
        check("something else entirely", &["small-pods"], None);
        check("exceeded quota: ", &[], None);
        check("admission webhook ", &[], None);
    }
}
