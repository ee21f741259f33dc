//! A Prometheus registry for the metrics in the tables of [`engine_core::metrics`].

use std::collections::{BTreeMap, HashMap};

use engine_core::metrics::{Metric, MetricKind};
use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::proto::MetricType;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, TextEncoder,
};

/// Registering a metric, or encoding the registry as text, failed.
pub type MetricsError = prometheus::Error;

/// All metrics of one process.
#[derive(Debug)]
pub struct Registry(prometheus::Registry);

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Labels with their values.
    pub labels: BTreeMap<String, String>,
    /// Value of the sample.
    pub value: f64,
}

/// All series of a metric with labels.
#[derive(Debug, Clone)]
pub struct Family<V> {
    series: V,
    definition: &'static Metric,
}

impl<T: MetricVecBuilder> Family<MetricVec<T>> {
    /// The series with these label values, which are in the order of the labels in the table. A debug build panics if
    /// the table does not list a value, so that a test finds the mistake.
    pub fn with_label_values(&self, values: &[&str]) -> T::M {
        debug_assert!(self.definition.admits(values), "{} does not allow {values:?}", self.definition.name);
        self.series.with_label_values(values)
    }

    /// Removes every series.
    pub fn reset(&self) {
        self.series.reset();
    }
}

impl Registry {
    /// Creates a registry that already has the metrics of the process itself, such as its CPU time. `labels` are added
    /// to every sample.
    ///
    /// # Errors
    /// Prometheus does not accept the name of a label.
    pub fn new(labels: &[(&str, &str)]) -> Result<Registry, MetricsError> {
        let labels: HashMap<String, String> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let registry = prometheus::Registry::new_custom(None, Some(labels))?;
        #[cfg(target_os = "linux")]
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Registry(registry))
    }

    /// Registers a counter without labels.
    ///
    /// # Errors
    /// Another metric has its name.
    pub fn counter(&self, metric: &'static Metric) -> Result<IntCounter, MetricsError> {
        self.register(IntCounter::with_opts(options(metric))?)
    }

    /// Registers a counter with labels.
    ///
    /// # Errors
    /// Another metric has its name.
    pub fn counters(&self, metric: &'static Metric) -> Result<Family<IntCounterVec>, MetricsError> {
        self.family(metric, IntCounterVec::new(options(metric), &label_names(metric))?)
    }

    /// Registers a counter with labels whose values are floating-point numbers.
    ///
    /// # Errors
    /// Another metric has the same name.
    pub fn fractional_counters(&self, metric: &'static Metric) -> Result<Family<CounterVec>, MetricsError> {
        self.family(metric, CounterVec::new(options(metric), &label_names(metric))?)
    }

    /// Registers a gauge without labels.
    ///
    /// # Errors
    /// Another metric has its name.
    pub fn gauge(&self, metric: &'static Metric) -> Result<IntGauge, MetricsError> {
        self.register(IntGauge::with_opts(options(metric))?)
    }

    /// Registers a gauge with labels.
    ///
    /// # Errors
    /// Another metric has its name.
    pub fn gauges(&self, metric: &'static Metric) -> Result<Family<IntGaugeVec>, MetricsError> {
        self.family(metric, IntGaugeVec::new(options(metric), &label_names(metric))?)
    }

    /// Registers a histogram without labels.
    ///
    /// # Errors
    /// Another metric has its name.
    pub fn histogram(&self, metric: &'static Metric) -> Result<Histogram, MetricsError> {
        self.register(Histogram::with_opts(buckets(metric))?)
    }

    /// Registers a histogram with labels.
    ///
    /// # Errors
    /// Another metric has its name.
    pub fn histograms(&self, metric: &'static Metric) -> Result<Family<HistogramVec>, MetricsError> {
        self.family(metric, HistogramVec::new(buckets(metric), &label_names(metric))?)
    }

    /// The samples of the counters and gauges with this name.
    #[must_use]
    pub fn samples(&self, name: &str) -> Vec<Sample> {
        let families = self.0.gather();
        let of_name = families.iter().filter(|family| family.name() == name);
        let samples = of_name.flat_map(|family| {
            let is_counter = family.get_field_type() == MetricType::COUNTER;
            family.get_metric().iter().map(move |metric| Sample {
                labels: metric
                    .get_label()
                    .iter()
                    .map(|label| (label.name().to_owned(), label.value().to_owned()))
                    .collect(),
                value: if is_counter {
                    metric.get_counter().get_value()
                } else {
                    metric.get_gauge().get_value()
                },
            })
        });
        samples.collect()
    }

    /// All samples in the Prometheus text format.
    ///
    /// # Errors
    /// A metric cannot be encoded.
    pub fn encode(&self) -> Result<String, MetricsError> {
        TextEncoder::new().encode_to_string(&self.0.gather())
    }

    fn family<V: Collector + Clone + 'static>(
        &self,
        definition: &'static Metric,
        series: V,
    ) -> Result<Family<V>, MetricsError> {
        Ok(Family { series: self.register(series)?, definition })
    }

    fn register<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, MetricsError> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn options(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn label_names(metric: &Metric) -> Vec<&'static str> {
    metric.labels.iter().map(|label| label.name).collect()
}

fn buckets(metric: &Metric) -> HistogramOpts {
    let options = HistogramOpts::from(options(metric));
    match metric.kind {
        MetricKind::Histogram(buckets) => options.buckets(buckets.to_vec()),
        _ => options,
    }
}

#[cfg(test)]
mod tests {
    use engine_core::metrics::{Label, Unit};

    use super::*;

    static ANSWERS: Metric = Metric {
        name: "memory_answers_total",
        kind: MetricKind::Counter,
        unit: Unit::Count,
        labels: &[Label::of("outcome", &["ok", "failed"])],
        help: "Answers.",
    };

    #[test]
    fn a_metric_is_registered_once_and_scraped() {
        let registry = Registry::new(&[("engine", "team-a/notes")]).unwrap();
        let answers = registry.counters(&ANSWERS).unwrap();
        answers.with_label_values(&["ok"]).inc_by(2);
        let samples = registry.samples("memory_answers_total");
        assert_eq!((samples.len(), samples[0].value, samples[0].labels["outcome"].as_str()), (1, 2.0, "ok"));
        let text = registry.encode().unwrap();
        let sample = "memory_answers_total{outcome=\"ok\",engine=\"team-a/notes\"} 2";
        assert!(text.contains(sample), "{text}");
        assert!(text.contains("# HELP memory_answers_total Answers."), "{text}");
        assert!(registry.counters(&ANSWERS).is_err());
        answers.reset();
        assert!(!registry.encode().unwrap().contains(sample));
    }

    #[test]
    #[should_panic(expected = "does not allow")]
    fn a_label_value_that_the_table_lacks_is_found() {
        let answers = Registry::new(&[]).unwrap().counters(&ANSWERS).unwrap();
        answers.with_label_values(&["lost"]).inc();
    }
}
