//! PostgreSQL's wire protocol, as much of it as it takes to strike at a chosen message.
//!
//! A batch is posted by one prepared statement outside any transaction of the client's, so the server opens one at its
//! Bind, does the work at its Execute and commits at its Sync; what slices, followers and the sealer do stands between a
//! BEGIN and a COMMIT. Both are told apart here by their messages. Source: the PostgreSQL manual, "Message Flow" and "Message Formats".

use std::collections::HashMap;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::Instant;

use crate::proxy::{Blow, Fault, Shared};

/// How long a session is kept for a dead node: its successor, or the server's own timeout, must have ended it by then.
const ORPHANED: Duration = Duration::from_secs(60);

/// The `tcp_user_timeout` that a node asks for.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Where a node can be killed, to the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// A batch was decided; the server has seen nothing of it.
    PostingUnsent,
    /// The server has opened the batch's transaction and done nothing in it.
    PostingBegun,
    /// All rows of the batch are written; the order to commit never arrives.
    PostingUncommitted,
    /// The batch is committed; the node never learns.
    PostingCommitted,
    /// The node is told that the batch is committed, and maybe tells a client or two.
    PostingAnswered,
    /// The rows of a batch are written beside the batch before it, and wait for their turn.
    RowsLaid,
    /// The head is moved past a batch's rows; the order to commit never arrives.
    LandingUncommitted,
    /// The batch behind another is committed; the node never learns.
    LandingCommitted,
    /// A transaction is asked for that the server never sees.
    BeginUnsent,
    /// A transaction is open, and empty.
    Begun,
    /// What became of hooks is written and never committed.
    HooksUncommitted,
    /// What became of hooks is committed; the node never learns.
    HooksCommitted,
    /// A node that takes over has raised the epoch, and never commits it.
    TakeoverUncommitted,
    /// A node that takes over has raised the epoch, and never learns.
    TakeoverCommitted,
    /// The sealer has moved its cursor; the leaves are not written.
    SealingLeaves,
    /// The leaves are written; the head over them is signed and not.
    SealingHead,
    /// Leaves and head are written and never committed.
    SealingUncommitted,
    /// Leaves and head are committed; the node never learns, and publishes nothing.
    SealingCommitted,
}

impl Point {
    /// Those of batches that go through the pipe, which takes many callers.
    pub const PIPED: [Self; 3] = [Self::RowsLaid, Self::LandingUncommitted, Self::LandingCommitted];

    /// Those of a node that takes over.
    pub const TAKEOVER: [Self; 2] = [Self::TakeoverUncommitted, Self::TakeoverCommitted];

    /// Those of a node that leads already.
    pub const LEADING: [Self; 9] = [
        Self::PostingUnsent,
        Self::PostingBegun,
        Self::PostingUncommitted,
        Self::PostingCommitted,
        Self::PostingAnswered,
        Self::BeginUnsent,
        Self::Begun,
        Self::HooksUncommitted,
        Self::HooksCommitted,
    ];

    /// Those of the sealer.
    pub const SEALING: [Self; 4] =
        [Self::SealingLeaves, Self::SealingHead, Self::SealingUncommitted, Self::SealingCommitted];

    /// Whether a transaction is open then, and its locks are held, until the server or the node's successor ends it.
    fn leaves_open(self) -> bool {
        match self {
            Self::PostingBegun
            | Self::PostingUncommitted
            | Self::RowsLaid
            | Self::LandingUncommitted
            | Self::Begun
            | Self::HooksUncommitted
            | Self::TakeoverUncommitted
            | Self::SealingLeaves
            | Self::SealingHead
            | Self::SealingUncommitted => true,
            Self::PostingUnsent
            | Self::PostingCommitted
            | Self::PostingAnswered
            | Self::LandingCommitted
            | Self::BeginUnsent
            | Self::HooksCommitted
            | Self::TakeoverCommitted
            | Self::SealingCommitted => false,
        }
    }
}

/// What a prepared statement, or the transaction it stands in, is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Posting,
    Laying,
    Landing,
    Hooks,
    Takeover,
    Leaves,
    Head,
}

impl Purpose {
    fn of(text: &str) -> Option<Self> {
        let has = |part| text.contains(part);
        match () {
            () if has("journal.head(") && has("journal.rows(") => Some(Self::Posting),
            () if has("journal.rows(") => Some(Self::Laying),
            () if has("journal.head(") => Some(Self::Landing),
            () if has("UPDATE journal.head SET epoch") => Some(Self::Takeover),
            () if has("INSERT INTO journal.strip") => Some(Self::Leaves),
            () if has("INSERT INTO journal.signed_head") => Some(Self::Head),
            // Quoted where diesel writes the text.
            () if has("hook_delivery") || has("hook_attempt") => Some(Self::Hooks),
            () => None,
        }
    }
}

