//! What must hold of the queue, whatever the order.

use std::sync::Arc;
use std::time::Instant;

use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::thread;
use tokio::sync::oneshot;

use super::queue::{Queue, Ticket};
use super::{Answer, JournalError};
use crate::{Body, JournalId, Record, Request};

/// Each with its name.
pub const LAWS: [(&str, fn()); 4] = [("woken", woken), ("closed", closed), ("abandoned", abandoned), ("fair", fair)];

const LIMIT: usize = 4;
/// Requests in a batch that are not linked.
const MOST: usize = 2;
const JOURNALS: usize = 2;

type Waiting = oneshot::Receiver<Result<Answer, JournalError>>;

/// A queue with who uses it.
struct Scene {
    queue: Queue,
    /// Set after closing has returned.
    is_closed: AtomicBool,
    /// How often the writer has taken something.
    takes: AtomicUsize,
}

fn scene() -> Arc<Scene> {
    let queue = Queue::new(LIMIT);
    Arc::new(Scene { queue, is_closed: AtomicBool::new(false), takes: AtomicUsize::new(0) })
}

/// What became of a request at the door.
enum Asked {
    In(usize, Waiting),
    Out(Waiting),
}

impl Scene {
    /// Asks for so many requests that stand together, or for one alone.
    fn ask(&self, journal: i64, first: usize, many: usize) -> Vec<Asked> {
        let (mut tickets, mut answers) = (Vec::new(), Vec::new());
        for number in first..first + many {
            let (reply, answer) = oneshot::channel();
            let request = Arc::new(Request::new(journal, number));
            let linked = if many > 1 { many } else { 0 };
            tickets.push(Ticket { request, deadline: Instant::now(), reply, linked });
            answers.push(answer);
        }
        let was_closed = self.is_closed.load(Ordering::SeqCst);
        let asked = self.queue.push_all(JournalId(journal), tickets);
        assert!(self.queue.len() <= LIMIT, "more wait than may");
        assert!(!was_closed || asked == Err(false), "somebody was let in after it was closed");
        let numbered = (first..).zip(answers);
        numbered
            .map(|(number, answer)| if asked.is_ok() { Asked::In(number, answer) } else { Asked::Out(answer) })
            .collect()
    }

    /// Takes and answers, so many times at most, and tells the numbers of each batch.
    fn write(&self, times: usize) -> Vec<(i64, Vec<usize>)> {
        let mut batches = Vec::new();
        while batches.len() < times {
            let Some((journal, tickets)) = self.queue.take(MOST) else { break };
            self.takes.fetch_add(1, Ordering::SeqCst);
            assert!(tickets.iter().all(|ticket| ticket.request.journal == journal), "a batch is one journal's");
            let linked = tickets[0].linked;
            let whole = linked == tickets.len() && tickets.iter().all(|ticket| ticket.linked == linked);
            let alone = tickets.len() <= MOST && tickets.iter().all(|ticket| ticket.linked == 0);
            assert!(whole || alone, "linked ones come together and by themselves");
            batches.push((journal.0, tickets.iter().map(|ticket| ticket.request.number()).collect()));
            for ticket in tickets {
                let record = Arc::new(Record { number: ticket.request.number(), body: Body::Done });
                ticket.reply.send(Ok(Answer { record, replayed: false })).expect("a caller waits");
            }
        }
        batches
    }

    fn close(&self) {
        self.queue.close();
        self.is_closed.store(true, Ordering::SeqCst);
    }
}

/// Callers of two journals, one of whom asks for two things that stand together.
fn callers(scene: &Arc<Scene>) -> Vec<thread::JoinHandle<Vec<Asked>>> {
    let one = |journal: i64, first: usize, many: usize| {
        let scene = Arc::clone(scene);
        thread::spawn(move || {
            let mut asked = scene.ask(journal, first, many);
            asked.extend(scene.ask(journal, first + 10, 1));
            asked
        })
    };
    vec![one(1, 100, 1), one(1, 200, 2), one(2, 300, 1)]
}

