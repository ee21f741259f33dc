use k8s_openapi::api::core::v1::ServiceAccount;

use super::owned;
use crate::validate::Valid;

/// A ServiceAccount for the pod, without a token: an engine never calls the API server.
#[must_use]
pub fn service_account(valid: &Valid) -> ServiceAccount {
    ServiceAccount {
        metadata: owned(valid, valid.name.clone()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
