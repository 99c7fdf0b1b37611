//! How a node writes, and how much of the journals it keeps in memory.

use std::sync::Arc;

use uuid::Uuid;

use super::Transport;

/// How much a node keeps in memory of the journals it leads, and of their history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Accounts, some 350 bytes each. What comes in while checkpoints are written comes on top.
    pub accounts: usize,
    /// Transfers of ranges that are not closed yet, 16 bytes each. Past that a journal's open ranges are looked through
    /// whenever somebody asks for their history: as right, and slow.
    pub transfers: usize,
}

impl Default for Memory {
    /// 250,000 accounts, 16,000,000 transfers: 350 MB at most.
    fn default() -> Self {
        Self { accounts: 250_000, transfers: 16_000_000 }
    }
}

/// How a node writes.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database, as the app role.
    pub url: String,
    /// This process, as the lease knows it: a fresh random id at every start.
    pub holder: Uuid,
    /// Where others find this node.
    pub address: String,
    /// Requests that may wait; one more is refused.
    pub queue: usize,
    /// Requests in one commit.
    pub batch: usize,
    /// What it may keep in memory.
    pub memory: Memory,
    /// How requests reach another node that leads; without it they are refused while another one leads.
    pub transport: Option<Arc<dyn Transport>>,
}

impl Config {
    /// The usual sizes: 16,384 waiting, 4,096 in a commit, the usual [`Memory`]. Nothing is forwarded.
    #[must_use]
    pub fn new(url: String, holder: Uuid, address: String) -> Self {
        Self { url, holder, address, queue: 16_384, batch: 4_096, memory: Memory::default(), transport: None }
    }

    /// Forwards to whoever leads.
    #[must_use]
    pub fn forwarding(self, transport: Arc<dyn Transport>) -> Self {
        Self { transport: Some(transport), ..self }
    }
}
