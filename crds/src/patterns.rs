//! What Kubernetes accepts as names, labels and keys. The CRD rejects a value that Kubernetes would reject in a child
//! object, so that the error reaches the author of the MemoryEngine.

/// Names of most objects: a DNS subdomain, at most [`NAME_LENGTH_MAX`] characters.
pub(crate) const DNS_SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
/// A DNS subdomain, or an empty string.
pub(crate) const DNS_SUBDOMAIN_OR_EMPTY: &str =
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$";
/// Names of namespaces: a DNS label, at most 63 characters.
pub(crate) const DNS_LABEL: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Keys of labels, annotations and taints, with or without a prefix, at most [`KEY_LENGTH_MAX`] characters.
pub(crate) const KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
/// A key, or an empty string.
pub(crate) const KEY_OR_EMPTY: &str = r"^(([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
/// Keys that Kubernetes accepts in a Secret.
pub(crate) const SECRET_KEY: &str = r"^[-._a-zA-Z0-9]+$";
/// Values of labels, taints and node labels, at most 63 characters; may be empty.
pub(crate) const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$";

/// Maximum length of an object name.
pub(crate) const NAME_LENGTH_MAX: u32 = 253;
/// Maximum length of a key. Kubernetes accepts 317 with the longest prefix; this bound on the complete key also bounds
/// the prefix.
pub(crate) const KEY_LENGTH_MAX: u32 = 253;
/// Maximum length of a label value.
pub(crate) const LABEL_VALUE_LENGTH_MAX: u32 = 63;

/// Maximum number of labels, or annotations, that a spec may add to one object.
pub(crate) const METADATA_MAX: u32 = 24;
/// Maximum length of an annotation value, in characters. With four bytes per character and [`METADATA_MAX`]
/// annotations, the total stays below the 256 KiB that Kubernetes allows for the annotations of an object.
pub(crate) const ANNOTATION_LENGTH_MAX: u32 = 2048;
