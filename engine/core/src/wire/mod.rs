//! JSON types of the HTTP APIs. The engine's HTTP layer, the operator and the tests share them, so that a change of
//! shape is a compile error on both sides.
//!
//! Requests reject unknown fields. Clients must accept unknown fields in responses, so that an older client works with
//! a newer engine.

mod adapter;
mod archive;
mod batch;
mod canary;
mod checkout;
mod diagnostics;
mod document;
mod drill;
mod feedback;
mod following;
mod forget;
mod graph;
mod health;
mod integrity;
mod item;
mod log;
mod memory;
mod mode;
mod mode_summary;
pub mod moment;
mod object;
pub mod patterns;
mod policy;
mod proof;
mod refusal;
mod retention;
mod retrieval;
mod ticket;
mod timeline;
mod token;
mod upkeep;

pub use adapter::{
    MemoryToolAnswer, MemoryToolCommand, StoreDelete, StoreIndex, StoreItem, StoreItems, StoreNamespaces,
    StorePut, StoreSearch,
};
pub use archive::{
    ArchiveHealth, ArchiveState, BACKUP_REQUEST_BYTES_MAX, BackupTaken, Pruned, RestoredLog, TakeBackup,
};
pub use batch::{EntriesAnswer, EntryNotValid, GetEntries, KnownAt, SaveMemories, SavedMemories};
pub use canary::{
    ANSWERED_HEADER, CANARY_ANSWERS, CANARY_COMPARES, CANARY_HEADER, CANARY_NAME_BYTES_MAX, CANARY_PATH,
    CANARY_URL_BYTES_MAX, CanaryGrant, CanaryLatency, CanaryReads, CanaryRehearsal, CanaryReport,
    REVISION_HEADER, RehearsalReport, WAITED_HEADER,
};
pub use checkout::{Answerability, CheckoutAnswer, CheckoutItem, CheckoutRequest, RepeatedItem, Verdict};
pub use diagnostics::{
    BreakerState, CacheReport, Durations, MetricsReport, ModelHealth, ModelRole, ModelState, ModelsHealth,
    ServiceHealth, SystemReport,
};
pub use document::{Document, IngestAnswer, IngestDocuments, IngestError, IngestStatus, Ingested};
pub use drill::{ActiveFault, DRILL_FAULT_SECONDS_MAX, DrillFaultKind, DrillFaultsHealth, InjectFault};
pub use feedback::{FeedbackSummary, GiveFeedback};
pub use following::{
    ChainFault, DIGEST_PATH, FORWARDED_HEADER, FollowState, FollowingHealth, HAS_LINE_HEADER,
    HEAD_SEQ_HEADER, LINES_BYTES, LINES_PATH, LINES_WAIT_MS_MAX, LOG_ID_HEADER, LogRoot, ROOT_PATH,
    RecentDigest, RecentDigests, Role, RoleHealth, StandbyDifference, StandbyHealth, StartedOver,
};
pub use forget::{ForgetAnswer, ForgetMemories, Place, PlaceReport, PlaceState, RecordedEvent};
pub use graph::{
    AddObservations, AddedObservations, CreateEntities, CreateRelations, EndEntities, EndObservations,
    EndRelations, EntitiesCreated, Entity, GraphEnded, GraphView, NearMemories, NearMemory, Neighbour,
    NeighboursAnswer, NewObservations, ObservationDeletion, ObservationsAdded, OpenNodes, Relation,
    RelationsCreated,
};
pub use health::{
    ConfigurationFile, ConfigurationHealth, DegradedReason, EngineStatus, Health, IssuerHealth, LogHealth,
    NotApplied, PortCertificate, ProjectionHealth, ProjectionState, RebuildHealth, StorageHealth,
    StorageReason, TlsHealth, Unknown,
};
pub use integrity::{
    AcceptedRollback, Anchor, CheckpointAnswer, CheckpointView, GivenAnchor, IntegrityFault,
    IntegrityFaultKind, IntegrityHealth,
};
pub use item::{
    DeleteItem, ItemVersion, ItemVersions, ItemView, ItemWritten, ItemsAnswer, ListNamespaces,
    NamespacesAnswer, PutItem, SearchItems,
};
pub use log::{AppendEvents, Appended, EventPage, EventRequest, EventView, LogHead};
pub use memory::{
    Degraded, FeatureView, InvalidateMemory, MemoryView, SameText, SaveMemory, Saved, SearchAnswer,
    SearchHit, SearchMode, Validity,
};
pub use mode::{
    DeclareHold, DeclaredHold, ForceMode, GuardHealth, HoldView, InvalidateContexts, Invalidated, ModeHealth,
    ModeReport, PersonWantsMode, ReadsOff, Teller, Transition, WantMode,
};
pub use policy::PolicyReport;
pub use proof::{ConsistencyAnswer, InclusionAnswer};
pub use refusal::{ErrorBody, ErrorCode, ErrorDetail};
pub use retention::{
    ApplyRetention, PlanRetention, ProjectPlan, ProjectRules, RetentionAction, RetentionApplied,
    RetentionPlan, RetentionRules, RuleCounts,
};
pub use retrieval::{SetWeights, WeightsSet, WeightsView};
pub use ticket::{DeliverTicket, OnExpiry, TicketHealth, TicketState};
pub use timeline::{HistoryAnswer, HistoryEvent, TimelineAnswer, TimelineItem};
pub use token::{CreateToken, RevokeToken, TokenCreated, TokenSource, TokenView, Tokens};
pub use upkeep::{
    ApprovedPlan, RetentionSummary, SUMMARY_SPIKES_MAX, StartUpkeep, UPKEEP_REQUEST_BYTES_MAX, UpkeepResult,
    UpkeepRun, UpkeepRuns, UpkeepState, UpkeepTask,
};
