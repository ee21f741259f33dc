//! Takes over the vectors that a provider has made since the last time.

use rusqlite::Result;

use super::catalog::Catalog;
use super::external_vectors::beginning;
use crate::embeddings::{Answering, VectorStore};

/// Takes over at most so many vectors that were kept since the last time. Whether there are more.
pub(super) fn load(
    catalog: &mut Catalog,
    project: &str,
    (answering, store): (&Answering, &VectorStore),
    limit: usize,
) -> Result<bool> {
    let Some(mut outside) = catalog.outside.take() else { return Ok(false) };
    outside.begin(answering);
    let mut ahead = false;
    let more = store.load(answering.model, project, outside.through, limit, |stored| {
        // Of a memory that this catalog does not know yet: the next time.
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