/// One message of a client.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    /// Cuts the first whole message off.
    fn cut(buffer: &mut Vec<u8>, has_started: bool) -> Option<Self> {
        // Only the first message has no type.
        let head = usize::from(has_started);
        let length = buffer.get(head..head + 4)?;
        let length = head + usize::try_from(u32::from_be_bytes(length.try_into().unwrap())).unwrap();
        (buffer.len() >= length).then(|| Self { bytes: buffer.drain(..length).collect() })
    }

    fn kind(&self) -> u8 {
        self.bytes[0]
    }

    /// The texts it begins with, each ended by a zero byte: name and text of a Parse, portal and name of a Bind.
    fn texts(&self) -> impl Iterator<Item = String> {
        self.bytes[5..].split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned())
    }
}

/// Where a conversation stands.
#[derive(Default)]
struct Place {
    has_started: bool,
    statements: HashMap<String, Purpose>,
    /// A batch's statement is bound.
    is_posting: bool,
    /// A batch's rows are.
    is_laying: bool,
    /// What the open transaction is for, as far as it has been seen.
    transaction: Option<Purpose>,
}

impl Place {
    /// Notes a message, and says which points lie at it.
    fn see(&mut self, message: &Message) -> &'static [Point] {
        match message.kind() {
            b'P' => {
                let mut texts = message.texts();
                let (name, text) = (texts.next().unwrap_or_default(), texts.next().unwrap_or_default());
                match Purpose::of(&text) {
                    Some(purpose) => _ = self.statements.insert(name, purpose),
                    None => _ = self.statements.remove(&name),
                }
                &[]
            }
            b'B' => {
                let purpose = message.texts().nth(1).and_then(|name| self.statements.get(&name).copied());
                self.transaction = purpose.or(self.transaction);
                self.is_posting = purpose == Some(Purpose::Posting);
                self.is_laying = purpose == Some(Purpose::Laying);
                match purpose {
                    Some(Purpose::Posting) => &[Point::PostingUnsent],
                    Some(Purpose::Leaves) => &[Point::SealingLeaves],
                    Some(Purpose::Head) => &[Point::SealingHead],
                    Some(Purpose::Laying | Purpose::Landing | Purpose::Hooks | Purpose::Takeover) | None => &[],
                }
            }
            b'E' if self.is_posting => &[Point::PostingBegun],
            b'S' if std::mem::take(&mut self.is_posting) => {
                &[Point::PostingUncommitted, Point::PostingCommitted, Point::PostingAnswered]
            }
            b'S' if std::mem::take(&mut self.is_laying) => &[Point::RowsLaid],
            b'Q' => self.see_simple(&message.texts().next().unwrap_or_default()),
            _ => &[],
        }
    }

    fn see_simple(&mut self, text: &str) -> &'static [Point] {
        if text.starts_with("BEGIN") {
            self.transaction = None;
            return &[Point::BeginUnsent, Point::Begun];
        }
        match self.transaction {
            Some(Purpose::Landing) if text == "COMMIT" => &[Point::LandingUncommitted, Point::LandingCommitted],
            Some(Purpose::Hooks) if text == "COMMIT" => &[Point::HooksUncommitted, Point::HooksCommitted],
            Some(Purpose::Takeover) if text == "COMMIT" => &[Point::TakeoverUncommitted, Point::TakeoverCommitted],
            Some(Purpose::Head) if text == "COMMIT" => &[Point::SealingUncommitted, Point::SealingCommitted],
            _ => &[],
        }
    }
}

