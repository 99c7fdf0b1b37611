//! The link between nodes: a request that came to a node which does not lead is carried to the one that does.
//!
//! One POST carries what waits at that moment, each request in the journal's own byte form with the time it has left; the
//! answer carries theirs in the same order. Both are sealed ([`seal`]) with a secret that only the deployment's nodes
//! have, over the time, the address and every byte. A message caught on the way and sent again within the seal's time
//! asks under a key that was used, so it changes nothing. Requests that happen all or not at all are one part of a POST,
//! and so are their answers.
//!
//! Promise: one hop, because the other end answers from its own journal or not at all; no request is tried twice here
//! (the journal does that, and knows when it may); memory is bounded by what the journal lets be under way.
//! Limits: what is sent is sealed, not hidden; between machines that do not trust their network, give nodes `https`
//! addresses. Not here: who leads (the journal), what a request means (the ledger).

mod client;
mod frames;
mod seal;
mod server;

pub use client::Link;
pub use seal::{Seal, secret};
pub use server::{LinkEnd, routes};

/// Where a node takes what others carry to it.
pub(crate) const PATH: &str = "/internal/journal";
/// Most bytes of requests in one POST; one larger request still goes, alone.
const FULL_BYTES: usize = 1024 * 1024;
/// Most bytes that are taken: the largest part there can be (what is linked came in a body of as much), or a full POST.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// The headers of a sealed message.
const AT: &str = "tessera-link-at";
const SEAL: &str = "tessera-link-seal";
