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
    let Some(mut external) = catalog.external.take() else { return Ok(false) };
    external.begin(answering);
    let mut ahead = false;
    let more = store.load(answering.model, project, external.through, limit, |stored| {
        // This memory is not in the catalog yet. The next call continues with its vector.
        ahead = stored.memory > catalog.applied_through;
        if ahead {
            return false;
        }
        external.through = stored.id;
        let place = catalog.number(stored.memory).map(|number| number as usize);
        if let Some(place) = place.filter(|place| external.digests[*place] == beginning(&stored.digest)) {
            external.rows.place(place, stored.cells, stored.scale);
            external.present += usize::from(!std::mem::replace(&mut external.has[place], true));
        }
        true
    });
    if let Ok(false) = more
        && !ahead
    {
        external.through = external.through.max(answering.last);
    }
    catalog.external = Some(external);
    more
}
