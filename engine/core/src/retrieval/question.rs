//! Analyses the words of a query: what kind of answer it asks for, and which dates it names.

use jiff::civil::Date;

use super::text_style::month;
use crate::words::terms::is_stop_word;
use crate::words::{normal_form, words};

/// An analysed query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnalysedQuery {
    /// All words, in lower case.
    pub words: Vec<String>,
    /// The words that start with a capital, in lower case.
    pub capitalised: Vec<String>,
    /// It asks for a time.
    pub when: bool,
    /// It asks for a number.
    pub many: bool,
    /// It asks for a place.
    pub place: bool,
    /// It begins with "what" or "which".
    pub what: bool,
    /// Dates in the query.
    pub dates: Dates,
}

/// Months, years and days of the month in a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dates {
    months: Vec<i8>,
    years: Vec<i16>,
    days: Vec<i8>,
}

impl AnalysedQuery {
    /// Analyses a query.
    pub fn read(query: &str) -> AnalysedQuery {
        let (mut all, mut capitalised) = (Vec::new(), Vec::new());
        words(query, |word| all.push(word.to_owned()));
        for run in normal_form(query).split(|c: char| !c.is_alphanumeric() && c != '_') {
            if run.starts_with(char::is_uppercase) {
                let mut folded = String::new();
                words(run, |word| folded.push_str(word));
                capitalised.push(folded);
            }
        }
        let has = |word: &str| all.iter().any(|known| known == word);
        let follows = |first: &[&str], second: &[&str]| {
            all.windows(2).any(|pair| first.contains(&&*pair[0]) && second.contains(&&*pair[1]))
        };
        let which = &["what", "which"][..];
        AnalysedQuery {
            when: has("when")
                || follows(&["how"], &["long"])
                || follows(which, &["year", "month", "date", "day"]),
            many: follows(&["how"], &["many", "much", "often", "long", "old"]),
            place: has("where") || follows(which, &["country", "city", "place", "state"]),
            what: all.first().is_some_and(|word| which.contains(&&**word)),
            dates: Dates::read(query),
            words: all,
            capitalised,
        }
    }

    /// Whether the query contains the actor's name, `name`, given as lower-case words: either the complete name, or
    /// only the first name, capitalised. The first name alone counts only if `is_capitalised`.
    pub fn names(&self, name: &[String], is_capitalised: bool) -> bool {
        let Some(first) = name.first() else { return false };
        name.iter().all(|word| self.words.contains(word))
            || (is_capitalised && self.capitalised.contains(first))
    }

    /// The content words: without stop words and `names`. If no word is left, the words without stop words; if there
    /// are none either, all words.
    pub fn kept(&self, names: &[String]) -> Vec<&str> {
        let telling = |word: &&str| !is_stop_word(word);
        let all = || self.words.iter().map(String::as_str);
        let kept: Vec<&str> =
            all().filter(telling).filter(|word| names.iter().all(|name| name != word)).collect();
        if !kept.is_empty() {
            return kept;
        }
        let kept: Vec<&str> = all().filter(telling).collect();
        if kept.is_empty() { all().collect() } else { kept }
    }
}

impl Dates {
    fn read(query: &str) -> Dates {
        let mut dates = Dates::default();
        let runs: Vec<&str> =
            query.split(|c: char| !c.is_alphanumeric()).filter(|run| !run.is_empty()).collect();
        for run in &runs {
            // A month must be capitalised, because "may" is usually not a month and "May" is.
            if run.starts_with(|c: char| c.is_ascii_uppercase())
                && let Some(number) = month(&run.to_ascii_lowercase())
                && run[1..].bytes().all(|byte| byte.is_ascii_lowercase())
            {
                dates.months.push(number);
            }
            if let Ok(year @ 1900..=2099) = run.parse::<i16>()
                && run.len() == 4
            {
                dates.years.push(year);
            }
        }
        if !dates.months.is_empty() {
            dates.days = runs.iter().filter_map(|run| day(run)).collect();
        }
        dates
    }

    /// Whether the query names no date.
    pub fn is_empty(&self) -> bool {
        self.months.is_empty() && self.years.is_empty()
    }

