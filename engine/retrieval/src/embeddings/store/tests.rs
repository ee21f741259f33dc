use super::*;

fn opened() -> (tempfile::TempDir, VectorStore) {
    let directory = tempfile::tempdir().unwrap();
    let store = VectorStore::open(&directory.path().join("vectors")).unwrap();
    (directory, store)
}

fn put(store: &VectorStore, model: i64, memory: i64, text: &str, vector: &[f32]) {
    store.put(model, &[NewVector { memory, project: "p", digest: digest(text), vector }]).unwrap();
}

fn loaded(store: &VectorStore, model: i64) -> Vec<(i64, Vec<u8>)> {
    let mut found = Vec::new();
    let more = store.load(model, "p", 0, 100, |row| {
        found.push((row.memory, row.cells.to_vec()));
        true
    });
    assert!(!more.unwrap());
    found
}

#[test]
fn vectors_are_kept_by_model_and_text() {
    let (directory, store) = opened();
    let small = store.model("small", None, "http://a/").unwrap();
    let other = store.model("small", Some(2), "http://a/").unwrap();
    assert_ne!(small.id, other.id);
    put(&store, small.id, 3, "three", &[3.0, 4.0, 0.0]);
    put(&store, other.id, 3, "three", &[0.0, 1.0]);
    put(&store, small.id, 5, "", &[]);
    drop(store);
    let store = VectorStore::open(&directory.path().join("vectors")).unwrap();
    let again = store.model("small", None, "http://b/").unwrap();
    assert_eq!(
        (again.id, again.dimension, again.url.as_str(), again.complete),
        (small.id, 3, "http://b/", false)
    );
    assert_eq!(store.held(small.id, 0, 9).unwrap(), BTreeMap::from([(3, digest("three")), (5, digest(""))]));
    assert_eq!(store.held(small.id, 3, 4).unwrap().len(), 0);
    assert_eq!(store.same(small.id, &digest("three")).unwrap(), Some(vec![3.0, 4.0, 0.0]));
    assert_eq!(store.same(small.id, &digest("four")).unwrap(), None);
    assert_eq!(loaded(&store, small.id), [(3, vec![95, 127, 0]), (5, vec![])]);
    assert_eq!(store.exact(small.id, &[3, 4]).unwrap(), HashMap::from([(3, vec![3.0, 4.0, 0.0])]));
    assert_eq!((store.extent(small.id).unwrap().1, store.memories(0, 9).unwrap().len()), (2, 2));
    put(&store, small.id, 3, "third", &[1.0, 0.0, 0.0]);
    assert_eq!(loaded(&store, small.id).iter().map(|(memory, _)| *memory).collect::<Vec<_>>(), [5, 3]);
    while store.drop_others(small.id).unwrap() {}
    assert_eq!((store.models().unwrap().len(), loaded(&store, other.id).len()), (1, 0));
}

/// An earlier version stored whatever the service answered.
#[test]
fn the_stored_vectors_have_the_dimension_and_others_are_made_again() {
    let (_directory, store) = opened();
    let model = store.model("small", None, "http://a/").unwrap().id;
    let dimension = || store.models().unwrap()[0].dimension;
    assert_eq!(dimension(), 0);
    put(&store, model, 3, "refused", &[]);
    put(&store, model, 7, "seven", &[1.0, 0.0, 0.0]);
    put(&store, model, 9, "nine", &[1.0, 0.0]);
    assert_eq!(dimension(), 3);
    let held = store.held(model, 0, 99).unwrap();
    assert_eq!(held.into_keys().collect::<Vec<_>>(), [3, 7]);
    assert_eq!(store.same(model, &digest("nine")).unwrap(), None);
    assert!(store.same(model, &digest("seven")).unwrap().is_some());
    store.remove(&[3, 7, 9]).unwrap();
    assert_eq!(dimension(), 0, "no vectors, no dimension");
}

#[test]
fn what_is_removed_is_in_no_file() {
    let (directory, store) = opened();
    let model = store.model("small", None, "http://a/").unwrap();
    let told: Vec<f32> = (0..600_u16).map(|n| f32::from(n) + 0.25).collect();
    put(&store, model.id, 1, "one", &told);
    put(&store, model.id, 2, "two", &[1.0; 600]);
    let pattern: Vec<u8> = told[7..11].iter().flat_map(|value| value.to_le_bytes()).collect();
    let is_there = || {
        let files = fs::read_dir(directory.path().join("vectors")).unwrap();
        files
            .map(|file| fs::read(file.unwrap().path()).unwrap())
            .any(|bytes| bytes.windows(pattern.len()).any(|window| window == pattern))
    };
    assert!(is_there(), "otherwise the search proves nothing");
    assert_eq!(store.remove(&[1, 7]).unwrap(), 1);
    assert!(!is_there());
    assert_eq!(store.held(model.id, 0, 9).unwrap().len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_begun_anew() {
    let (directory, store) = opened();
    store.model("small", None, "http://a/").unwrap();
    drop(store);
    let path = directory.path().join("vectors").join(FILE);
    fs::write(&path, "no database at all ".repeat(1_000)).unwrap();
    let store = VectorStore::open(path.parent().unwrap()).unwrap();
    assert_eq!(store.models().unwrap(), []);
    store.writer().execute_batch("PRAGMA user_version = 99").unwrap();
    store.model("small", None, "http://a/").unwrap();
    drop(store);
    assert_eq!(VectorStore::open(path.parent().unwrap()).unwrap().models().unwrap(), []);
}
