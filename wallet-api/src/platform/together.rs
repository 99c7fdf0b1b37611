//! Asked one by one, done together.
//!
//! What costs the same for many as for one (a commit, a round trip, a plan) is done for all that wait. Whoever comes while
//! nothing is under way goes at once, alone: nobody waits for company. Who comes while others are worked for waits, and is
//! worked for with all who waited too, in their order. So the batches grow with the load and not with a clock.
//! Promise: everybody gets the answer to their own question, or is told that there is none; one whose asker went away is
//! worked for all the same. Questions of different keys never wait for each other.
//! Not here: what a question changes, and what becomes of the others of a batch in which one fails (the work's).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Gathers questions, and has them answered together; clones share it.
pub struct Together<K, Q, A>(Arc<Inner<K, Q, A>>);

/// Answers the questions of one key, as many and in their order.
type Work<K, Q, A> = Box<dyn Fn(K, Vec<Q>) -> Answers<A> + Send + Sync>;
type Answers<A> = Pin<Box<dyn Future<Output = Vec<A>> + Send>>;

/// How many batches of one key may be under way at once, and how many questions are in one at the most.
#[derive(Debug, Clone, Copy)]
pub struct Width {
    /// Batches.
    pub batches: usize,
    /// Questions.
    pub questions: usize,
}

struct Inner<K, Q, A> {
    work: Work<K, Q, A>,
    width: Width,
    gathered: Mutex<HashMap<K, Gathered<Q, A>>>,
}

/// A question and whom to tell.
type Waiting<Q, A> = (Q, oneshot::Sender<A>);

struct Gathered<Q, A> {
    waiting: VecDeque<Waiting<Q, A>>,
    under_way: usize,
}

impl<K, Q, A> Together<K, Q, A>
where
    K: Clone + Eq + Hash + Send + 'static,
    Q: Send + 'static,
    A: Send + 'static,
{
    /// Has questions answered by `work`, which gives as many answers as it got questions, in their order.
    pub fn new<F>(width: Width, work: impl Fn(K, Vec<Q>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Vec<A>> + Send + 'static,
    {
        let work: Work<K, Q, A> = Box::new(move |key, questions| Box::pin(work(key, questions)));
        Self(Arc::new(Inner { work, width, gathered: Mutex::default() }))
    }

    /// The answer to a question; none when the work ended without one, as it does when it panics. Needs a tokio runtime.
    pub async fn ask(&self, key: K, question: Q) -> Option<A> {
        let (tell, told) = oneshot::channel();
        if self.0.gather(&key, (question, tell)) {
            tokio::spawn(Arc::clone(&self.0).serve(key));
        }
        told.await.ok()
    }
}

impl<K, Q, A> Inner<K, Q, A>
where
    K: Clone + Eq + Hash + Send + 'static,
    Q: Send + 'static,
    A: Send + 'static,
{
    /// Puts one with those who wait; true when somebody must see to them.
    fn gather(&self, key: &K, one: Waiting<Q, A>) -> bool {
        let mut all = self.gathered();
        let gathered = all.entry(key.clone()).or_default();
        gathered.waiting.push_back(one);
        let is_room = gathered.under_way < self.width.batches;
        if is_room {
            gathered.under_way = gathered.under_way.saturating_add(1);
        }
        is_room
    }

    async fn serve(self: Arc<Self>, key: K) {
        while let Some(batch) = self.next(&key) {
            let (questions, tells): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            // A task of its own: a panic ends that, and those who come later are served by this one.
            let answers = tokio::spawn((self.work)(key.clone(), questions)).await.unwrap_or_default();
            for (tell, answer) in tells.into_iter().zip(answers) {
                _ = tell.send(answer); // nobody may be waiting any more
            }
        }
    }

    /// Those who wait; none ends one that serves them, in the same moment in which it is seen that nobody waits.
    fn next(&self, key: &K) -> Option<Vec<Waiting<Q, A>>> {
        let mut all = self.gathered();
        let gathered = all.get_mut(key)?;
        if gathered.waiting.is_empty() {
            gathered.under_way = gathered.under_way.saturating_sub(1);
            if gathered.under_way == 0 {
                all.remove(key);
            }
            return None;
        }
        let count = gathered.waiting.len().min(self.width.questions.max(1));
        Some(gathered.waiting.drain(..count).collect())
    }

    fn gathered(&self) -> MutexGuard<'_, HashMap<K, Gathered<Q, A>>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Q, A> Default for Gathered<Q, A> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), under_way: 0 }
    }
}

impl<K, Q, A> Clone for Together<K, Q, A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests;
