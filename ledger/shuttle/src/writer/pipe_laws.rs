//! What must hold of pipe and flights, whatever the order and whatever fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use shuttle::rand::{Rng as _, thread_rng};
use shuttle::thread;
use tokio::sync::oneshot;

use super::asked::{Promised, gather};
use super::commit::{Batches, Books, Decided, Fate};
use super::pipe::{Pipe, Progress};
use super::queue::Ticket;
use super::session::PgConnection;
use super::term::Term;
use super::{Answer, Counters, Inner, JournalError};
use crate::apply::Applied;
use crate::{Body, Record, Request};

/// Each with its name.
pub const LAWS: [(&str, fn()); 5] =
    [("piped", piped), ("failed", failed), ("failed twice", failed_twice), ("watched", watched), ("hanging", hanging)];

const CALLERS: usize = 3;
/// What each of them asks for.
const ASKS: usize = 2;
/// Requests in a batch.
const MOST: usize = 2;
const JOURNAL: i64 = 1;

/// A term with its books and whoever asks for something.
struct Scene {
    term: Term,
    inner: Inner,
    /// What becomes of the batches, by number; of all others, that they land.
    fates: Vec<(usize, Fate)>,
}

fn scene(fates: Vec<(usize, Fate)>) -> Arc<Scene> {
    let term = Term::new(1, CALLERS * ASKS, Duration::ZERO, 0);
    let inner = Inner { books: Books::default(), counters: Counters::default() };
    Arc::new(Scene { term, inner, fates })
}

/// Somebody's number, and where the answer comes.
type Asked = (usize, oneshot::Receiver<Told>);
type Told = Result<Answer, JournalError>;

impl Scene {
    /// None when it was refused at the door: the term was over.
    fn ask(&self, number: usize) -> Option<Asked> {
        let (reply, answer) = oneshot::channel();
        let request = Arc::new(Request::new(JOURNAL, number));
        // So long that no run lasts until then.
        let deadline = Instant::now() + Duration::from_secs(3_600);
        let ticket = Ticket { request, deadline, reply, linked: 0 };
        let pushed = self.term.queue.push(ticket);
        assert!(pushed != Err(true), "there is room for all of them");
        pushed.is_ok().then_some((number, answer))
    }

    fn fate(&self, batch: usize) -> Fate {
        self.fates.iter().find(|(number, _)| *number == batch).map_or(Fate::Lands, |(_, fate)| *fate)
    }

    /// Writes until the queue is closed and empty or the term cannot go on, as the writer's thread does.
    fn write(&self) -> Decisions {
        let (progress, mut decisions) = (Progress::default(), Decisions::new());
        thread::scope(|scope| {
            let beside = [PgConnection, PgConnection];
            let pipe = Pipe::lay(scope, (&self.inner, &self.term, &progress), beside).expect("threads");
            let mut writer = Writer { scene: self, pipe, memory: Vec::new(), decisions: &mut decisions };
            if writer.work().is_err() {
                self.term.end();
            }
        });
        decisions
    }

    /// Answers whoever is left, as whoever watches does when the term is over.
    fn abandon(&self) {
        self.term.abandon(&JournalError::NotLeader);
        self.inner.books.are_abandoned();
    }
}

/// The requests of each batch, by its number less one.
type Decisions = Vec<Vec<usize>>;

/// The writer, as far as it hands over: it decides on what the books will be when all on its way has landed.
struct Writer<'a, 'd> {
    scene: &'a Scene,
    pipe: Pipe<'a>,
    memory: Batches,
    decisions: &'d mut Decisions,
}

/// The term cannot go on.
struct TermOver;

impl Writer<'_, '_> {
    fn work(&mut self) -> Result<(), TermOver> {
        let term = &self.scene.term;
        loop {
            if self.pipe.is_busy() && term.queue.len() == 0 {
                self.settle()?;
            }
            let Some((_, tickets)) = term.queue.take(MOST) else { return self.settle() };
            let (asked, replies) = gather(tickets);
            let flight = term.begin_flight(replies);
            let fresh: Vec<&Request> = asked.iter().map(|one| one.request.as_ref()).collect();
            if self.pipe.has_failed() || self.pipe.has_any(fresh.iter().copied()) {
                self.settle()?;
            }
            let numbers: Vec<usize> = fresh.iter().map(|request| request.number()).collect();
            let decided = self.decide(&numbers);
            self.decisions.push(numbers);
            self.memory.push(decided.number);
            self.pipe.hand(&fresh, decided, Promised::of(flight, &asked, vec![None; asked.len()]));
        }
    }

