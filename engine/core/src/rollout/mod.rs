//! What a new revision is judged by, as the process that answers reads sees it: pairs of answers.
//!
//! A read has no side effects, so the same question is asked of both revisions at the same event of the log. The
//! operator decides with what is counted here, in `operator_core::rollout`.
//! `docs/decisions/0040-paired-reads-and-gates-that-hold-at-every-look.md` says why.
//!
//! * [`metric`] lists what is judged and with which margins, and [`counts`] has the three integers of each;
//! * [`pairing`] makes counts of pairs;
//! * [`known_item`] makes questions with known answers;
//! * [`questions`] are those of clients that are asked again in a rehearsal, [`kept_question`] what is kept of each,
//!   and [`query_pairs`] the parts of it;
//! * [`grant`] is the share of the sessions that the new revision answers, and [`breaker`] takes it away.

pub mod breaker;
pub mod counts;
pub mod grant;
pub mod kept_question;
pub mod known_item;
pub mod metric;
pub mod pairing;
pub mod query_pairs;
pub mod questions;
