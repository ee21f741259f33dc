//! Deserialises objects in requests and refuses lists in their place. A derived struct would also accept a list and
//! take its items for the fields in order.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Deserialises a list of objects.
pub(super) fn each<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(read)| read).collect())
}

/// Deserialises a list of objects; null gives None.
pub(super) fn each_or_none<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let objects = Option::<Vec<Object<T>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(objects.into_iter().map(|Object(read)| read).collect())
}

/// Deserialises a value; null gives the default.
pub(super) fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Deserialises an object; null gives None.
pub(super) fn maybe<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|Object(read)| read))
}

struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

#[cfg(test)]
mod tests {
    use crate::request::{Refused, parse};
    use crate::wire::{
        AddObservations, AppendEvents, CreateEntities, CreateRelations, EndObservations, IngestDocuments,
        PlanRetention, SaveMemories,
    };

    fn refusal<T: serde::de::DeserializeOwned>(body: &str) -> String {
        match parse::<T>(body.as_bytes()) {
            Err(Refused::Body(fault)) => fault,
            Err(other) => other.to_string(),
            Ok(_) => "accepted".into(),
        }
    }

    #[test]
    fn a_list_is_no_object() {
        let said = [
            refusal::<SaveMemories>(r#"{"memories":[["x"]]}"#),
            refusal::<AppendEvents>(r#"{"events":[["a",null,null,null,[],{}]]}"#),
            refusal::<IngestDocuments>(r#"{"documents":[["a","b"]]}"#),
            refusal::<CreateEntities>(r#"{"entities":[["a","b"]]}"#),
            refusal::<CreateRelations>(r#"{"relations":[["a","b","c"]]}"#),
            refusal::<AddObservations>(r#"{"observations":[["a",["b"]]]}"#),
            refusal::<EndObservations>(r#"{"deletions":[["a",["b"]]]}"#),
            refusal::<PlanRetention>(r#"{"rules":[1]}"#),
            refusal::<PlanRetention>(r#"{"rules":{"projects":[["a",1]]}}"#),
        ];
        for said in said {
            assert!(said.contains("a JSON object"), "{said}");
        }
        assert!(parse::<PlanRetention>(br#"{"rules":null}"#).is_ok());
        assert!(parse::<SaveMemories>(br#"{"memories":[{"content":"x"}]}"#).is_ok());
    }
}
