//! The one gate of all operations, whatever protocol they are called with: may this caller do this, and where?
//!
//! An operation begins with [`Operations::admit_read`], [`Operations::admit_write`], [`Operations::permit`] or
//! [`Operations::permit_engine`], which check the scope and return a [`Permit`]. What resolves names and ids takes that
//! permit, so no operation can do without. Projects are checked in [`Operations::stored`], which fills in the only
//! project of a caller, and ids in [`Operations::visible`]. [`Operations::commit`] checks what is written once more.
//!
//! For a caller that is bound to projects, what belongs to others does not exist. An id of another project takes the
//! same steps as an id that nobody has: one query, one record, one error.

use std::collections::BTreeSet;

use engine_core::access::{Asked, Caller, Decision, Projects, Scope, decide};
use engine_core::event::{Draft, LOG_PROJECT};
use engine_core::identity::{CallerNames, HasIdentifiers, NamesProjects};
use engine_core::request;
use engine_core::wire::ErrorCode;
use engine_core::words::normal_form;
use engine_log::{Key, Receipt};
use engine_projection::project_of;

use super::handle::Operations;
use super::memories::unknown;
use crate::policy_gate::AllowedEvents;
use crate::refusal::Refusal;

/// Label of an id that no memory has, or none that the caller may see.
const OTHER_OR_NONE: &str = "other_project";

/// Says that the scope of an operation was checked.
#[derive(Debug)]
pub(super) struct Permit {
    scope: Scope,
}

/// Which of the ids in a request exist for the caller.
#[derive(Debug)]
pub(super) enum Visible {
    /// Whatever exists: the caller is bound to no project.
    All,
    /// These only.
    Only(BTreeSet<String>),
}

impl Visible {
    pub(super) fn has(&self, id: &str) -> bool {
        match self {
            Visible::All => true,
            Visible::Only(ids) => ids.contains(id),
        }
    }
}

impl Operations {
    fn caller(&self) -> &Caller {
        self.session.caller()
    }

    /// Whether the caller is bound to projects.
    pub(super) fn is_bound(&self) -> bool {
        self.caller().bound_to().is_some()
    }

    /// Checks the scope of an operation.
    ///
    /// # Errors
    /// The caller lacks it.
    pub(super) fn permit(&self, scope: Scope) -> Result<Permit, Refusal> {
        match decide(self.caller(), scope, Asked::Nothing) {
            Decision::Allowed => Ok(Permit { scope }),
            Decision::Denied(denial) => Err(self.session.denied(scope, "", denial)),
        }
    }

    /// Checks the scope of an operation about the log as a whole.
    ///
    /// # Errors
    /// The caller lacks it, or sends too many requests.
    pub(super) fn permit_log(&self, scope: Scope) -> Result<Permit, Refusal> {
        let permit = self.permit(scope)?;
        self.session.settle(scope, "")?;
        Ok(permit)
    }

    /// Checks an operation that is about every project.
    ///
    /// # Errors
    /// The caller lacks the scope, or is bound to projects.
    pub(super) fn permit_engine(&self, scope: Scope) -> Result<Permit, Refusal> {
        if let Decision::Denied(denial) = decide(self.caller(), scope, Asked::Everything) {
            return Err(self.session.denied(scope, "", denial));
        }
        self.permit_log(scope)
    }

    /// Refuses a read that the scope or the mode does not allow. Every operation that returns what is remembered begins
    /// with this.
    pub(super) fn admit_read(&self) -> Result<Permit, Refusal> {
        let permit = self.permit(Scope::Read)?;
        self.engine.modes.admit_read()?;
        Ok(permit)
    }

    /// Refuses a write that the scope or the mode does not allow. Every operation that writes begins with this, before
    /// it reads anything; `Engine::commit` checks the mode again.
    pub(super) fn admit_write(&self) -> Result<Permit, Refusal> {
        let permit = self.permit(Scope::Write)?;
        self.engine.modes.admit_write()?;
        Ok(permit)
    }

    /// Names the project that a request means that names none: the only one that the caller is bound to.
    pub(super) fn fill_projects(&self, request: &mut impl NamesProjects) {
        let Some(only) = self.caller().only_project() else { return };
        request.projects(&mut |project| {
            project.get_or_insert_with(|| only.to_owned());
        });
    }

    /// Converts the identifiers of a request to their stored form, and checks the projects that it names. The result is
    /// used to convert the response back.
    ///
    /// # Errors
    /// The caller is not bound to a project, the policy blocks an identifier, or the key of the pseudonyms is missing.
    pub(super) async fn stored<T: HasIdentifiers + NamesProjects>(
        &self,
        permit: &Permit,
        request: &mut T,
    ) -> Result<CallerNames, Refusal> {
        self.fill_projects(request);
        check_projects(request)?;
        let caller_names = self.stored_part(request).await?;
        let bound = self.bound_caller().await?;
        let (mut first, mut denied) = (None, None);
        request.projects(&mut |project| {
            let name = project.as_deref().map(normal_form);
            let asked = name.as_deref().map_or(Asked::Unnamed, Asked::Project);
            if let Some(bound) = bound
                && let Decision::Denied(denial) = decide(bound, permit.scope, asked)
            {
                denied.get_or_insert((name.as_deref().unwrap_or_default().to_owned(), denial));
            }
            first.get_or_insert_with(|| name.map(std::borrow::Cow::into_owned).unwrap_or_default());
        });
        if let Some((project, denial)) = denied {
            return Err(self.session.denied(permit.scope, &project, denial));
        }
        // A request with ids is settled when these are looked up.
        if let Some(project) = first {
            self.session.settle(permit.scope, &project)?;
        }
        Ok(caller_names)
    }

