//! Copies new vectors of an external model from the store into a catalog.

use rusqlite::Result;

use super::catalog::Catalog;
use super::external_vectors::beginning;
use crate::embeddings::{ActiveModel, VectorStore};

/// Copies at most `limit` vectors that were stored since the last call. Returns whether there are more.
pub(super) fn load(
    catalog: &mut Catalog,
    project: &str,
    (answering, store): (&ActiveModel, &VectorStore),
    limit: usize,
) -> Result<bool> {
    let Some(mut outside) = catalog.outside.take() else { return Ok(false) };
    outside.begin(answering);
    let mut ahead = false;
    let more = store.load(answering.model, project, outside.through, limit, |stored| {
        // The memory is not in this catalog yet; the next call continues here.
        ahead = stored.memory > catalog.through;
        if ahead {
            return false;
        }
        outside.through = stored.id;
        let place = catalog.number(stored.memory).map(|number| number as usize);
        if let Some(place) = place.filter(|place| outside.digests[*place] == beginning(&stored.digest)) {
            outside.rows.place(place, stored.cells, stored.scale);
            outside.present += usize::from(!std::mem::replace(&mut outside.has[place], true));
        }
        true
    });
    if let Ok(false) = more
        && !ahead
    {
        outside.through = outside.through.max(answering.last);
    }
    catalog.outside = Some(outside);
    more
}
