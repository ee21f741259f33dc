//! What can be wrong with a spec.

use crds::PUBLIC_HOSTS_MAX;
use engine_core::configuration::ALLOWED_HOSTS_MAX;
use engine_core::guard::BadHoldText;
use engine_core::policy::PolicyFault;
use engine_core::request::Refused;

use super::access_fault::AccessFault;
use crate::schedule::ScheduleFault;

/// A fault in a spec; its message also says how to correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The resource does not match this operator's CRD.
    #[error(
        "this operator cannot read the resource: {0}. Install the CRD of this operator's release, then correct the field"
    )]
    Unreadable(String),
    /// Neither the spec nor the operator names an image.
    #[error("no image: set spec.image, or start the operator with --engine-image")]
    NoImage,
    /// The name is not valid for Services.
    #[error(
        "the name {0:?} cannot be used: make the engine again with at most 40 characters, lower-case letters, digits and '-', starting with a letter"
    )]
    Name(String),
    /// A value is not a valid quantity.
    #[error("{field}: {problem}")]
    Quantity {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with the value.
        problem: String,
    },
    /// The request exceeds the limit.
    #[error("spec.writer.resources: requests.{0} exceeds limits.{0}: lower the request or raise the limit")]
    RequestAboveLimit(&'static str),
    /// A number is out of range.
    #[error("{field} is {value}: write a number between {min} and {max}")]
    OutOfRange {
        /// Path of the field.
        field: &'static str,
        /// The value.
        value: i64,
        /// The minimum.
        min: i64,
        /// The maximum.
        max: i64,
    },
    /// The root or the size of the head to accept is invalid.
    #[error(
        "spec.integrity.acceptRollback.root must be 64 lower-case hexadecimal digits, and size not negative"
    )]
    AcceptedHead,
    /// The URL of the collector is not one that requests can be sent to.
    #[error(
        "spec.monitoring.tracing.endpoint must be a complete URL such as http://collector:4318/v1/traces, without user and password"
    )]
    Collector,
    /// The engine would refuse the policy.
    #[error("spec.policy.{0}")]
    Policy(PolicyFault),
    /// The expiry of the exception with this index is not an RFC 3339 time.
    #[error(
        "spec.policy.exceptions[{0}].expires is not an RFC 3339 time: write it like 2027-01-01T00:00:00Z"
    )]
    Expires(usize),
    /// The allowed host with this index is not a valid host.
    #[error(
        "spec.mcp.allowedHosts[{0}] is not a host: write a name or an IP address, with a port or without, like memory.example.org"
    )]
    Host(usize),
    /// There are more allowed hosts than the engine accepts.
    #[error("spec.mcp.allowedHosts has {0} items: leave at most {ALLOWED_HOSTS_MAX}")]
    Hosts(usize),
    /// Not exactly one way in is given.
    #[error("spec.exposure.public: write exactly one of loadBalancer, ingress and gateway")]
    WaysIn,
    /// The range of addresses with this index is not a CIDR block.
    #[error(
        "spec.exposure.public.loadBalancer.sourceRanges[{0}] is not a CIDR block: write one like 203.0.113.0/24 or fd00::/8"
    )]
    SourceRange(usize),
    /// The public hosts are not names.
    #[error("spec.exposure.public.hosts must be 1 to {PUBLIC_HOSTS_MAX} names such as memory.example.org")]
    PublicHosts,
    /// The engine would refuse this name of a project.
    #[error("{0}: write another name")]
    Project(Refused),
    /// A label or an annotation that the spec must not set.
    #[error(
        "{field}: {key:?} is reserved: it belongs to the operator, or changes how Kubernetes treats the object. Choose another prefix"
    )]
    Reserved {
        /// Path of the map.
        field: &'static str,
        /// The key.
        key: String,
    },
    /// The fields of the toleration with this index do not fit together.
    #[error(
        "spec.writer.tolerations[{0}]: operator Exists has no value, Equal needs a key, and tolerationSeconds needs effect NoExecute"
    )]
    Toleration(usize),
    /// A user or group ID that is not allowed.
    #[error("spec.writer.securityContext: users and groups are numbers from 1 to 2147483647; 0 is root")]
    Root,
    /// A field exceeds another field, or its default.
    #[error("{field} must not exceed {bound}, also where one of them has its default: change one of them")]
    AtMost {
        /// Path of the field.
        field: &'static str,
        /// The field that bounds it.
        bound: &'static str,
    },
    /// A field has no effect without another field.
    #[error("{field} has no effect without {needed}: add it, or remove {field}")]
    Needs {
        /// Path of the field.
        field: &'static str,
        /// The field that is missing.
        needed: &'static str,
    },
    /// The URL of a service in this section is not usable.
    #[error(
        "{0}.url must be the complete URL of requests, http:// or https://, without user, password and fragment"
    )]
    Url(&'static str),
    /// The API key of the service in this section would be sent unencrypted.
    #[error("{0}.url must be https:// where {0}.keySecretRef is given: the key must not be sent unencrypted")]
    KeyUnencrypted(&'static str),
    /// The name of the model in this section is empty or has control characters.
    #[error("{0}.model must be a name without control characters")]
    Model(&'static str),
    /// The price in this section is out of range.
    #[error("{0}.costPerMillionTokens must be a number from 0 to 1000000")]
    Price(&'static str),
    /// The certificate of the API has two sources.
    #[error("spec.tls.secretRef and spec.tls.certManager exclude each other: remove one of them")]
    TwoCertificates,
    /// The token of the administration port has two sources.
    #[error(
        "spec.secrets.rotation and spec.access.adminTokenSecretRef exclude each other: remove one of them"
    )]
    TwoTokens,
    /// A key of a client is in the Secret of the operator's token.
    #[error("spec.access.keys: the Secret {0:?} is that of the operator's token: name another one")]
    TokenOfOperator(String),
    /// A schedule or its time zone is not valid.
    #[error("{0} {1}")]
    Schedule(&'static str, ScheduleFault),
    /// A text of the fence is empty, too long, or has control characters.
    #[error("spec.fence: {0}")]
    Fence(BadHoldText),
    /// The operator does not know its own image.
    #[error("{0} needs the image of the operator: start the operator with --image")]
    NoOperatorImage(&'static str),
    /// The spec asks for a last backup that cannot be had.
    #[error("spec.deletionPolicy {0}")]
    LastBackup(&'static str),
    /// A store of this field is not valid.
    #[error("{0}: {1}")]
    Store(&'static str, String),
    /// A fault in the section about access.
    #[error("spec.access.{0}")]
    Access(AccessFault),
    /// The key of drills cannot be used.
    #[error("spec.rollout.drills.accessKey {0}")]
    DrillKey(&'static str),
    /// The reference to a key in this section is not valid.
    #[error("{0}.keySecretRef must have the name of a Secret and one of its keys")]
    KeyReference(&'static str),
}