    fn decide(&self, numbers: &[usize]) -> Decided {
        let number = self.decisions.len() + 1;
        let records = numbers.iter().map(|number| Record { number: *number, body: Body::Done }).collect();
        let applied = Applied { records, answers: (0..numbers.len()).map(Ok).collect() };
        Decided { number, before: self.memory.clone(), fate: self.scene.fate(number), applied }
    }

    fn settle(&mut self) -> Result<(), TermOver> {
        let Some(error) = self.pipe.settle() else { return Ok(()) };
        self.memory = self.scene.inner.books.read_anew();
        if error == JournalError::NoRoom { Ok(()) } else { Err(TermOver) }
    }
}

fn callers(scene: &Arc<Scene>) -> Vec<thread::JoinHandle<Vec<Asked>>> {
    let work = |caller: usize| {
        let scene = Arc::clone(scene);
        thread::spawn(move || (0..ASKS).filter_map(|ask| scene.ask(caller * ASKS + ask)).collect())
    };
    (0..CALLERS).map(work).collect()
}

/// Runs to the end of the term, with somebody else about; what everybody was told must be true.
fn play(scene: &Arc<Scene>, meanwhile: impl FnOnce(&Scene) + Send + 'static) -> Vec<Told> {
    let callers = callers(scene);
    let beside = thread::spawn({
        let scene = Arc::clone(scene);
        move || meanwhile(&scene)
    });
    let closing = thread::spawn({
        let scene = Arc::clone(scene);
        move || {
            let asked: Vec<_> = callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect();
            scene.term.queue.close();
            asked
        }
    });
    let decisions = scene.write();
    beside.join().expect("somebody else");
    let asked = closing.join().expect("the callers");
    scene.abandon();
    let (batches, wrongs) = (scene.inner.books.batches(), scene.inner.books.wrongs());
    assert!(wrongs.is_empty(), "{wrongs:?}");
    assert!(batches.is_sorted_by(|one, next| one < next), "out of order: {batches:?}");
    let is_in = |number: &usize| batches.iter().any(|batch| decisions[batch - 1].contains(number));
    let answer = |(number, mut answer): Asked| {
        let told = answer.try_recv().unwrap_or_else(|_| panic!("{number} was left without an answer"));
        match &told {
            Ok(Answer { record, .. }) => assert!(record.number == number && is_in(&number), "{number} was not done"),
            Err(JournalError::OutcomeUnknown) => {}
            Err(error) => assert!(!is_in(&number), "{number} was told {error:?}, and was done"),
        }
        told
    };
    asked.into_iter().map(answer).collect()
}

/// Nothing fails: all is done, in order, each batch on the books it was decided on.
fn piped() {
    let told = play(&scene(Vec::new()), |_| {});
    assert!(told.len() == CALLERS * ASKS && told.iter().all(Result::is_ok), "{told:?}");
}

fn any_fate() -> Fate {
    let hangs = Fate::ALL.len() - 1;
    Fate::ALL[thread_rng().gen_range(0..hangs)]
}

/// One of them fails in any way: none behind it gets anywhere, and the term goes on only for want of room.
fn failed() {
    let (batch, fate) = (thread_rng().gen_range(1..4), any_fate());
    let scene = scene(vec![(batch, fate)]);
    let told = play(&scene, |_| {});
    let goes_on = matches!(fate, Fate::Lands | Fate::NoRoomToLay | Fate::NoRoomToLand);
    // A line that dies while it lays ends the term at once, also for those before it.
    let came_about = fate == Fate::DiesLaying || scene.inner.books.batches().len() + 1 >= batch;
    assert!(!goes_on || told.iter().all(|told| matches!(told, Ok(_) | Err(JournalError::NoRoom))), "{told:?}");
    assert!(came_about, "those before it landed");
}

/// Two of them do, one maybe right behind the other.
fn failed_twice() {
    let mut random = thread_rng();
    let (first, second) = (random.gen_range(1..4), random.gen_range(1..4));
    play(&scene(vec![(first, any_fate()), (second, any_fate())]), |_| {});
}

/// The watchdog gives the term up at any moment, while lines lay and send.
fn watched() {
    let scene = scene(vec![(thread_rng().gen_range(1..4), any_fate())]);
    play(&scene, Scene::abandon);
}

/// A commit hangs. The watchdog answers its callers without waiting for it, and what it says is true when it goes on.
fn hanging() {
    let scene = scene(vec![(1, Fate::Hangs)]);
    let told = play(&scene, |scene| {
        scene.inner.books.wait_until_hanging();
        scene.abandon();
        scene.inner.books.let_go();
    });
    let unknown = |told: &Told| matches!(told, Err(JournalError::OutcomeUnknown));
    assert!(told.iter().any(unknown), "nobody was told that the first is unknown: {told:?}");
}
