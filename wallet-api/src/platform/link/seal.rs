//! The seal on what nodes say to each other: HMAC-SHA256 under the deployment's secret.
//!
//! A question's seal covers when and to whom it was asked, an answer's the seal of its question: neither can be moved to
//! another time, another node or another exchange.

use diesel::prelude::*;
use ring::hmac::{Context, HMAC_SHA256, Key, Tag};

/// How far the clocks of two nodes may be apart, together with a message's way, in seconds.
const TOLERANCE_S: i64 = 30;

diesel::table! {
    node_link (one) {
        one -> Bool,
        secret -> Binary,
    }
}

/// The secret of this deployment's nodes.
///
/// # Errors
/// What the database says.
pub fn secret(conn: &mut PgConnection) -> QueryResult<Vec<u8>> {
    node_link::table.select(node_link::secret).first(conn)
}

/// Makes and checks seals.
#[derive(Clone)]
pub struct Seal(Key);

impl Seal {
    /// Seals with this secret.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        Self(Key::new(HMAC_SHA256, secret))
    }

    fn context(&self, what: &str) -> Context {
        let mut context = Context::with_key(&self.0);
        context.update(what.as_bytes());
        context
    }

    /// The seal of a question, asked at a time (Unix seconds) of the node at an address.
    pub(super) fn question(&self, at_s: i64, address: &str, body: &[u8]) -> Tag {
        let mut context = self.context("tessera link question 1");
        context.update(&at_s.to_be_bytes());
        context.update(&u64::try_from(address.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(address.as_bytes());
        context.update(body);
        context.sign()
    }

    /// Whether a question with this seal was asked just now, of this node, by one of ours.
    pub(super) fn is_question(&self, now_s: i64, at_s: i64, address: &str, body: &[u8], seal: &[u8]) -> bool {
        let is_fresh = now_s.abs_diff(at_s) <= TOLERANCE_S.unsigned_abs();
        is_fresh && subtle::ConstantTimeEq::ct_eq(self.question(at_s, address, body).as_ref(), seal).into()
    }

    /// The seal of the answer to a question.
    pub(super) fn answer(&self, question: &[u8], body: &[u8]) -> Tag {
        let mut context = self.context("tessera link answer 1");
        context.update(question);
        context.update(body);
        context.sign()
    }

    /// Whether an answer with this seal is one of ours to this question.
    pub(super) fn is_answer(&self, question: &[u8], body: &[u8], seal: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.answer(question, body).as_ref(), seal).into()
    }
}

/// Shows no secret.
impl std::fmt::Debug for Seal {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Seal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_700_000_000;
    const HERE: &str = "http://10.0.0.1:8080";

    #[test]
    fn a_question_holds_for_its_time_its_node_its_bytes_and_its_secret_only() {
        let seal = Seal::new(&[7; 32]);
        let tag = seal.question(NOW_S, HERE, b"pay");
        let holds = |now_s, at_s, address, body| seal.is_question(now_s, at_s, address, body, tag.as_ref());
        assert!(holds(NOW_S, NOW_S, HERE, b"pay"));
        assert!(holds(NOW_S + TOLERANCE_S, NOW_S, HERE, b"pay") && holds(NOW_S - TOLERANCE_S, NOW_S, HERE, b"pay"));
        assert!(!holds(NOW_S + TOLERANCE_S + 1, NOW_S, HERE, b"pay"), "too late");
        assert!(!holds(NOW_S, NOW_S + 1, HERE, b"pay"), "dated anew");
        assert!(!holds(NOW_S, NOW_S, "http://10.0.0.2:8080", b"pay"), "sent to another node");
        assert!(!holds(NOW_S, NOW_S, HERE, b"pay more"));
        assert!(!Seal::new(&[8; 32]).is_question(NOW_S, NOW_S, HERE, b"pay", tag.as_ref()));
    }

    #[test]
    fn an_answer_is_to_one_question() {
        let seal = Seal::new(&[7; 32]);
        let (one, other) = (seal.question(NOW_S, HERE, b"pay"), seal.question(NOW_S, HERE, b"ask"));
        let tag = seal.answer(one.as_ref(), b"done");
        assert!(seal.is_answer(one.as_ref(), b"done", tag.as_ref()));
        assert!(!seal.is_answer(other.as_ref(), b"done", tag.as_ref()));
        assert!(!seal.is_answer(one.as_ref(), b"not done", tag.as_ref()));
        assert!(!seal.is_answer(one.as_ref(), b"done", one.as_ref()), "a question is no answer");
    }
}