/// Who was let in has this many answers: one. Who was not has none, and knows.
fn assert_answered(callers: Vec<thread::JoinHandle<Vec<Asked>>>) -> Vec<usize> {
    let mut inside = Vec::new();
    for asked in callers.into_iter().flat_map(|caller| caller.join().expect("a caller")) {
        match asked {
            // A sender sends once: that there is an answer says that there is one.
            Asked::In(number, mut answer) => {
                assert!(answer.try_recv().is_ok(), "{number} was let in and not answered");
                inside.push(number);
            }
            Asked::Out(mut answer) => assert!(answer.try_recv().is_err(), "somebody was refused and answered"),
        }
    }
    inside
}

/// Nobody closes it: a writer that waits is woken by whoever comes, and gets them all.
fn woken() {
    let scene = scene();
    let callers: Vec<_> = [(1, 100), (2, 200)]
        .into_iter()
        .map(|(journal, first)| {
            let scene = Arc::clone(&scene);
            // As many as there is room for.
            thread::spawn(move || (first..first + LIMIT / 2).flat_map(|number| scene.ask(journal, number, 1)).collect())
        })
        .collect();
    let mut written = 0;
    while written < LIMIT {
        written += scene.write(1).iter().map(|(_, numbers)| numbers.len()).sum::<usize>();
    }
    assert_eq!((written, assert_answered(callers).len()), (LIMIT, LIMIT));
}

/// The term ends in good order: what was let in is written.
fn closed() {
    let scene = scene();
    let writer = thread::spawn({
        let scene = Arc::clone(&scene);
        move || scene.write(usize::MAX)
    });
    let callers = callers(&scene);
    scene.close();
    let batches = writer.join().expect("the writer");
    let mut written: Vec<usize> = batches.into_iter().flat_map(|(_, numbers)| numbers).collect();
    for (earlier, later) in [(100, 110), (200, 201), (200, 210), (300, 310)] {
        let place = |number| written.iter().position(|one| *one == number);
        assert!(place(later).is_none_or(|later| place(earlier).is_none_or(|earlier| earlier < later)), "out of turn");
    }
    let mut inside = assert_answered(callers);
    written.sort_unstable();
    inside.sort_unstable();
    assert_eq!((written, scene.queue.len()), (inside, 0));
}

/// The writer dies after a batch; whoever ends the term answers the others.
fn abandoned() {
    let scene = scene();
    let writer = thread::spawn({
        let scene = Arc::clone(&scene);
        move || scene.write(1)
    });
    let callers = callers(&scene);
    let drained = scene.queue.drain();
    scene.is_closed.store(true, Ordering::SeqCst);
    for ticket in drained {
        ticket.reply.send(Err(JournalError::NotLeader)).expect("a caller waits");
    }
    assert!(writer.join().expect("the writer").len() <= 1);
    assert_answered(callers);
    assert_eq!((scene.queue.len(), scene.queue.take(1).is_none()), (0, true));
}

/// However much one journal asks, another's turn comes after one of its batches.
fn fair() {
    let scene = scene();
    let writer = thread::spawn({
        let scene = Arc::clone(&scene);
        move || scene.write(usize::MAX)
    });
    let busy = thread::spawn({
        let scene = Arc::clone(&scene);
        move || (0..6).flat_map(|number| scene.ask(1, number, 1)).collect::<Vec<_>>()
    });
    let quiet = thread::spawn({
        let scene = Arc::clone(&scene);
        move || {
            let asked = scene.ask(2, 100, 1);
            (asked, scene.takes.load(Ordering::SeqCst))
        }
    });
    let busy = busy.join().expect("a caller");
    let (asked, takes_before) = quiet.join().expect("a caller");
    scene.close();
    let turn = writer.join().expect("the writer").iter().position(|(journal, _)| *journal == 2);
    if let [Asked::In(..)] = asked.as_slice() {
        let turn = turn.expect("it was let in");
        assert!(turn < takes_before + JOURNALS, "its turn came at {turn}, asked for at {takes_before}");
    }
    drop(busy);
}
