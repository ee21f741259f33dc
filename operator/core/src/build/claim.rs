use std::collections::BTreeMap;

use crds::Quantity as Amount;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::kept;
use crate::{
    names::{self, ANCHOR_ANNOTATION},
    validate::Valid,
};

/// The claim of the log's volume. It has no owner, so that deleting the engine never deletes memories. `size` is a
/// parameter because `storage` computes it, not from the spec alone. `note` is the record of the log; like the claim,
/// it outlives the engine.
#[must_use]
pub fn claim(valid: &Valid, size: &Amount, note: Option<&str>) -> PersistentVolumeClaim {
    let note = note.map(|note| BTreeMap::from([(ANCHOR_ANNOTATION.to_owned(), note.to_owned())]));
    PersistentVolumeClaim {
        metadata: ObjectMeta { annotations: note, ..kept(valid, names::claim(&valid.name)) },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec![valid.essentials.access_mode.as_str().to_owned()]),
            storage_class_name: valid.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(size.0.clone()))])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
