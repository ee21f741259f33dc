//! Reads and sets the ranking weights while the engine runs.

use std::collections::BTreeMap;

use engine_core::access::Scope;
use engine_core::event::{Draft, LOG_PROJECT, RETRIEVAL_WEIGHTS_SET};
use engine_core::request::{self, Refused};
use engine_core::retrieval::weights::Weights;
use engine_core::wire::{SetWeights, WeightsSet, WeightsView};

use super::gate::Permit;
use super::handle::{Operations, Written};
use super::idempotency::SentKey;
use crate::refusal::{Refusal, internal};
use engine_projection::applied_seq;

impl Operations {
    /// The current weights.
    pub(crate) async fn weights(&self) -> Result<WeightsView, Refusal> {
        self.permit_log(Scope::Read)?;
        let retrieval = std::sync::Arc::clone(&self.engine.retrieval);
        self.query("weights", None, move |connection| {
            let moment = connection.unchecked_transaction()?;
            let Weights { version, weights } = (*retrieval.weights(&moment)?).clone();
            Ok(WeightsView { version, weights, applied_seq: applied_seq(&moment)?.unsigned_abs() })
        })
        .await
    }

    /// Sets the weights.
    ///
    /// # Errors
    /// A weight has an unknown name or is out of range, or their sum is not positive.
    pub(crate) async fn set_weights(
        &self,
        request: SetWeights,
        key: Option<SentKey>,
    ) -> Result<Written<WeightsSet>, Refusal> {
        let permit = self.permit_engine(Scope::Admin)?;
        self.engine.modes.admit_write()?;
        Weights::check(&request.weights).map_err(|fault| Refused::Body(fault.to_string()))?;
        self.record_weights(&permit, request, key).await
    }

    /// Resets the weights to the built-in ones.
    pub(crate) async fn reset_weights(&self) -> Result<Written<WeightsSet>, Refusal> {
        let permit = self.permit_engine(Scope::Admin)?;
        self.engine.modes.admit_write()?;
        let request = SetWeights { weights: BTreeMap::new(), reason: None, actor: None };
        self.record_weights(&permit, request, None).await
    }

    async fn record_weights(
        &self,
        permit: &Permit,
        mut request: SetWeights,
        key: Option<SentKey>,
    ) -> Result<Written<WeightsSet>, Refusal> {
        self.stored(permit, &mut request).await?;
        let key = self.stored_key(key).await?;
        let SetWeights { weights, reason, actor } = request;
        let payload = serde_json::json!({ "weights": weights, "reason": request::reason(reason)? });
        let draft = Draft {
            kind: RETRIEVAL_WEIGHTS_SET.into(),
            actor: request::actor(actor)?,
            project: LOG_PROJECT.into(),
            session: None,
            causes: Vec::new(),
            payload: serde_json::value::to_raw_value(&payload).map_err(|fault| internal(&fault))?,
        };
        let receipt = self.commit(vec![draft], key).await?;
        let answer =
            WeightsSet { version: receipt.id.clone(), seq: receipt.last_seq, hash: receipt.hash.to_string() };
        Ok(Written::new(&receipt, answer))
    }
}
