//! The definition of a metric. Programs register metrics from it, and the reference page describes them.
//!
//! [`table`] has the metrics of the engine. The operator has its own table of the same type.

/// Defines metrics as constants, and the list `ALL` of them:
/// `NAME: "name_as_scraped", kind, Unit, [labels], "One sentence of help.";`
#[macro_export]
macro_rules! metric_table {
    ($($constant:ident: $name:literal, $kind:expr, $unit:ident, [$($label:expr),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $constant: &$crate::metrics::Metric = &$crate::metrics::Metric {
                name: $name,
                kind: $kind,
                unit: $crate::metrics::Unit::$unit,
                labels: &[$($label),*],
                help: $help,
            };
        )*
        /// All of them, in the order of the reference page.
        pub const ALL: &[&$crate::metrics::Metric] = &[$($constant),*];
    };
}

pub mod table;

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Exported name; ends with the unit, or with `_total` for a counter.
    pub name: &'static str,
    /// Type of its samples.
    pub kind: MetricKind,
    /// What a sample counts or measures.
    pub unit: Unit,
    /// Labels, in the order in which values are given.
    pub labels: &'static [Label],
    /// One sentence for the exposition and the reference page.
    pub help: &'static str,
}

/// Type of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricKind {
    /// An integer that only grows.
    Counter,
    /// A fractional number that only grows.
    FractionalCounter,
    /// An integer that goes up and down.
    Gauge,
    /// Observations counted in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

impl MetricKind {
    /// The Prometheus name of the type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter | MetricKind::FractionalCounter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram(_) => "histogram",
        }
    }
}

/// Unit of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A number of things that the help text names.
    Count,
    /// 1 for yes, 0 for no.
    Flag,
    /// Seconds since 1970-01-01T00:00:00Z.
    UnixSeconds,
    /// The currency of the configured price.
    Price,
}

impl Unit {
    /// The text on the reference page.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Seconds => "seconds",
            Unit::Bytes => "bytes",
            Unit::Count => "count",
            Unit::Flag => "0 or 1",
            Unit::UnixSeconds => "seconds since 1970",
            Unit::Price => "the currency of the configured price",
        }
    }
}

/// A label and the values it can have.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub values: LabelValues,
}

/// Values of a label. All of them are chosen by the program, never by a client.
#[derive(Debug, Clone, Copy)]
pub enum LabelValues {
    /// All of them.
    Closed(&'static [&'static str]),
    /// A set that another table of the program defines, described for the reference page.
    From(&'static str),
}

impl Label {
    /// A label with exactly these values.
    #[must_use]
    pub const fn of(name: &'static str, values: &'static [&'static str]) -> Label {
        Label { name, values: LabelValues::Closed(values) }
    }

    /// A label whose values another table defines.
    #[must_use]
    pub const fn from(name: &'static str, described: &'static str) -> Label {
        Label { name, values: LabelValues::From(described) }
    }

    fn admits(&self, value: &str) -> bool {
        match self.values {
            LabelValues::Closed(values) => values.contains(&value),
            LabelValues::From(_) => true,
        }
    }
}

impl Metric {
    /// Whether a sample may have these label values.
    #[must_use]
    pub fn admits(&self, values: &[&str]) -> bool {
        self.labels.len() == values.len()
            && self.labels.iter().zip(values).all(|(label, value)| label.admits(value))
    }
}

/// The faults of a table: names that break the conventions, duplicate names, buckets that are not ascending, missing
/// text.
#[must_use]
pub fn table_faults(table: &[&Metric], prefix: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (place, metric) in table.iter().enumerate() {
        let Metric { name, kind, unit, labels, help } = metric;
        let mut fault = |found: bool, text: &str| {
            if found {
                faults.push(format!("{name} {text}"));
            }
        };
        let counts = matches!(kind, MetricKind::Counter | MetricKind::FractionalCounter);
        fault(!name.starts_with(prefix), "does not start with the prefix of the program");
        fault(table[..place].iter().any(|other| other.name == *name), "is defined twice");
        fault(counts != name.ends_with("_total"), "must end with _total if and only if it is a counter");
        fault(*unit == Unit::Seconds && !counts && !name.ends_with("_seconds"), "must end with _seconds");
        fault(*unit == Unit::Bytes && !counts && !name.contains("_bytes"), "must contain _bytes");
        fault(!help.ends_with('.') || help.len() < 8, "needs a help sentence");
        fault(labels.iter().any(|label| label.name.is_empty()), "has a label without a name");
        if let MetricKind::Histogram(buckets) = kind {
            fault(buckets.is_empty() || !buckets.is_sorted_by(|a, b| a < b), "needs ascending buckets");
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: Metric = Metric {
        name: "memory_example_total",
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &[Label::of("outcome", &["ok", "failed"]), Label::from("route", "routes of the API")],
        help: "Examples counted.",
    };

    #[test]
    fn label_values_are_those_of_the_table() {
        assert!(EXAMPLE.admits(&["ok", "/v1/anything"]));
        assert!(!EXAMPLE.admits(&["lost", "/v1/anything"]));
        assert!(!EXAMPLE.admits(&["ok"]));
    }

    #[test]
    fn a_faulty_table_is_refused() {
        assert_eq!(table_faults(&[&EXAMPLE], "memory_"), [] as [String; 0]);
        assert_eq!(table_faults(&[&EXAMPLE, &EXAMPLE], "memory_").len(), 1);
        assert_eq!(table_faults(&[&EXAMPLE], "operator_").len(), 1);
        let seconds = Metric {
            name: "memory_wait",
            kind: MetricKind::Histogram(&[1.0, 1.0]),
            unit: Unit::Seconds,
            labels: &[],
            help: "",
        };
        assert_eq!(table_faults(&[&seconds], "memory_").len(), 3);
    }
}
