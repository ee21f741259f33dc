//! The newest distinct questions of clients, each with the moment at which it was asked last.

use std::collections::{BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::query_pairs::{read, write};

/// Longest question that is kept, bytes of its query string.
pub const QUESTION_BYTES_MAX: usize = 2 << 10;
/// Number of questions that can be kept: fewest and most.
pub const NUMBER: [u32; 2] = [1, 10_000];
/// How long a question can be kept, seconds: shortest and longest, 31 days.
pub const AGE_S: [u32; 2] = [60, 2_678_400];
/// Most bytes of all questions together, so that a record is written quickly.
pub const QUESTIONS_BYTES_MAX: usize = 4 << 20;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Number of questions.
    pub questions: usize,
    /// Age, seconds.
    pub age_s: u32,
}

/// A question of a client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The query string of the search, as it is kept.
    pub query: String,
    /// When it was asked last.
    pub at: Timestamp,
}

impl Asked {
    /// The query string with which it is asked again, about what was known and true at its moment.
    #[must_use]
    pub fn at_its_moment(&self) -> String {
        let mut query = format!("{}&{}", self.query, write(&[("known_at".to_owned(), self.at.to_string())]));
        // What a question says about the time that it is about stays as it was asked.
        if self.values("as_of").next().is_none() {
            query = format!("{query}&{}", write(&[("as_of".to_owned(), self.at.to_string())]));
        }
        query
    }

    /// The project that it names.
    #[must_use]
    pub fn project(&self) -> Option<String> {
        self.values("project").next()
    }

    fn values(&self, wanted: &'static str) -> impl Iterator<Item = String> {
        let pairs = read(&self.query).into_iter().flatten();
        pairs.filter(move |(name, _)| name == wanted).map(|(_, value)| value)
    }
}

/// The questions, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions {
    bounds: Bounds,
    asked: VecDeque<Asked>,
    bytes: usize,
}

impl Questions {
    /// Those of `asked` that are within the bounds.
    #[must_use]
    pub fn new(bounds: Bounds, mut asked: Vec<Asked>, now: Timestamp) -> Questions {
        asked.sort_by_key(|one| one.at);
        let mut questions = Questions { bounds, asked: VecDeque::new(), bytes: 0 };
        // A moment that is yet to come is that of a clock that was wrong: the question would never be too old.
        let is_good = |one: &Asked| one.at <= now && one.query.len() <= QUESTION_BYTES_MAX;
        asked.into_iter().filter(is_good).for_each(|one| questions.add(one));
        questions.expire(now);
        questions
    }

    /// Adds a question that was asked just now. The same question before that is forgotten.
    pub fn add(&mut self, asked: Asked) {
        if let Some(same) = self.asked.iter().position(|known| known.query == asked.query) {
            self.remove(same);
        }
        self.bytes += asked.query.len();
        self.asked.push_back(asked);
        while self.asked.len() > self.bounds.questions || self.bytes > QUESTIONS_BYTES_MAX {
            self.remove(0);
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(removed) = self.asked.remove(at) {
            self.bytes -= removed.query.len();
        }
    }

    /// Removes what is too old. Returns whether that was anything.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let oldest = before(now, self.bounds.age_s);
        self.keep(|one| one.at >= oldest)
    }

    /// The projects that are named.
    #[must_use]
    pub fn projects(&self) -> BTreeSet<String> {
        self.asked.iter().filter_map(Asked::project).collect()
    }

    /// Removes the questions about these projects. Returns whether there were any.
    pub fn forget_projects(&mut self, projects: &BTreeSet<String>) -> bool {
        self.keep(|one| one.project().is_none_or(|project| !projects.contains(&project)))
    }