/// Passes on what a node and its database say to each other, until one of them goes or a point is struck.
pub(crate) async fn converse(mut client: UnixStream, mut server: UnixStream, shared: &Shared) {
    let node = client.peer_cred().unwrap().pid().and_then(Pid::from_raw).expect("a client has a process");
    let (mut asked, mut answered, mut place) = (Vec::new(), vec![0; 64 * 1024], Place::default());
    loop {
        tokio::select! {
            read = client.read_buf(&mut asked) => {
                let Ok(1..) = read else { return };
                match shared.fault() {
                    Fault::None | Fault::LoseAnswers => {}
                    Fault::Reset => return shared.hit(),
                    Fault::Blackhole => {
                        // A message may be cut: what comes after it on this connection has no beginning.
                        shared.hit();
                        return swallow(client, server, shared).await;
                    }
                }
                while let Some(message) = Message::cut(&mut asked, place.has_started) {
                    let points = if place.has_started { place.see(&message) } else { &[] };
                    place.has_started = true;
                    let due = points.iter().find_map(|point| Some((*point, shared.due(*point)?)));
                    if let Some((point, blow)) = due {
                        match strike(point, &message, &mut client, &mut server).await {
                            Some(true) => {
                                // Counted first: whoever waits for the death looks at once.
                                shared.struck(point);
                                match blow {
                                    Blow::Kill => _ = kill_process(node, Signal::KILL),
                                    Blow::KillServer(server) => _ = kill_process(server, Signal::KILL),
                                    Blow::Cut => {}
                                }
                                drop(client);
                                return if point.leaves_open() { outlive(server).await };
                            }
                            Some(false) => shared.missed(point, blow),
                            None => return,
                        }
                    } else if server.write_all(&message.bytes).await.is_err() {
                        return;
                    }
                }
            }
            read = server.read(&mut answered) => {
                let Ok(len @ 1..) = read else { return };
                match shared.fault() {
                    Fault::None => {}
                    Fault::Blackhole => {
                        shared.hit();
                        return swallow(client, server, shared).await;
                    }
                    Fault::LoseAnswers | Fault::Reset => return shared.hit(),
                }
                if client.write_all(&answered[..len]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Passes nothing on any more, also when the silence is over elsewhere, and then gives up as the node's TCP would: a unix
/// socket has nothing that does.
async fn swallow(mut client: UnixStream, mut server: UnixStream, shared: &Shared) {
    let (mut asked, mut answered) = ([0; 1024], [0; 1024]);
    let until = Instant::now() + USER_TIMEOUT;
    loop {
        let read = tokio::select! {
            read = client.read(&mut asked) => read,
            read = server.read(&mut answered) => read,
            () = tokio::time::sleep_until(until) => return,
        };
        let Ok(1..) = read else { return };
        if shared.fault() == Fault::Blackhole {
            shared.hit();
        }
    }
}

/// Sends of a message what is to arrive, and waits for what is to be known. False when the server refused what
/// was asked, which is passed on; none when the conversation ended.
async fn strike(point: Point, message: &Message, client: &mut UnixStream, server: &mut UnixStream) -> Option<bool> {
    const FLUSH: &[u8] = b"H\0\0\0\x04";
    let (sent, until): (&[u8], u8) = match point {
        Point::PostingUnsent
        | Point::LandingUncommitted
        | Point::BeginUnsent
        | Point::HooksUncommitted
        | Point::TakeoverUncommitted
        | Point::SealingLeaves
        | Point::SealingHead
        | Point::SealingUncommitted => (&[], 0),
        // The Bind went before; the Execute never goes.
        Point::PostingBegun => (FLUSH, b'2'),
        Point::PostingUncommitted => (FLUSH, b'C'),
        Point::PostingCommitted
        | Point::PostingAnswered
        | Point::RowsLaid
        | Point::LandingCommitted
        | Point::Begun
        | Point::HooksCommitted
        | Point::TakeoverCommitted
        | Point::SealingCommitted => (&message.bytes, b'Z'),
    };
    server.write_all(sent).await.ok()?;
    let (answer, is_refused) = if until == 0 { (Vec::new(), false) } else { answer_until(server, until).await? };
    if is_refused {
        if sent == FLUSH {
            server.write_all(&message.bytes).await.ok()?;
        }
        client.write_all(&answer).await.ok()?;
        return Some(false);
    }
    if point == Point::PostingAnswered {
        client.write_all(&answer).await.ok()?;
    }
    Some(true)
}

/// Reads until the server has sent a message of this kind, or refused; says which.
async fn answer_until(server: &mut UnixStream, kind: u8) -> Option<(Vec<u8>, bool)> {
    let (mut all, mut at) = (Vec::new(), 0);
    loop {
        while let Some(head) = all.get(at..at + 5).map(<[u8]>::to_vec) {
            let length = 1 + usize::try_from(u32::from_be_bytes(head[1..].try_into().unwrap())).unwrap();
            if all.len() < at + length {
                break;
            }
            at += length;
            if head[0] == kind || head[0] == b'E' {
                return Some((all, head[0] == b'E'));
            }
        }
        if server.read_buf(&mut all).await.ok()? == 0 {
            return None;
        }
    }
}

/// Keeps the session of a node that is gone, as a network does that has not noticed, until the server ends it.
async fn outlive(mut server: UnixStream) {
    let ended = async { while matches!(server.read(&mut [0; 1024]).await, Ok(1..)) {} };
    _ = tokio::time::timeout(ORPHANED, ended).await;
}
