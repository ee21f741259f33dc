//! Builds the context for a prompt.

use std::sync::Arc;

use engine_core::limits::{
    CHECKOUT_LIMIT_DEFAULT, CHECKOUT_LIMIT_MAX, MANDATORY_MAX, MANDATORY_TYPES_MAX, NAME_CHARS_MAX,
    TOKEN_BUDGET_DEFAULT, TOKEN_BUDGET_MAX, TOKEN_BUDGET_MIN,
};
use engine_core::request::{self, Refused};
use engine_core::row::microseconds;
use engine_core::tags::Tags;
use engine_core::wire::{CheckoutAnswer, CheckoutRequest, ErrorCode, SearchMode};

use super::handle::Operations;
use crate::cache::Answer;
use crate::refusal::Refusal;
use engine_projection::{LogState, Search};
use engine_retrieval::Checkout;

impl Operations {
    /// Selects memories for a prompt, within a budget of tokens.
    ///
    /// # Errors
    /// The request is malformed, or the mandatory memories exceed the budget or the maximum number.
    pub(crate) async fn checkout(&self, request: CheckoutRequest) -> Result<Arc<CheckoutAnswer>, Refusal> {
        let asked = self.note(|| Some(self.checked_checkout(request.clone()).ok()?.search));
        let answer = self.context(request).await;
        match &answer {
            Ok(_) => self.tell(asked),
            Err(refusal) => {
                let code = refusal.code();
                self.engine.metrics.context_failures.with_label_values(&[code.as_str()]).inc();
            }
        }
        answer
    }

    async fn context(&self, mut request: CheckoutRequest) -> Result<Arc<CheckoutAnswer>, Refusal> {
        let permit = self.admit_read()?;
        self.stored(&permit, &mut request).await?;
        let min_seq = request.min_seq;
        if self.is_bound() && !request.mandatory_ids.is_empty() {
            request::ids("mandatory_ids", &request.mandatory_ids, MANDATORY_MAX)?;
            let visible = self.visible(&permit, request.mandatory_ids.clone(), min_seq).await?;
            // An id that nobody has is ignored, and so is one that the caller may not see.
            request.mandatory_ids.retain(|id| visible.has(id));
        }
        let checkout = self.checked_checkout(request)?;
        let budget = checkout.token_budget;
        self.wait_for(min_seq).await?;
        let Checkout { search, mandatory_types, mandatory_ids, .. } = &checkout;
        let key = self.answer_key(search, &format!("{budget} {mandatory_types:?} {mandatory_ids:?}"));
        if let Some(Answer::Checkout(answer)) =
            self.engine.answers.find("checkout", &key, microseconds(search.moment.now))
        {
            return Ok(answer);
        }
        let asked = self.ask_outside(search).await?;
        let retrieval = Arc::clone(&self.engine.retrieval);
        let (answer, until) = self
            .query("checkout", Some(0), move |connection| retrieval.checkout(connection, &checkout, &asked))
            .await?;
        let answer = answer.map_err(|too_much| {
            let needed = too_much.tokens;
            Refusal::new(
                ErrorCode::InvalidArgument,
                format!("the mandatory memories need {needed} tokens, but token_budget is {budget}"),
            )
            .hint("raise token_budget, or make fewer memories mandatory")
        })?;
        if answer.mandatory.len() > MANDATORY_MAX {
            let message = format!("more than {MANDATORY_MAX} memories are mandatory");
            return Err(Refusal::new(ErrorCode::InvalidArgument, message)
                .hint("list fewer types, or end memories that are no longer true"));
        }
        let answer = Arc::new(answer);
        self.engine.answers.keep(key, Answer::Checkout(Arc::clone(&answer)), until);
        Ok(answer)
    }

    fn checked_checkout(&self, mut request: CheckoutRequest) -> Result<Checkout, Refused> {
        request::prompt(&request.query)?;
        let within = |field, value, min, max, default| request::within(field, value, min, max, default);
        request::optional("project", &mut request.project, NAME_CHARS_MAX)?;
        request::optional("session", &mut request.session, NAME_CHARS_MAX)?;
        request::names("mandatory_types", &mut request.mandatory_types, MANDATORY_TYPES_MAX)?;
        request::ids("mandatory_ids", &request.mandatory_ids, MANDATORY_MAX)?;
        let tags = Tags::new(request.tags_any, request.tags_all)?;
        let limit = within("limit", request.limit, 1, CHECKOUT_LIMIT_MAX, CHECKOUT_LIMIT_DEFAULT)?;
        let token_budget = within(
            "token_budget",
            request.token_budget,
            TOKEN_BUDGET_MIN,
            TOKEN_BUDGET_MAX,
            TOKEN_BUDGET_DEFAULT,
        )?;
        Ok(Checkout {
            search: Search {
                words: request.query,
                project: request.project,
                kind: None,
                session: request.session,
                tags,
                mode: SearchMode::Hybrid,
                explain: false,
                moment: self.moment(request.as_of, request.known_at.map(LogState::Through)),
                limit,
                offset: 0,
            },
            token_budget,
            mandatory_types: request.mandatory_types,
            mandatory_ids: request.mandatory_ids,
        })
    }
}
