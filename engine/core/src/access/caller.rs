//! Callers, and what they are allowed.

use super::Scope;

/// What a caller has proved who it is with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallerKind {
    /// Nothing: the configuration allows requests without credentials.
    Anonymous,
    /// The process itself, or whoever started it: standard input and output, and the admin port.
    Local,
    /// A key of the configuration.
    Key,
    /// A key that the engine itself has made.
    StoredKey,
    /// A token of an issuer.
    Token,
    /// A certificate.
    Certificate,
}

/// The projects that a caller is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Projects {
    /// Every project, and what belongs to the whole engine.
    All,
    /// Only these, by exact name.
    Only(Vec<String>),
}

impl CallerKind {
    /// What tells callers of one name and different kinds apart.
    fn prefix(self) -> &'static str {
        match self {
            CallerKind::Anonymous => "anonymous",
            CallerKind::Local => "local",
            CallerKind::Key => "key",
            CallerKind::StoredKey => "stored_key",
            CallerKind::Token => "token",
            CallerKind::Certificate => "certificate",
        }
    }
}

/// Who sends a request. Made from a key, a token or a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name, for records of decisions and for limits.
    pub name: String,
    /// What it has proved who it is with.
    pub kind: CallerKind,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Where it may do that.
    pub projects: Projects,
}

/// What a part of a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// No project: for example the head of the log.
    Nothing,
    /// The project with this name.
    Project(&'a str),
    /// A project that the request could have named and did not.
    Unnamed,
    /// Every project at once.
    Everything,
}

/// Whether a caller may do what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It may.
    Allowed,
    /// It may not.
    Denied(Denial),
}

/// Why a caller may not do what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It lacks the scope.
    MissingScope,
    /// It is not bound to the project.
    OtherProject,
    /// It is bound to several projects, and the request names none.
    ProjectNotNamed,
    /// The request is about the whole engine, and the caller is bound to projects.
    NotEveryProject,
    /// The token of the caller names no project.
    NoProject,
}

impl Denial {
    /// Label in metrics and records.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Denial::MissingScope => "missing_scope",
            Denial::OtherProject => "other_project",
            Denial::ProjectNotNamed => "project_not_named",
            Denial::NotEveryProject => "not_every_project",
            Denial::NoProject => "no_project",
        }
    }
}

impl Caller {
    /// Whoever sends a request without credentials where that is allowed.
    #[must_use]
    pub fn anonymous() -> Caller {
        Caller::with_everything("anonymous", CallerKind::Anonymous)
    }

    /// The process itself, or whoever started it.
    #[must_use]
    pub fn local() -> Caller {
        Caller::with_everything("local", CallerKind::Local)
    }

    fn with_everything(name: &str, kind: CallerKind) -> Caller {
        Caller { name: name.to_owned(), kind, scopes: Scope::ALL.to_vec(), projects: Projects::All }
    }

    /// What limits and idempotency keys of this caller are kept by: no other caller has it, also not one of the same
    /// name that has proved who it is with something else.
    #[must_use]
    pub fn account(&self) -> String {
        format!("{}:{}", self.kind.prefix(), self.name)
    }

    /// The projects that the caller is bound to; none if it is bound to none.
    #[must_use]
    pub fn bound_to(&self) -> Option<&[String]> {
        match &self.projects {
            Projects::All => None,
            Projects::Only(projects) => Some(projects),
        }
    }

    /// The project that a request means that names none: the only one that the caller is bound to.
    #[must_use]
    pub fn only_project(&self) -> Option<&str> {
        match self.bound_to() {
            Some([only]) => Some(only),
            _ => None,
        }
    }
}

