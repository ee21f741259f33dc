//! Validates requests on items.

use super::{Refused, count, name, named, one_line, size, words};
use crate::event::{Draft, ITEM_DELETED, ITEM_PUT, ITEM_REFRESHED};
use crate::filter::Filter;
use crate::item::{ItemDeletedPayload, ItemPayload, ItemRefreshedPayload, dotted};
use crate::limits::*;
use crate::wire::{DeleteItem, ListNamespaces, PutItem, SearchItems};
use crate::words::make_normal;

/// A validated write of one item.
#[derive(Debug, Clone)]
pub struct ItemWrite {
    /// Namespace in its stored form.
    pub namespace: String,
    /// Key of the item.
    pub key: String,
    /// Required current version; 0 means that the item must not exist.
    pub if_version: Option<u64>,
    /// The event to append.
    pub draft: Draft,
}

/// Validates a new version of an item.
pub fn put_item(request: PutItem) -> Result<ItemWrite, Refused> {
    put_item_to_live(request, None)
}

/// Validates a new version of an item that expires `ttl_ms` milliseconds after the last time that it was put or read.
pub fn put_item_to_live(request: PutItem, ttl_ms: Option<u64>) -> Result<ItemWrite, Refused> {
    size("value", request.value.get().len())?;
    put_sized_item(request, ttl_ms)
}

/// Validates a new version of a text item. The size limit applies to the text, not to its JSON form.
pub fn put_text_item(request: PutItem, text: &str) -> Result<ItemWrite, Refused> {
    size("the text", text.len())?;
    put_sized_item(request, None)
}

fn put_sized_item(request: PutItem, ttl_ms: Option<u64>) -> Result<ItemWrite, Refused> {
    let PutItem { project, mut namespace, mut key, value, expires_at, index, if_version, session, actor } =
        request;
    place(&mut namespace, &mut key)?;
    if let Some(paths) = &index {
        count("index", paths.len(), 0, ITEM_INDEX_FIELDS_MAX)?;
        for (i, path) in paths.iter().enumerate() {
            name(&format!("index[{i}]"), path, ITEM_FIELD_CHARS_MAX)?;
        }
    }
    let stored = dotted(&namespace);
    let payload =
        ItemPayload { namespace, key: key.clone(), value: one_line(value)?, expires_at, ttl_ms, index };
    let payload =
        serde_json::value::to_raw_value(&payload).expect("strings, a time and JSON are always JSON");
    let draft = Draft {
        kind: ITEM_PUT.into(),
        actor: named("actor", actor, ACTOR_DEFAULT)?,
        project: named("project", project, PROJECT_DEFAULT)?,
        session: session.map(|session| named("session", Some(session), "")).transpose()?,
        causes: Vec::new(),
        payload,
    };
    Ok(ItemWrite { namespace: stored, key, if_version, draft })
}

/// Validates the deletion of an item.
pub fn deleted_item(request: DeleteItem) -> Result<ItemWrite, Refused> {
    let DeleteItem { project, mut namespace, mut key, if_version, session, actor } = request;
    place(&mut namespace, &mut key)?;
    let stored = dotted(&namespace);
    let payload = ItemDeletedPayload { namespace, key: key.clone() };
    let draft = Draft {
        kind: ITEM_DELETED.into(),
        actor: named("actor", actor, ACTOR_DEFAULT)?,
        project: named("project", project, PROJECT_DEFAULT)?,
        session: session.map(|session| named("session", Some(session), "")).transpose()?,
        causes: Vec::new(),
        payload: serde_json::value::to_raw_value(&payload).expect("strings are always JSON"),
    };
    Ok(ItemWrite { namespace: stored, key, if_version, draft })
}

/// An event that extends the life of a version until `until`, in microseconds since the Unix epoch.
pub fn refreshed_item(project: String, version: u64, until: i64) -> Result<Draft, Refused> {
    let expires_at = jiff::Timestamp::from_microsecond(until).map_err(|_| Refused::Moment("expires_at"))?;
    let payload = ItemRefreshedPayload { version, expires_at };
    Ok(Draft {
        kind: ITEM_REFRESHED.into(),
        actor: ACTOR_DEFAULT.into(),
        project,
        session: None,
        causes: Vec::new(),
        payload: serde_json::value::to_raw_value(&payload).expect("a number and a time are always JSON"),
    })
}

