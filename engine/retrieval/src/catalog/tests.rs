use super::*;

fn row(seq: i64, session: Option<&str>, content: &str) -> MemoryRow {
    MemoryRow {
        seq,
        known: seq * 10,
        valid_from: seq * 10,
        occurred: seq * 10,
        actor: "ana".into(),
        kind: "note".into(),
        session: session.map(str::to_owned),
        title: String::new(),
        tags: "[]".into(),
        content: content.into(),
    }
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::new(Model::Hashing, false);
    for (seq, session, content) in [
        (3, Some("a"), "The kettle is blue"),
        (5, Some("b"), "Which kettle?"),
        (6, Some("a"), "The pot is red"),
        (9, None, "A note"),
    ] {
        catalog.push(&row(seq, session, content));
    }
    catalog
}

fn now() -> Bounds {
    Bounds { as_of: 1_000, known_seq: i64::MAX, known_time: i64::MAX, is_now: true }
}

#[test]
fn neighbours_are_those_of_the_session() {
    let catalog = catalog();
    assert_eq!(catalog.neighbour(0, 1), Some(2));
    assert_eq!(catalog.neighbour(2, -1), Some(0));
    assert_eq!(
        (catalog.neighbour(1, 1), catalog.neighbour(3, -1), catalog.neighbour(0, -1)),
        (None, None, None)
    );
    assert_eq!((catalog.number(6), catalog.number(4)), (Some(2), None));
    let mut from = 0;
    let found = [2, 3, 4, 6, 9, 12].map(|seq| catalog.number_from(&mut from, seq));
    assert_eq!(found, [None, Some(0), None, Some(2), Some(3), None]);
}

#[test]
fn what_is_true_follows_what_was_said_and_known() {
    let mut catalog = catalog();
    assert!(catalog.is_valid_and_known(0, &now()));
    assert!(!catalog.is_valid_and_known(0, &Bounds { as_of: 29, ..now() }));
    assert!(!catalog.is_valid_and_known(1, &Bounds { known_seq: 4, ..now() }));
    catalog.end(&EndRow { seq: 10, memory: 3, until: 500, known: 100 });
    catalog.end(&EndRow { seq: 11, memory: 4, until: 500, known: 100 });
    assert!(!catalog.is_valid_and_known(0, &now()));
    assert!(catalog.is_valid_and_known(0, &Bounds { as_of: 499, ..now() }));
    assert!(catalog.is_valid_and_known(0, &Bounds { known_seq: 9, ..now() }));
    assert_eq!((catalog.next_boundary(0), catalog.next_boundary(500)), (Some(500), None));
}

#[test]
fn what_is_forgotten_leaves_nothing_to_find() {
    let mut catalog = catalog();
    let kettle = number("kettl");
    assert_eq!(catalog.texts.frequency(kettle), 2);
    catalog.forget(3);
    catalog.forget(4);
    assert_eq!(catalog.texts.frequency(kettle), 1);
    let kettle = catalog.texts.number(kettle);
    let has = |number| catalog.texts.of(number).any(|word| word.number == kettle);
    assert!(!catalog.is_valid_and_known(0, &now()) && !has(0) && has(1));
}