    /// How well a day fits the dates: 0 not at all; 0.5 the year or month; 1 the month, if no day is named, or 3 to 9
    /// days after the named day; 1.5 from one day before to two days after the named day.
    pub fn fit(&self, date: Date) -> f64 {
        if self.is_empty() || (!self.years.is_empty() && !self.years.contains(&date.year())) {
            return 0.0;
        }
        if self.months.is_empty() {
            return 0.5;
        }
        // Events of a month are often reported in the first days of the next month.
        let told = |month: &i8| date.month() == *month || (date.month() == month % 12 + 1 && date.day() <= 7);
        if !self.months.iter().any(told) {
            return 0.0;
        }
        if self.days.is_empty() {
            return 1.0;
        }
        let named = self.months.iter().flat_map(|month| self.days.iter().map(move |day| (*month, *day)));
        let gaps = named.filter_map(|(month, day)| {
            let named = Date::new(date.year(), month, day).ok()?;
            Some(date.since(named).ok()?.get_days())
        });
        gaps.fold(0.5, |fit: f64, gap| match gap {
            -1..=2 => fit.max(1.5),
            3..=9 => fit.max(1.0),
            _ => fit,
        })
    }
}

/// Parses a day of the month: `5`, `5th`.
fn day(run: &str) -> Option<i8> {
    let digits = run.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let ending = &run[digits.len()..];
    let plain = matches!(ending, "" | "st" | "nd" | "rd" | "th") && (1..=2).contains(&digits.len());
    digits.parse().ok().filter(|day| plain && (1..=31).contains(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(query: &str, names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        AnalysedQuery::read(query).kept(&names).join(" ")
    }

    #[test]
    fn stop_words_and_names_are_left_out_while_something_is_left() {
        assert_eq!(kept("What did Ana paint?", &["ana"]), "paint");
        assert_eq!(kept("What did Ana do?", &["ana"]), "ana");
        assert_eq!(kept("What is it?", &[]), "what is it");
        assert_eq!(kept("", &[]), "");
    }

    #[test]
    fn a_question_says_what_it_asks_for() {
        let asks = |query| {
            let AnalysedQuery { when, many, place, what, .. } = AnalysedQuery::read(query);
            (when, many, place, what)
        };
        assert_eq!(asks("When did she go?"), (true, false, false, false));
        assert_eq!(asks("How long was it?"), (true, true, false, false));
        assert_eq!(asks("Which city is it?"), (false, false, true, true));
        assert_eq!(asks("the kettle"), (false, false, false, false));
    }

    #[test]
    fn somebody_is_named_in_full_or_by_a_first_name() {
        let named = |query, name: &[&str], capital| {
            let name: Vec<String> = name.iter().map(|word| (*word).to_owned()).collect();
            AnalysedQuery::read(query).names(&name, capital)
        };
        assert!(named("what did ana say", &["ana"], true));
        assert!(named("What did Ana say", &["ana", "lima"], true));
        assert!(!named("what did ana say", &["ana", "lima"], true));
        assert!(!named("What did Ana say", &["ana", "lima"], false));
        assert!(!named("What did Ana say", &[], true));
    }

    #[test]
    fn dates_fit_days() {
        let fit = |query: &str, date: &str| AnalysedQuery::read(query).dates.fit(date.parse().unwrap());
        assert_eq!(fit("in May", "2023-05-20"), 1.0);
        assert_eq!(fit("in May", "2023-06-03"), 1.0);
        assert_eq!(fit("in May", "2023-06-13"), 0.0);
        assert_eq!(fit("you may", "2023-05-20"), 0.0);
        assert_eq!(fit("in 2022", "2023-05-20"), 0.0);
        assert_eq!(fit("in 2023", "2023-05-20"), 0.5);
        assert_eq!(fit("on 7 May 2023", "2023-05-08"), 1.5);
        assert_eq!(fit("on May 7th", "2023-05-12"), 1.0);
        assert_eq!(fit("on 7 May 2023", "2023-05-28"), 0.5);
        assert_eq!(fit("on 31 February", "2023-02-03"), 0.5);
        assert_eq!(fit("nothing", "2023-05-08"), 0.0);
    }
}
