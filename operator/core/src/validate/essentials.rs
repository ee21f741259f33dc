//! The parts of the spec that are used even if other parts are invalid.

use crds::{
    AcceptRollback, AccessMode, DeletionPolicy, Fence, GatewayReference, MemoryEngine, Quantity,
    TicketFailMode, Tls,
};
use engine_core::mode::Mode;
use jiff::SignedDuration;

use super::backup::{self, BackupTimes};
use super::rotation::{self, RotationTimes};
use super::upkeep::{self, RetentionTerms, UpkeepTimes};
use crate::{
    mode_word::wanted,
    secrets::{Reference, references},
    tls::GivenSource,
};

/// Minimum and maximum of the seconds between two anchors.
pub(super) const ANCHOR_INTERVAL_SECONDS: (i32, i32) = (1, 3600);

/// The parts that are used of every spec, whether it is valid or not. With them, the operator still verifies and
/// anchors the log of a running engine and reports its volume while the spec is invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Essentials {
    /// Time between two anchors while the log grows. A value outside of the bounds is replaced by the nearest bound.
    pub anchor_interval: SignedDuration,
    /// The user's decision to accept a log that does not extend its anchor. If the head in it is invalid, it matches no
    /// log.
    pub accept_rollback: Option<AcceptRollback>,
    /// Size of the volume.
    pub size: Quantity,
    /// How the volume is mounted.
    pub access_mode: AccessMode,
    /// The wanted mode of the engine. A fence, a hibernation and a last backup leave no writes of it.
    pub mode: Mode,
    /// Number of readers that are wanted.
    pub readers: i32,
    /// Whether new revisions are introduced step by step, so that there may be a canary.
    pub rollout: bool,
    /// Whether the canary of a rollout is drilled.
    pub drills: bool,
    /// Whether nothing of the engine is changed.
    pub suspend: bool,
    /// Whether the engine has no pod.
    pub hibernate: bool,
    /// Why writes are stopped; `None` if they are not.
    pub fence: Option<Fence>,
    /// Whether the ports have TLS.
    pub tls: bool,
    /// The gateway through which they reach it.
    pub gateway: Option<GatewayReference>,
    /// Names under which clients outside of the cluster reach the engine.
    pub public_hosts: Vec<String>,
    /// Those of these names under which clients reach the engine itself, and nothing in front of it that has a
    /// certificate of its own.
    pub direct_hosts: Vec<String>,
    /// What the engine does when its ticket for clients outside of the cluster ends; `None` if it needs no ticket.
    pub ticket: Option<TicketFailMode>,
    /// Where the certificate of the memory API comes from, if the operator does not issue it.
    pub given_certificate: Option<GivenSource>,
    /// Every reference to an entry of a Secret.
    pub secrets: Vec<Reference>,
    /// When the token that the operator makes is replaced; `None` if it makes none.
    pub rotation: Option<RotationTimes>,
    /// When backups are taken and verified; `None` if there are none.
    pub backup: Option<BackupTimes>,
    /// When tasks are done that are done on a schedule.
    pub upkeep: Vec<UpkeepTimes>,
    /// What has to be fulfilled before a retention plan is carried out; `None` without a schedule.
    pub retention: Option<RetentionTerms>,
    /// Whether the log was restored before the first start, and whether the spec says what it must at least have.
    pub restored: Option<bool>,
    /// What happens to the data when the resource is deleted.
    pub deletion_policy: DeletionPolicy,
    /// Days after which a key should be replaced.
    pub secrets_max_age_days: Option<i32>,
}

impl Essentials {
    /// Extracts these parts from a resource.
    #[must_use]
    pub fn of(engine: &MemoryEngine) -> Self {
        let spec = &engine.spec;
        let name = engine.metadata.name.as_deref().unwrap_or_default();
        let (min, max) = ANCHOR_INTERVAL_SECONDS;
        let public = spec.exposure.public.as_ref();
        let direct = public.filter(|public| public.load_balancer.is_some());
        let seconds = spec.integrity.anchor_interval_seconds.clamp(min, max);
        Self {
            anchor_interval: SignedDuration::from_secs(seconds.into()),
            accept_rollback: spec.integrity.accept_rollback.clone(),
            size: spec.writer.storage.size.clone(),
            access_mode: spec.writer.storage.access_mode,
            mode: match spec.hibernate || spec.fence.is_some() || is_backed_up_last(engine) {
                true => wanted(spec.mode).intersect(Mode::ReadOnly),
                false => wanted(spec.mode),
            },
            readers: spec.readers.replicas,
            rollout: spec.rollout.is_some(),
            drills: spec.rollout.as_ref().is_some_and(|rollout| rollout.drills.is_some()),
            suspend: spec.suspend,
            hibernate: spec.hibernate,
            fence: spec.fence.clone(),
            tls: spec.tls.is_some(),
            gateway: public.and_then(|public| public.gateway.as_ref()).map(|one| one.parent_ref.clone()),
            public_hosts: public.map(|public| public.hosts.clone()).unwrap_or_default(),
            direct_hosts: direct.map(|public| public.hosts.clone()).unwrap_or_default(),
            ticket: public.and_then(|public| public.ticket.as_ref()).map(|ticket| ticket.fail_mode),
            given_certificate: spec.tls.as_ref().and_then(given),
            secrets: references(name, spec),
            rotation: rotation::schedule(spec),
            deletion_policy: spec.deletion_policy,
            backup: backup::times(spec),
            upkeep: upkeep::times(spec),
            retention: upkeep::terms(spec),
            restored: spec.bootstrap.as_ref().map(|bootstrap| bootstrap.from_backup.at_least.is_some()),
            secrets_max_age_days: spec.access.as_ref().and_then(|access| access.max_age_days),
        }
    }
}

/// Whether the engine is being deleted, and a last backup is taken before. Nothing may be written after it.
fn is_backed_up_last(engine: &MemoryEngine) -> bool {
    engine.metadata.deletion_timestamp.is_some() && engine.spec.deletion_policy != DeletionPolicy::Retain
}

fn given(tls: &Tls) -> Option<GivenSource> {
    match (&tls.secret_ref, &tls.cert_manager) {
        (Some(secret), _) => Some(GivenSource::Secret(secret.name.clone())),
        (None, Some(_)) => Some(GivenSource::CertManager),
        (None, None) => None,
    }
}
