//! The journal as it grows: by long poll, and as server-sent events.
//!
//! Promise: from a cursor on, every record once, in order, none skipped, whichever node is asked, because seq is gap-free
//! in commit order. Whoever follows at the node that leads is woken by each commit; elsewhere the head is looked at every
//! [`LOOK_EVERY`]. A follower costs two pages of memory at the most, however far behind it is: who does not read for
//! [`PATIENCE`] is let go. A stream says why it ends, and from where to go on. Not here: filters.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::stream;
use ledger::read::records::{self, Size};
use ledger::{JournalId, Record};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::body::RecordBody;
use super::{Assets, Books};
use crate::platform::problem::Problem;

/// How old the head may be that a node which does not lead has seen.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From one page to the next when there was no full one: commits come by the thousand a second.
const GATHER: Duration = Duration::from_millis(10);
/// One page.
pub(super) const PAGE: Size = Size { records: 200, transfers: 2_000 };
/// Pages that wait for a slow reader.
const AHEAD: usize = 2;
/// How long a page may wait for its reader.
const PATIENCE: Duration = Duration::from_secs(30);
/// A comment now and then, so that nobody between us takes a quiet stream for a dead one.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// How long a stream lasts: whoever follows comes back by itself, and is then asked again for its key.
const LIFE: Duration = Duration::from_secs(600);
/// Streams of one node.
const MOST: usize = 256;

/// How many follow at this node, and whether they are to leave.
#[derive(Debug, Clone)]
pub(super) struct Places {
    taken: Arc<AtomicUsize>,
    closed: Arc<watch::Sender<bool>>,
}

impl Default for Places {
    fn default() -> Self {
        Self { taken: Arc::default(), closed: Arc::new(watch::Sender::new(false)) }
    }
}

impl Places {
    fn take(&self) -> Result<Place, Problem> {
        let place = Place(Arc::clone(&self.taken));
        if self.taken.fetch_add(1, Ordering::Relaxed) < MOST {
            return Ok(place);
        }
        let detail = "Come back later, or ask without waiting.";
        Err(Problem::new(503, "streams-full", "Too many follow already", detail).retry_after(5))
    }
}

/// One that follows.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Books {
    /// Ends all streams, which would otherwise hold up a server that stops.
    pub fn end_streams(&self) {
        self.streams.closed.send_replace(true);
    }

    /// The records after a seq, and the head: waits for the first of them at most so long.
    pub(super) async fn records_after(
        &self,
        journal: JournalId,
        after: i64,
        size: Size,
        wait: Duration,
    ) -> Result<(Vec<Record>, i64), Problem> {
        let until = Instant::now() + wait;
        let mut news = self.journal.changes();
        loop {
            // What is committed from here on is news again.
            news.borrow_and_update();
            let page =
                self.platform.db.of(journal.0).read(move |conn| records::after(conn, journal, after, size)).await?;
            let now = Instant::now();
            if !page.0.is_empty() || now >= until {
                return Ok(page);
            }
            _ = timeout(LOOK_EVERY.min(until - now), news.changed()).await;
            sleep(GATHER).await;
        }
    }

    /// The same for as long as the client reads.
    pub(super) fn stream(&self, tenant: i64, after: i64) -> Result<HttpResponse, Problem> {
        let place = self.streams.take()?;
        let (pages, received) = mpsc::channel(AHEAD + 1);
        // Kept for the last word: it is sent even when all else is full.
        let last = pages.clone().try_reserve_owned().map_err(|_full| Problem::internal(&NoRoom))?;
        let feed = Feed { books: self.clone(), tenant, after, pages };
        let mut closed = self.streams.closed.subscribe();
        actix_web::rt::spawn(async move {
            let mut feed = feed;
            let reason = tokio::select! {
                reason = feed.run() => reason,
                _ = closed.wait_for(|closed| *closed) => Some("stopping"),
                () = sleep(LIFE) => Some("time"),
            };
            if let Some(reason) = reason {
                last.send(end(reason, feed.after));
            }
        });
        let body = stream::unfold((received, place), |(mut received, place)| async move {
            let page: Option<Bytes> = received.recv().await;
            page.map(|page| (Ok::<_, Infallible>(page), (received, place)))
        });
        Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, "text/event-stream"))
            .insert_header(("x-accel-buffering", "no"))
            .streaming(body))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("a new channel has no room")]
struct NoRoom;

/// What feeds one stream.
struct Feed {
    books: Books,
    tenant: i64,
    after: i64,
    pages: mpsc::Sender<Bytes>,
}

impl Feed {
    /// Sends page after page; ends with the reason, or without one when nobody listens any more.
    async fn run(&mut self) -> Option<&'static str> {
        loop {
            let journal = JournalId(self.tenant);
            let found = self.books.records_after(journal, self.after, PAGE, SIGN_OF_LIFE).await;
            let assets = self.books.assets(self.tenant).await;
            if found.as_ref().is_err_and(|problem| problem.code() == "archived") {
                return Some("archived");
            }
            let (Ok((records, _)), Ok(assets)) = (found, assets) else { return Some("unavailable") };
            let page = events(&records, &assets)?;
            match timeout(PATIENCE, self.pages.send(page)).await {
                Ok(Ok(())) => self.after = records.last().map_or(self.after, |record| record.seq),
                Ok(Err(_nobody_listens)) => return None,
                Err(_too_slow) => return Some("too-slow"),
            }
        }
    }
}

/// A page as events; a comment when there is none.
fn events(records: &[Record], assets: &Assets) -> Option<Bytes> {
    if records.is_empty() {
        return Some(Bytes::from_static(b": still here\n\n"));
    }
    let mut out = Vec::new();
    for record in records {
        out.extend_from_slice(format!("id: {}\nevent: record\ndata: ", record.seq).as_bytes());
        serde_json::to_writer(&mut out, &RecordBody::of(record, assets)).ok()?;
        out.extend_from_slice(b"\n\n");
    }
    Some(out.into())
}

#[derive(Serialize)]
struct End {
    reason: &'static str,
    after: i64,
}

/// The last event: why, and from where to go on.
fn end(reason: &'static str, after: i64) -> Bytes {
    let data = serde_json::to_string(&End { reason, after }).unwrap_or_default();
    format!("event: end\ndata: {data}\n\n").into()
}
