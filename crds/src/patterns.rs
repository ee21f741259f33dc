//! What Kubernetes lets names, labels and keys be. What it would refuse in an object of an engine is refused in the
//! MemoryEngine, in front of the person who wrote it.

/// Names of most objects: a DNS subdomain, at most [`NAME_LENGTH_MAX`] characters.
pub(crate) const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// The same, or nothing.
pub(crate) const DNS_SUBDOMAIN_OR_EMPTY: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$";
/// Names of namespaces: a DNS label, at most 63 characters.
pub(crate) const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Keys of labels, annotations and taints, with a prefix or without, at most [`KEY_LENGTH_MAX`] characters.
pub(crate) const KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// The same, or nothing.
pub(crate) const KEY_OR_EMPTY: &str = r"^(([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
/// Values of labels, taints and node labels, at most 63 characters; they may be empty.
pub(crate) const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

/// Longest name of an object.
pub(crate) const NAME_LENGTH_MAX: u32 = 253;
/// Longest key. Kubernetes would take 317 with the longest prefix; one bound on the whole keeps every prefix short enough.
pub(crate) const KEY_LENGTH_MAX: u32 = 253;
/// Longest value of a label.
pub(crate) const LABEL_VALUE_LENGTH_MAX: u32 = 63;

/// Labels, or annotations, that a spec may add to one object.
pub(crate) const METADATA_MAX: u32 = 24;
/// Longest value of an annotation, characters. With four bytes each, as many as may be added stay below the 256 KiB that
/// Kubernetes lets the annotations of an object have.
pub(crate) const ANNOTATION_LENGTH_MAX: u32 = 2048;