/// Validates the address of an item. Returns project, namespace and key in their stored form.
pub fn item_place(
    project: Option<String>,
    mut namespace: Vec<String>,
    mut key: String,
) -> Result<(String, String, String), Refused> {
    place(&mut namespace, &mut key)?;
    Ok((named("project", project, PROJECT_DEFAULT)?, dotted(&namespace), key))
}

/// Splits a namespace from a URL into its segments.
pub fn item_namespace(text: &str) -> Vec<String> {
    text.split('.').map(str::to_owned).collect()
}

/// Validates a search. Returns project, namespace prefix and filter.
pub fn searched_items(request: &SearchItems) -> Result<(String, String, Filter), Refused> {
    let mut prefix = request.namespace_prefix.clone();
    segments("namespace_prefix", &mut prefix, 0, false)?;
    words(request.query.as_deref().unwrap_or_default())?;
    limits(request.limit, request.offset)?;
    let filter = request.filter.as_ref().map(Filter::new).transpose()?.unwrap_or_default();
    let project = named("project", request.project.clone(), PROJECT_DEFAULT)?;
    Ok((project, dotted(&prefix), filter))
}

/// A validated query for namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceQuery {
    /// Project that the namespaces belong to.
    pub project: String,
    prefix: Vec<String>,
    suffix: Vec<String>,
    depth: usize,
}

/// Validates a query for namespaces.
pub fn listed_namespaces(request: &ListNamespaces) -> Result<NamespaceQuery, Refused> {
    let (mut prefix, mut suffix) = (request.prefix.clone(), request.suffix.clone());
    segments("prefix", &mut prefix, 0, true)?;
    segments("suffix", &mut suffix, 0, true)?;
    limits(request.limit, request.offset)?;
    // A greater depth than the maximum number of segments has no effect.
    let depth = request.max_depth.map_or(ITEM_SEGMENTS_MAX, |depth| depth as usize);
    if depth == 0 {
        return Err(Refused::Range { field: "max_depth", min: 1, max: u32::MAX.into() });
    }
    let project = named("project", request.project.clone(), PROJECT_DEFAULT)?;
    Ok(NamespaceQuery { project, prefix, suffix, depth })
}

impl NamespaceQuery {
    /// The segments of a stored namespace, truncated to the depth of the query. None if the namespace does not match
    /// the query.
    pub fn told(&self, stored: &str) -> Option<Vec<String>> {
        let segments: Vec<&str> = stored.split('.').collect();
        let fits = |wanted: &[String], found: &[&str]| {
            wanted.iter().zip(found).all(|(wanted, found)| wanted == "*" || wanted == found)
        };
        let begins = segments.get(..self.prefix.len()).is_some_and(|start| fits(&self.prefix, start));
        let from = segments.len().checked_sub(self.suffix.len())?;
        let told = || segments.iter().take(self.depth).map(|segment| (*segment).to_owned()).collect();
        (begins && fits(&self.suffix, &segments[from..])).then(told)
    }
}

fn limits(limit: Option<u32>, offset: Option<u32>) -> Result<(), Refused> {
    if limit.is_some_and(|limit| !(1..=ITEMS_LIMIT_MAX).contains(&limit)) {
        return Err(Refused::Range { field: "limit", min: 1, max: ITEMS_LIMIT_MAX.into() });
    }
    if offset.is_some_and(|offset| offset > SEARCH_OFFSET_MAX) {
        return Err(Refused::Range { field: "offset", min: 0, max: SEARCH_OFFSET_MAX.into() });
    }
    Ok(())
}

fn place(namespace: &mut [String], key: &mut String) -> Result<(), Refused> {
    segments("namespace", namespace, 1, false)?;
    make_normal(key);
    name("key", key, ITEM_KEY_CHARS_MAX)
}