    fn keep(&mut self, is_kept: impl Fn(&Asked) -> bool) -> bool {
        let before = self.asked.len();
        self.asked.retain(is_kept);
        self.bytes = self.asked.iter().map(|one| one.query.len()).sum();
        self.asked.len() != before
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Asked> {
        self.asked.iter().cloned().collect()
    }

    /// The newest of the last `since_s` seconds, at most so many, the oldest of them first.
    #[must_use]
    pub fn newest(&self, (since_s, at_most): (u32, usize), now: Timestamp) -> Vec<Asked> {
        let oldest = before(now, since_s);
        let young: Vec<&Asked> = self.asked.iter().filter(|one| one.at >= oldest).collect();
        young[young.len().saturating_sub(at_most)..].iter().map(|one| (*one).clone()).collect()
    }
}

/// The moment so many seconds ago.
fn before(now: Timestamp, seconds: u32) -> Timestamp {
    now.checked_sub(SignedDuration::from_secs(seconds.into())).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn asked(query: &str, second: i64) -> Asked {
        Asked { query: query.to_owned(), at: at(second) }
    }

    fn queries(asked: &[Asked]) -> Vec<&str> {
        asked.iter().map(|one| one.query.as_str()).collect()
    }

    const BOUNDS: Bounds = Bounds { questions: 3, age_s: 100 };

    #[test]
    fn the_newest_distinct_ones_are_kept() {
        let mut questions = Questions::new(BOUNDS, Vec::new(), at(0));
        for (number, query) in ["a", "b", "a", "c", "d"].into_iter().enumerate() {
            questions.add(asked(query, i64::try_from(number).unwrap()));
        }
        assert_eq!(queries(&questions.all()), ["a", "c", "d"]);
        assert_eq!(questions.all()[0].at, at(2), "the moment is that of the last time");
        assert_eq!(queries(&questions.newest((100, 2), at(4))), ["c", "d"]);
        assert_eq!(queries(&questions.newest((1, 3), at(4))), ["c", "d"]);
        assert!(questions.expire(at(103)));
        assert_eq!(queries(&questions.all()), ["c", "d"]);
        assert!(!questions.expire(at(103)));
    }

    #[test]
    fn all_of_them_together_have_a_bound() {
        let many = Bounds { questions: 10_000, age_s: 100 };
        let mut questions = Questions::new(many, Vec::new(), at(0));
        for number in 0..4_000 {
            questions.add(asked(&format!("{number:0>2000}"), 1));
        }
        assert_eq!(questions.all().len(), QUESTIONS_BYTES_MAX / 2_000);
        assert!(questions.forget_projects(&BTreeSet::new()) || questions.bytes <= QUESTIONS_BYTES_MAX);
    }

    #[test]
    fn what_a_file_says_is_checked() {
        let long = "q".repeat(QUESTION_BYTES_MAX + 1);
        let found =
            vec![asked("b", 90), asked("later", 200), asked(&long, 90), asked("old", 1), asked("a", 80)];
        let questions = Questions::new(BOUNDS, found, at(150));
        assert_eq!(queries(&questions.all()), ["a", "b"]);
    }

    #[test]
    fn questions_about_a_forgotten_project_go() {
        let found = vec![asked("q=a&project=x%20y", 1), asked("q=b&project=z", 2), asked("q=c", 3)];
        let mut questions = Questions::new(BOUNDS, found, at(4));
        assert_eq!(questions.projects(), BTreeSet::from(["x y".to_owned(), "z".to_owned()]));
        assert!(questions.forget_projects(&BTreeSet::from(["x y".to_owned()])));
        assert_eq!(queries(&questions.all()), ["q=b&project=z", "q=c"]);
    }

    #[test]
    fn a_question_is_asked_again_at_its_moment() {
        let moment = "1970%2D01%2D01T00%3A00%3A07Z";
        let expected = format!("q=a&known_at={moment}&as_of={moment}");
        assert_eq!(asked("q=a", 7).at_its_moment(), expected);
        assert_eq!(asked("q=a&as_of=x", 7).at_its_moment(), format!("q=a&as_of=x&known_at={moment}"));
    }
}
