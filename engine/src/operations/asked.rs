//! Tells who listens to a request what it has searched for.

use engine_core::wire::SearchMode;
use engine_projection::Search;

use super::handle::Operations;

/// A search of a request, for whoever listens to it.
#[derive(Debug)]
pub(super) struct Asked(Option<Vec<(String, String)>>);

impl Operations {
    /// Notes a search, in the words of the caller. Nothing is noted while nobody listens.
    pub(super) fn note(&self, search: impl FnOnce() -> Option<Search>) -> Asked {
        let search = self.session.listener().and_then(|_| search());
        Asked(search.and_then(|search| parameters(&search, self.search_limit())))
    }

    /// Tells who listens about a search that was answered.
    pub(super) fn tell(&self, asked: Asked) {
        if let (Some(listener), Some(parameters)) = (self.session.listener(), asked.0) {
            listener.searched(&parameters);
        }
    }
}

/// The parameters of a search at `GET /v1/search`, where `default` memories are found; none if it is about another
/// moment than its own.
fn parameters(search: &Search, default: u32) -> Option<Vec<(String, String)>> {
    let Search { words, project, kind, session, tags, mode, explain: _, moment, limit, offset } = search;
    if moment.as_of.is_some() || moment.known.is_some() {
        return None;
    }
    let named = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let words = Some(named("q", words)).filter(|(_, words)| !words.is_empty());
    let filters = [("project", project), ("type", kind), ("session", session)];
    let filters = filters.into_iter().filter_map(|(name, value)| Some(named(name, value.as_ref()?)));
    let (any, all) = tags.lists();
    let any = any.iter().map(|tag| named("tags_any", tag));
    let all = all.iter().map(|tag| named("tags_all", tag));
    let mode = matches!(mode, SearchMode::Lexical).then(|| named("mode", "lexical"));
    let offset = (*offset > 0).then(|| named("offset", &offset.to_string()));
    let limit = (*limit != default).then(|| named("limit", &limit.to_string()));
    Some(
        words
            .into_iter()
            .chain(filters)
            .chain(any)
            .chain(all)
            .chain(mode)
            .chain(limit)
            .chain(offset)
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use engine_core::tags::Tags;
    use engine_projection::{LogState, Moment};
    use jiff::Timestamp;

    use super::*;

    fn search() -> Search {
        Search {
            words: "the blue kettle".to_owned(),
            project: Some("house".to_owned()),
            kind: None,
            session: None,
            tags: Tags::new(vec!["a".to_owned()], vec!["b".to_owned(), "c".to_owned()]).unwrap(),
            mode: SearchMode::Hybrid,
            explain: true,
            moment: Moment { now: Timestamp::UNIX_EPOCH, as_of: None, known: None },
            limit: 7,
            offset: 0,
        }
    }

    fn said(search: &Search) -> Option<String> {
        let of = |(name, value): (String, String)| format!("{name}={value}");
        Some(parameters(search, 20)?.into_iter().map(of).collect::<Vec<_>>().join("&"))
    }

    #[test]
    fn a_search_has_the_parameters_of_its_route() {
        let expected = "q=the blue kettle&project=house&tags_any=a&tags_all=b&tags_all=c&limit=7";
        assert_eq!(said(&search()).as_deref(), Some(expected));
        let usual = Search { tags: Tags::default(), limit: 20, ..search() };
        assert_eq!(said(&usual).as_deref(), Some("q=the blue kettle&project=house"));
        let next = Search { words: String::new(), mode: SearchMode::Lexical, offset: 7, ..search() };
        let expected = "project=house&tags_any=a&tags_all=b&tags_all=c&mode=lexical&limit=7&offset=7";
        assert_eq!(said(&next).as_deref(), Some(expected));
    }

    #[test]
    fn a_search_about_another_moment_is_not_told() {
        let mut past = search();
        past.moment.known = Some(LogState::Through(3));
        assert_eq!(said(&past), None);
        past.moment = Moment { as_of: Some(Timestamp::UNIX_EPOCH), ..search().moment };
        assert_eq!(said(&past), None);
    }
}