fn segments(field: &str, segments: &mut [String], min: usize, wild: bool) -> Result<(), Refused> {
    count(field, segments.len(), min, ITEM_SEGMENTS_MAX)?;
    segments.iter_mut().for_each(make_normal);
    for (i, segment) in segments.iter().enumerate() {
        let field = format!("{field}[{i}]");
        name(&field, segment, ITEM_SEGMENT_CHARS_MAX)?;
        if segment.contains('.') {
            return Err(Refused::Body(format!(
                "{field} must not have full stops: they stand between segments"
            )));
        }
        if segment == "*" && !wild {
            return Err(Refused::Body(format!("{field} must not be *, which stands for any segment")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::request::parse;

    fn put(request: &Value) -> Result<ItemWrite, Refused> {
        put_item(parse(request.to_string().as_bytes())?)
    }

    #[test]
    fn a_value_is_kept_as_it_came_on_one_line() {
        let body = b"{\"namespace\":[\"a\",\"b c\"],\"key\":\"k\",\"value\":{\"z\": 1.50,\n\"a\":[]}}";
        let write = put_item(parse(body).unwrap()).unwrap();
        assert_eq!((write.namespace.as_str(), write.key.as_str()), ("a.b c", "k"));
        let payload = r#"{"namespace":["a","b c"],"key":"k","value":{"z": 1.50, "a":[]}}"#;
        assert_eq!(write.draft.payload.get(), payload);
        assert_eq!((write.draft.project.as_str(), write.draft.actor.as_str()), ("default", "anonymous"));
    }

    #[test]
    fn an_item_that_breaks_a_rule_is_refused() {
        let body = |change: &dyn Fn(&mut Value)| {
            let mut body = json!({"namespace": ["a"], "key": "k", "value": 1});
            change(&mut body);
            put(&body)
        };
        assert!(body(&|_| {}).is_ok());
        let long = |n: usize| "é".repeat(n);
        assert!(body(&|b| b["namespace"] = json!(vec![long(128); 8])).is_ok());
        assert!(body(&|b| b["key"] = json!(long(512))).is_ok());
        assert!(body(&|b| b["value"] = json!("x".repeat((1 << 20) - 2))).is_ok());
        type Broken<'a> = (&'a dyn Fn(&mut Value), &'a str);
        let refused: [Broken<'_>; 11] = [
            (&|b| b["namespace"] = json!([]), "namespace has 0 items"),
            (&|b| b["namespace"] = json!(vec!["a"; 9]), "namespace has 9 items"),
            (&|b| b["namespace"] = json!(["a", " "]), "namespace[1] must not be empty"),
            (&|b| b["namespace"] = json!(["a.b"]), "namespace[0] must not have full stops"),
            (&|b| b["namespace"] = json!(["*"]), "namespace[0] must not be *"),
            (&|b| b["namespace"] = json!([long(129)]), "namespace[0] has 129 characters"),
            (&|b| b["key"] = json!("a\nb"), "key must not have control characters"),
            (&|b| b["key"] = json!(long(513)), "key has 513 characters"),
            (&|b| b["value"] = json!("x".repeat((1 << 20) - 1)), "value has 1048577 bytes"),
            (&|b| b["index"] = json!(vec!["f"; 33]), "index has 33 items"),
            (&|b| b["index"] = json!([""]), "index[0] must not be empty"),
        ];
        for (change, message) in refused {
            let fault = body(change).unwrap_err().to_string();
            assert!(fault.contains(message), "{fault}, not {message}");
        }
    }

    #[test]
    fn namespaces_are_told_by_their_ends_and_cut() {
        let told = |request: Value, stored: &str| {
            let request: ListNamespaces = serde_json::from_value(request).unwrap();
            listed_namespaces(&request).unwrap().told(stored).map(|told| told.join("."))
        };
        assert_eq!(told(json!({}), "a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(told(json!({"prefix": ["a", "*"], "suffix": ["c"]}), "a.b.c").as_deref(), Some("a.b.c"));
        assert_eq!(told(json!({"max_depth": 2}), "a.b.c").as_deref(), Some("a.b"));
        for deep in [3, 4, 8, 9, 100, u32::MAX] {
            assert_eq!(told(json!({"max_depth": deep}), "a.b.c").as_deref(), Some("a.b.c"), "{deep}");
        }
        assert_eq!(told(json!({"prefix": ["b"]}), "a.b.c"), None);
        assert_eq!(told(json!({"suffix": ["b"]}), "a.b.c"), None);
        assert_eq!(told(json!({"prefix": ["a", "b"]}), "a"), None);
        assert_eq!(told(json!({"suffix": ["*", "a"]}), "a"), None);
        for bad in [json!({"max_depth": 0}), json!({"limit": 0}), json!({"limit": 1001})] {
            let request: ListNamespaces = serde_json::from_value(bad.clone()).unwrap();
            assert!(listed_namespaces(&request).is_err(), "{bad}");
        }
    }
}
