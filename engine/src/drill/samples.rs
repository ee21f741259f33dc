//! Samples of `GET /metrics`, in the text format of Prometheus.

use std::collections::BTreeMap;

/// One sample: labels, without that of the engine, and value.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    labels: BTreeMap<String, String>,
    value: f64,
}

/// All samples of one moment, by name.
#[derive(Debug, Default)]
pub(super) struct Samples(BTreeMap<String, Vec<Sample>>);

impl Samples {
    /// Parses the text.
    ///
    /// # Errors
    /// A line that is no sample: its name, without its labels.
    pub(super) fn parse(text: &str) -> Result<Samples, String> {
        let mut samples = Samples::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            let sample = sample(&line[name.len()..]).ok_or_else(|| format!("{name} is no sample"))?;
            samples.0.entry(name.to_owned()).or_default().push(sample);
        }
        Ok(samples)
    }

    /// The sum of the samples with this name and these labels; `None` if there is none.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |sample: &&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        };
        let found = self.0.get(name).into_iter().flatten().filter(has).map(|sample| sample.value);
        found.reduce(|sum, value| sum + value)
    }

    /// The values of a label of samples that are 1.
    pub(super) fn set(&self, name: &str, label: &str) -> Vec<&str> {
        let is_set = |sample: &&Sample| (sample.value - 1.0).abs() < f64::EPSILON;
        let found = self.0.get(name).into_iter().flatten().filter(is_set);
        found.filter_map(|sample| sample.labels.get(label).map(String::as_str)).collect()
    }

    /// Number of samples, and the names of those that have no finite value.
    pub(super) fn finite(&self) -> (usize, Vec<&str>) {
        let mut bad: Vec<&str> = Vec::new();
        for (name, samples) in &self.0 {
            if samples.iter().any(|sample| !sample.value.is_finite()) {
                bad.push(name);
            }
        }
        (self.0.values().map(Vec::len).sum(), bad)
    }

    /// Names of counters that are smaller than they were in `before`, or gone.
    pub(super) fn smaller_than(&self, before: &Samples) -> Vec<String> {
        let counts = |name: &str| ["_total", "_count", "_bucket"].iter().any(|end| name.ends_with(end));
        let mut smaller = Vec::new();
        for (name, samples) in before.0.iter().filter(|(name, _)| counts(name)) {
            let now = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
            let holds =
                |old: &Sample| now.iter().any(|new| new.labels == old.labels && new.value >= old.value);
            if !samples.iter().all(holds) {
                smaller.push(name.clone());
            }
        }
        smaller
    }
}

/// Labels and value of a line without its name.
fn sample(rest: &str) -> Option<Sample> {
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => rest.rsplit_once('}')?,
        None => ("", rest),
    };
    // A time may follow the value.
    let value = value.split_whitespace().next()?.parse().ok()?;
    Some(Sample { labels: parsed(labels)?, value })
}

fn parsed(mut labels: &str) -> Option<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    while !labels.trim_matches([',', ' ']).is_empty() {
        let (name, rest) = labels.split_once("=\"")?;
        let mut end = 0;
        let bytes = rest.as_bytes();
        while *bytes.get(end)? != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        found.insert(name.trim_matches([',', ' ']).to_owned(), rest.get(..end)?.to_owned());
        labels = rest.get(end + 1..)?;
    }
    found.remove("engine");
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_total x\n# TYPE a_total counter\na_total{engine=\"n\",code=\"200\"} 3\n\
                        a_total{engine=\"n\",code=\"4,0=\\\"}4\"} 1\nb 1\nc_bucket{le=\"+Inf\"} 2\n";

    #[test]
    fn samples_are_found_by_name_and_labels() {
        let samples = Samples::parse(TEXT).unwrap();
        assert_eq!(samples.sum("a_total", &[("code", "200")]), Some(3.0));
        assert_eq!(samples.sum("a_total", &[]), Some(4.0));
        assert_eq!(samples.sum("a_total", &[("code", "500")]), None);
        assert_eq!(samples.set("a_total", "code"), ["4,0=\\\"}4"]);
        assert_eq!(samples.finite(), (4, vec![]));
        assert!(Samples::parse("b one").is_err() && Samples::parse("b{c=\"1} 2").is_err());
    }

    #[test]
    fn a_counter_that_is_smaller_or_gone_and_a_value_that_is_no_number_are_found() {
        let before = Samples::parse(TEXT).unwrap();
        assert!(Samples::parse(&TEXT.replace(" 3", " 4")).unwrap().smaller_than(&before).is_empty());
        assert_eq!(Samples::parse(&TEXT.replace(" 3", " 2")).unwrap().smaller_than(&before), ["a_total"]);
        assert_eq!(Samples::parse("b 1").unwrap().smaller_than(&before), ["a_total", "c_bucket"]);
        assert_eq!(Samples::parse("b NaN").unwrap().finite(), (1, vec!["b"]));
    }
}
