//! The CEL rules of a MemoryEngine.

use serde_json::Value;

use super::{access, backup, lifecycle, secrets, tls, upkeep};
use crate::rules::{self, Reserved, Rule};

/// Labels that the operator sets, or that Kubernetes itself sets on the pods of a StatefulSet.
const RESERVED_LABELS: &str = "^(([^/]+[.])?memoryengine[.]io|app[.]kubernetes[.]io|apps[.]kubernetes[.]io|\
                               statefulset[.]kubernetes[.]io)/|^controller-revision-hash$";
/// Annotations that the operator or kubectl sets, or that change how Kubernetes treats the object.
const RESERVED_ANNOTATIONS: &str = "^(([^/]+[.])?memoryengine[.]io|app[.]kubernetes[.]io|\
     (container[.])?seccomp[.]security[.]alpha[.]kubernetes[.]io|container[.]apparmor[.]security[.]beta[.]kubernetes[.]io)/|\
     ^kubectl[.]kubernetes[.]io/(default-container|last-applied-configuration)$|^kubernetes[.]io/config[.]|\
     ^scheduler[.]alpha[.]kubernetes[.]io/tolerations$|^controller[.]kubernetes[.]io/pod-deletion-cost$";
/// The maps whose entries are added to objects, with the keys that they must not contain.
const RESERVED: [Reserved; 7] = [
    Reserved { object: WRITER, map: "podLabels", keys: RESERVED_LABELS },
    Reserved { object: WRITER, map: "podAnnotations", keys: RESERVED_ANNOTATIONS },
    Reserved { object: SERVICE, map: "labels", keys: RESERVED_LABELS },
    Reserved { object: SERVICE, map: "annotations", keys: RESERVED_ANNOTATIONS },
    Reserved { object: PUBLIC_BALANCER, map: "annotations", keys: RESERVED_ANNOTATIONS },
    Reserved { object: PUBLIC_INGRESS, map: "annotations", keys: RESERVED_ANNOTATIONS },
    Reserved { object: PUBLIC_INGRESS, map: "serviceAnnotations", keys: RESERVED_ANNOTATIONS },
];

const ROOT: &str = "";
const STORAGE: &str = "/properties/spec/properties/writer/properties/storage";
const RESOURCES: &str = "/properties/spec/properties/writer/properties/resources";
const WRITER: &str = "/properties/spec/properties/writer";
const TOLERATION: &str = "/properties/spec/properties/writer/properties/tolerations/items";
const SPREAD: &str = "/properties/spec/properties/writer/properties/topologySpreadConstraints/items";
const SECCOMP: &str =
    "/properties/spec/properties/writer/properties/securityContext/properties/seccompProfile";
const SERVICE: &str = "/properties/spec/properties/service";
const ROTATION: &str = "/properties/spec/properties/rotation";
const EXCEPTION: &str = "/properties/spec/properties/policy/properties/exceptions/items";
const EMBEDDING: &str = "/properties/spec/properties/embedding";
const EMBEDDING_SERVICE: &str = "/properties/spec/properties/embedding/properties/http";
const RERANK: &str = "/properties/spec/properties/rerank";
const MCP: &str = "/properties/spec/properties/mcp";
const LIMITS: &str = "/properties/spec/properties/limits";
const PUBLIC: &str = "/properties/spec/properties/exposure/properties/public";
const PUBLIC_BALANCER: &str =
    "/properties/spec/properties/exposure/properties/public/properties/loadBalancer";
const PUBLIC_INGRESS: &str = "/properties/spec/properties/exposure/properties/public/properties/ingress";
const LOG: &str = "/properties/status/properties/log";
const ACCEPTED: &str = "/properties/status/properties/log/properties/acceptedRollbacks/items";

/// The API key of a service must not be sent unencrypted.
const KEY_IS_ENCRYPTED: &str = "!has(self.keySecretRef) || self.url.startsWith('https://')";
const KEY_MUST_BE_ENCRYPTED: &str = "url must be https:// where keySecretRef is given";

