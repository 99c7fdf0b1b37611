//! Hooks: what happened, told to other systems over HTTP, at least once.
//!
//! A hook is one POST of a CloudEvents body to an endpoint that the operator registered, signed as Standard Webhooks
//! 1.0 says, signed afresh at each attempt, tried ten times over three days, and never sent to a private address unless
//! the operator allows it. The id is the same at every attempt, so that a receiver can tell a repeat from news.
//!
//! The parts decide or send one thing each and know no database: [`sign`] makes and checks signatures, [`schedule`] says
//! when to try again, [`guard`] says where a hook may go, [`send`] makes one attempt.
//!
//! Promise: an attempt costs at most its total timeout and 20,000 bytes of answer, whatever the receiver does.
//! Not here: which events exist and what they say (the slices that raise them), asymmetric signatures (`whpk_` keys).
//! Sources: Standard Webhooks 1.0; CloudEvents 1.0, HTTP binding; OWASP ASVS 5.0, 15.3.2.

pub mod guard;
pub mod schedule;
pub mod send;
pub mod sign;