    /// The caller with the stored names of its projects, if it is bound to some. A request may use either form.
    async fn bound_caller(&self) -> Result<Option<&Caller>, Refusal> {
        let Some(bound) = self.caller().bound_to() else { return Ok(None) };
        let converted = async || {
            let mut names = Names(bound.to_vec());
            self.stored_part(&mut names).await?;
            let mut projects = bound.to_vec();
            projects.extend(names.0.into_iter().filter(|name| !bound.contains(name)));
            Ok(Some(Caller { projects: Projects::Only(projects), ..self.caller().clone() }))
        };
        self.session.own().get_or_try_init(converted).await.map(Option::as_ref)
    }

    /// The stored names of the projects that the caller is bound to; none if it is bound to none.
    pub(super) async fn own_projects(&self) -> Result<Option<BTreeSet<String>>, Refusal> {
        let bound = self.bound_caller().await?;
        Ok(bound.and_then(|caller| caller.bound_to().map(|projects| projects.iter().cloned().collect())))
    }

    /// Which of these ids belong to memories that exist for the caller. If one does not, that is recorded.
    ///
    /// # Errors
    /// The caller sends too many requests, or the projection cannot be read.
    pub(super) async fn visible(
        &self,
        permit: &Permit,
        ids: Vec<String>,
        min_seq: Option<u64>,
    ) -> Result<Visible, Refusal> {
        let Some(own) = self.own_projects().await? else {
            self.session.settle(permit.scope, "")?;
            return Ok(Visible::All);
        };
        let count = ids.iter().collect::<BTreeSet<_>>().len();
        let read = move |connection: &_| {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                let project = project_of(connection, &id)?;
                found.push((id, project));
            }
            Ok(found)
        };
        let found: Vec<(String, Option<String>)> = self.query("target", min_seq, read).await?;
        let is_own = |project: &Option<String>| project.as_ref().is_some_and(|project| own.contains(project));
        let visible: BTreeSet<String> =
            found.into_iter().filter(|(_, project)| is_own(project)).map(|(id, _)| id).collect();
        self.session.settle(permit.scope, "")?;
        if visible.len() < count {
            self.session.record_denied(permit.scope, "", OTHER_OR_NONE);
        }
        Ok(Visible::Only(visible))
    }

    /// Checks that a memory exists for the caller.
    ///
    /// # Errors
    /// It does not. For a caller that is bound to no project, this is found out later.
    pub(super) async fn check_visible(
        &self,
        permit: &Permit,
        id: &str,
        min_seq: Option<u64>,
    ) -> Result<(), Refusal> {
        if self.visible(permit, vec![id.to_owned()], min_seq).await?.has(id) {
            Ok(())
        } else {
            Err(unknown())
        }
    }

    /// Records that something of another project, or of none, was asked for.
    pub(super) fn record_hidden(&self, permit: &Permit) {
        self.session.record_denied(permit.scope, "", OTHER_OR_NONE);
    }

    /// Makes events durable: either all of them or none.
    ///
    /// # Errors
    /// As `Engine::commit`, or an event belongs to a project that the caller is not bound to.
    pub(super) async fn commit(&self, drafts: Vec<Draft>, key: Option<Key>) -> Result<Receipt, Refusal> {
        let passed = self.engine.apply_policy(drafts).await?;
        self.commit_passed(passed, key).await
    }

    /// Makes events durable that the policy has allowed.
    ///
    /// # Errors
    /// As [`Operations::commit`].
    pub(super) async fn commit_passed(
        &self,
        passed: AllowedEvents,
        key: Option<Key>,
    ) -> Result<Receipt, Refusal> {
        if let Some(own) = self.own_projects().await?
            && passed
                .drafts()
                .iter()
                .any(|draft| draft.project != LOG_PROJECT && !own.contains(&draft.project))
        {
            tracing::error!("an operation would have written to a project of another caller; it was refused");
            return Err(Refusal::new(ErrorCode::ProjectForbidden, "the caller is not bound to the project"));
        }
        Ok(self.engine.commit_passed(passed, key).await?)
    }
}

/// Names of projects.
struct Names(Vec<String>);

impl HasIdentifiers for Names {
    fn identifiers(&mut self, visit: &mut engine_core::identity::Visit<'_>) {
        self.0.iter_mut().for_each(|name| name.identifiers(visit));
    }
}

/// The project of a request that has no type of its own.
pub(super) struct OneProject(pub(super) Option<String>);

impl HasIdentifiers for OneProject {
    fn identifiers(&mut self, visit: &mut engine_core::identity::Visit<'_>) {
        self.0.iter_mut().for_each(|name| name.identifiers(visit));
    }
}

impl NamesProjects for OneProject {
    fn projects(&mut self, visit: &mut dyn FnMut(&mut Option<String>)) {
        visit(&mut self.0);
    }
}

/// Refuses a project that is no name. Before anything is counted by the name, because it would be kept for that.
fn check_projects(request: &mut impl NamesProjects) -> Result<(), Refusal> {
    let mut fault = None;
    request.projects(&mut |project| {
        let refused = project.as_deref().and_then(|project| request::filter("project", project).err());
        fault = fault.take().or(refused);
    });
    fault.map_or(Ok(()), |refused| Err(refused.into()))
}