/// Names are short because a StatefulSet appends a hash to them in a label of at most 63 characters. They begin with a
/// letter because Services have the same name.
const RULES: [Rule; 43] = [
    Rule {
        object: ROOT,
        expression: "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        message: "metadata.name must be at most 40 characters: lower-case letters, digits and '-', starting with a letter, \
                  because Services are named after it",
    },
    Rule {
        object: STORAGE,
        expression: "quantity(string(self.size)).compareTo(quantity('32Mi')) >= 0 && \
                     quantity(string(self.size)).compareTo(quantity('64Ti')) <= 0",
        message: "size must be between 32Mi and 64Ti",
    },
    // If the class refused to expand the volume, the size may be reduced again, down to the size that the claim
    // requests.
    Rule {
        object: ROOT,
        expression: "quantity(string(self.spec.writer.storage.size))\
                     .compareTo(quantity(string(oldSelf.spec.writer.storage.size))) >= 0 || \
                     (has(oldSelf.status) && has(oldSelf.status.storage) && \
                     quantity(string(self.spec.writer.storage.size))\
                     .compareTo(quantity(oldSelf.status.storage.requested)) >= 0)",
        message: "size cannot shrink: volumes only grow. To move to a smaller volume, make a new engine and copy the memories",
    },
    Rule {
        object: STORAGE,
        expression: "has(self.className) == has(oldSelf.className) && \
                     (!has(self.className) || self.className == oldSelf.className)",
        message: "className cannot change: a volume stays in its class. To change it, make a new engine and copy the memories",
    },
    Rule {
        object: STORAGE,
        expression: "self.accessMode == oldSelf.accessMode",
        message: "accessMode cannot change: it is fixed when the volume is made",
    },
    Rule {
        object: RESOURCES,
        expression: "!has(self.limits.memory) || quantity(string(self.limits.memory)).compareTo(quantity('32Mi')) >= 0",
        message: "limits.memory must be at least 32Mi: an engine cannot start with less",
    },
    Rule {
        object: RESOURCES,
        expression: "!has(self.limits.cpu) || quantity(string(self.limits.cpu)).compareTo(quantity('10m')) >= 0",
        message: "limits.cpu must be at least 10m: an engine cannot start with less",
    },
    Rule {
        object: RESOURCES,
        expression: "!has(self.limits.memory) || !has(self.requests.memory) || \
                     quantity(string(self.requests.memory)).compareTo(quantity(string(self.limits.memory))) <= 0",
        message: "requests.memory must not exceed limits.memory",
    },
    Rule {
        object: RESOURCES,
        expression: "!has(self.limits.cpu) || !has(self.requests.cpu) || \
                     quantity(string(self.requests.cpu)).compareTo(quantity(string(self.limits.cpu))) <= 0",
        message: "requests.cpu must not exceed limits.cpu",
    },
    Rule {
        object: RESOURCES,
        expression: "(!has(self.limits.cpu) || quantity(string(self.limits.cpu)).compareTo(quantity('1k')) <= 0) && \
                     (!has(self.requests.cpu) || quantity(string(self.requests.cpu)).compareTo(quantity('1k')) <= 0)",
        message: "cpu must be at most 1k, which is more than any node has",
    },
    // A pattern does not apply to values that are written as numbers.
    Rule {
        object: RESOURCES,
        expression: "(!has(self.requests.cpu) || quantity(string(self.requests.cpu)).compareTo(quantity('0')) >= 0) && \
                     (!has(self.requests.memory) || quantity(string(self.requests.memory)).compareTo(quantity('0')) >= 0)",
        message: "requests must not be negative",
    },
    Rule {
        object: RESOURCES,
        expression: "(!has(self.limits.memory) || quantity(string(self.limits.memory)).compareTo(quantity('64Ti')) <= 0) && \
                     (!has(self.requests.memory) || \
                     quantity(string(self.requests.memory)).compareTo(quantity('64Ti')) <= 0)",
        message: "memory must be at most 64Ti, which is more than any node has",
    },
    Rule {
        object: TOLERATION,
        expression: "self.operator == 'Exists' || (has(self.key) && self.key != '')",
        message: "a toleration needs a key, or operator: Exists, which without a key tolerates every taint",
    },
    Rule {
        object: TOLERATION,
        expression: "self.operator != 'Exists' || !has(self.value) || self.value == ''",
        message: "a toleration with operator: Exists has no value: leave it out, or write operator: Equal",
    },
    Rule {
        object: TOLERATION,
        expression: "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        message: "tolerationSeconds needs effect: NoExecute: only that effect evicts pods",
    },
    Rule {
        object: SPREAD,
        expression: "!has(self.minDomains) || self.whenUnsatisfiable == 'DoNotSchedule'",
        message: "minDomains needs whenUnsatisfiable: DoNotSchedule",
    },
    Rule {
        object: SECCOMP,
        expression: "(self.type == 'Localhost') == has(self.localhostProfile)",
        message: "localhostProfile goes with type: Localhost, and only with it",
    },
    Rule {
        object: SERVICE,
        expression: "!has(self.annotations) || !('service.kubernetes.io/topology-mode' in self.annotations) || \
                     !('service.kubernetes.io/topology-aware-hints' in self.annotations)",
        message: "topology-mode and topology-aware-hints are one annotation: write topology-mode alone",
    },
    // The API server accepts this annotation only on Services of type LoadBalancer.
    Rule {
        object: SERVICE,
        expression: "!has(self.annotations) || \
                     !('service.beta.kubernetes.io/load-balancer-source-ranges' in self.annotations)",
        message: "load-balancer-source-ranges is only for a Service of type LoadBalancer, which this one is not",
    },
    Rule {
        object: ROTATION,
        expression: "quantity(string(self.maxSegmentSize)).compareTo(quantity('1Mi')) >= 0 && \
                     quantity(string(self.maxSegmentSize)).compareTo(quantity('1Gi')) <= 0",
        message: "maxSegmentSize must be between 1Mi and 1Gi",
    },
    Rule {
        object: EXCEPTION,
        expression: "has(self.sha256) != has(self.value)",
        message: "an exception needs either sha256 or value: sha256 keeps the text out of this resource",
    },
    Rule {
        object: EMBEDDING,
        expression: "(self.provider == 'http') == has(self.http)",
        message: "http goes with provider: http, and only with it",
    },
    Rule { object: EMBEDDING_SERVICE, expression: KEY_IS_ENCRYPTED, message: KEY_MUST_BE_ENCRYPTED },
    Rule { object: RERANK, expression: KEY_IS_ENCRYPTED, message: KEY_MUST_BE_ENCRYPTED },
    Rule {
        object: MCP,
        expression: "!has(self.serverMemoryProject) || self.serverMemoryTools",
        message: "serverMemoryProject needs serverMemoryTools: true",
    },
    Rule {
        object: LIMITS,
        expression: "!has(self.burst) || has(self.requestsPerSecond)",
        message: "burst needs requestsPerSecond: it is the number of requests accepted at once on top of that rate",
    },
    Rule {
        object: PUBLIC,
        expression: "[has(self.loadBalancer), has(self.ingress), has(self.gateway)].filter(one, one).size() == 1",
        message: "exactly one of loadBalancer, ingress and gateway is needed",
    },
    Rule {
        object: PUBLIC,
        expression: "self.hosts.all(host, !host.matches('^[0-9.]+$'))",
        message: "hosts are names, not IP addresses: no certificate for clients names an address",
    },
    Rule {
        object: PUBLIC_BALANCER,
        expression: "has(self.class) == has(oldSelf.class) && (!has(self.class) || self.class == oldSelf.class)",
        message: "class cannot change: remove spec.exposure.public first, so that the load balancer is given back",
    },
    Rule {
        object: ROOT,
        expression: "!has(self.spec.exposure) || !has(self.spec.exposure.public) || \
                     !has(self.spec.exposure.public.ticket) || has(self.spec.tls)",
        message: "exposure.public.ticket needs tls: without it, whoever reaches the administration port could make a ticket",
    },
    Rule {
        object: ROOT,
        expression: "!has(self.spec.deploymentMode) || self.spec.deploymentMode != 'Production' || has(self.spec.tls)",
        message: "deploymentMode: Production needs tls: add tls: {}",
    },
    Rule {
        object: ROOT,
        expression: "!has(self.spec.deploymentMode) || self.spec.deploymentMode != 'Production' || \
                     (has(self.spec.access) && (\
                     (has(self.spec.access.keys) && size(self.spec.access.keys) > 0) || \
                     (has(self.spec.access.issuers) && size(self.spec.access.issuers) > 0) || \
                     (has(self.spec.access.certificates) && size(self.spec.access.certificates) > 0)))",
        message: "deploymentMode: Production needs callers: add access.keys, access.issuers or access.certificates",
    },
    Rule {
        object: ROOT,
        expression: "!has(self.spec.deploymentMode) || self.spec.deploymentMode != 'Production' || \
                     !has(self.spec.access) || !has(self.spec.access.anonymous) || self.spec.access.anonymous != 'Allowed'",
        message: "deploymentMode: Production does not allow access.anonymous: Allowed",
    },
    // This rule is at the root: a rule on the status alone would not run for `status: null`, which would remove the
    // anchor.
    Rule {
        object: ROOT,
        expression: "!has(oldSelf.status) || !has(oldSelf.status.log) || (has(self.status) && has(self.status.log))",
        message: "status.log cannot be removed: it holds the anchor of the log",
    },
    Rule {
        object: LOG,
        expression: "!has(oldSelf.origin) || (has(self.origin) && self.origin == oldSelf.origin)",
        message: "origin cannot change: an anchor always belongs to the same log",
    },
    Rule {
        object: LOG,
        expression: "(!has(oldSelf.size) || has(self.size)) && (!has(oldSelf.root) || has(self.root)) && \
                     (!has(oldSelf.key) || has(self.key)) && (!has(oldSelf.anchoredAt) || has(self.anchoredAt))",
        message: "size, root, key and anchoredAt cannot be removed: they are the anchor of the log",
    },
    Rule {
        object: LOG,
        expression: "has(self.origin) == has(self.size) && has(self.origin) == has(self.root) && \
                     has(self.origin) == has(self.key) && has(self.origin) == has(self.anchoredAt)",
        message: "an anchor is origin, size, root, key and anchoredAt together",
    },
    Rule {
        object: LOG,
        expression: "!has(oldSelf.size) || !has(self.size) || self.size >= oldSelf.size || \
                     size(self.acceptedRollbacks) > size(oldSelf.acceptedRollbacks)",
        message: "size cannot shrink unless a rollback is accepted with it: a log only grows",
    },
    Rule {
        object: LOG,
        expression: "!has(oldSelf.size) || !has(self.size) || self.size != oldSelf.size || self.root == oldSelf.root || \
                     size(self.acceptedRollbacks) > size(oldSelf.acceptedRollbacks)",
        message: "root cannot change at the same size unless a rollback is accepted with it: the log would have a different history",
    },
    Rule {
        object: LOG,
        expression: "oldSelf.acceptedRollbacks.all(old, self.acceptedRollbacks.exists(new, new.number == old.number))",
        message: "acceptedRollbacks only grows",
    },
    Rule {
        object: LOG,
        expression: "self.acceptedRollbacks.all(one, one.number <= size(self.acceptedRollbacks))",
        message: "acceptedRollbacks are numbered from 1 without gaps",
    },
    // The accepted head must match the new anchor.
    Rule {
        object: LOG,
        expression: "size(self.acceptedRollbacks) <= size(oldSelf.acceptedRollbacks) || (has(self.size) && \
                     self.acceptedRollbacks.exists(one, one.number == size(self.acceptedRollbacks) && \
                     one.toSize <= self.size && (one.toSize != self.size || one.toRoot == self.root)))",
        message: "the newest of acceptedRollbacks must lead to the anchor",
    },
    Rule {
        object: ACCEPTED,
        expression: "self == oldSelf",
        message: "an accepted rollback cannot be changed: it is history",
    },
];

/// Adds every rule to the schema.
pub(super) fn add(schema: &mut Value) {
    rules::add(schema, &RULES);
    rules::add(schema, &access::RULES);
    rules::add(schema, &tls::RULES);
    rules::add(schema, &secrets::RULES);
    rules::add(schema, &lifecycle::RULES);
    rules::add(schema, &backup::RULES);
    rules::add(schema, &upkeep::RULES);
    rules::reserve(schema, &RESERVED);
    rules::add_to_maps_and_selectors(&mut schema["properties"]["spec"]);
}