/// Decides whether a caller may do something. A scope includes no other: a caller that may write may not read, unless
/// it has both.
#[must_use]
pub fn decide(caller: &Caller, scope: Scope, asked: Asked<'_>) -> Decision {
    if !caller.scopes.contains(&scope) {
        return Decision::Denied(Denial::MissingScope);
    }
    match (caller.bound_to(), asked) {
        (Some([]), _) => Decision::Denied(Denial::NoProject),
        (None, _) | (Some(_), Asked::Nothing) => Decision::Allowed,
        (Some(bound), Asked::Project(project)) if bound.iter().any(|bound| bound == project) => {
            Decision::Allowed
        }
        (Some(_), Asked::Project(_)) => Decision::Denied(Denial::OtherProject),
        (Some(_), Asked::Unnamed) if caller.only_project().is_some() => Decision::Allowed,
        (Some(_), Asked::Unnamed) => Decision::Denied(Denial::ProjectNotNamed),
        (Some(_), Asked::Everything) => Decision::Denied(Denial::NotEveryProject),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scopes() -> impl Strategy<Value = Vec<Scope>> {
        proptest::sample::subsequence(Scope::ALL.to_vec(), 0..=3)
    }

    fn callers() -> impl Strategy<Value = Caller> {
        let names = proptest::collection::vec("[abc]", 0..4);
        let projects = prop_oneof![Just(Projects::All), names.prop_map(Projects::Only)];
        (scopes(), projects).prop_map(|(scopes, projects)| Caller {
            name: "a".into(),
            kind: CallerKind::Key,
            scopes,
            projects,
        })
    }

    proptest! {
        #[test]
        fn nothing_is_allowed_without_the_scope_and_the_project(
            caller in callers(), scope in proptest::sample::select(Scope::ALL), name in "[abcd*]",
        ) {
            for asked in [Asked::Nothing, Asked::Project(&name), Asked::Unnamed, Asked::Everything] {
                let allowed = decide(&caller, scope, asked) == Decision::Allowed;
                let has_scope = caller.scopes.contains(&scope);
                let reaches = match (&caller.projects, asked) {
                    (Projects::All, _) => true,
                    (Projects::Only(bound), Asked::Nothing) => !bound.is_empty(),
                    (Projects::Only(bound), Asked::Project(name)) => bound.iter().any(|bound| bound == name),
                    (Projects::Only(bound), Asked::Unnamed) => bound.len() == 1,
                    (Projects::Only(_), Asked::Everything) => false,
                };
                prop_assert_eq!(allowed, has_scope && reaches);
            }
        }

        #[test]
        fn fewer_scopes_or_projects_never_allow_more(
            caller in callers(), fewer in scopes(), scope in proptest::sample::select(Scope::ALL), name in "[abcd]",
        ) {
            let scopes = caller.scopes.iter().copied().filter(|scope| fewer.contains(scope)).collect();
            let projects = match &caller.projects {
                Projects::All => Projects::Only(vec!["a".into()]),
                Projects::Only(bound) => Projects::Only(bound.iter().take(1).cloned().collect()),
            };
            let narrower = Caller { scopes, projects, ..caller.clone() };
            for asked in [Asked::Nothing, Asked::Project(&name), Asked::Everything] {
                if decide(&narrower, scope, asked) == Decision::Allowed {
                    prop_assert_eq!(decide(&caller, scope, asked), Decision::Allowed);
                }
            }
        }
    }

    #[test]
    fn names_are_compared_whole_and_a_star_is_no_pattern() {
        let bound = |projects: &[&str]| Caller {
            projects: Projects::Only(projects.iter().map(|name| (*name).to_owned()).collect()),
            ..Caller::anonymous()
        };
        for (projects, project) in
            [(&["notes"][..], "note"), (&["notes"], "notes2"), (&["notes"], "Notes"), (&["no*"], "notes")]
        {
            let denied = Decision::Denied(Denial::OtherProject);
            assert_eq!(decide(&bound(projects), Scope::Read, Asked::Project(project)), denied, "{project}");
        }
        let several = bound(&["a", "b"]);
        let denied = Decision::Denied(Denial::ProjectNotNamed);
        assert_eq!(decide(&several, Scope::Write, Asked::Unnamed), denied);
        assert_eq!(bound(&["a"]).only_project(), Some("a"));
    }
}
