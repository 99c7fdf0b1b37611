//! Questions at once, and work that is held up, fails or is left alone.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore};

use super::*;

const WIDE: Width = Width { batches: 1, questions: 64 };

/// Doubles numbers, and says how many came together; each batch waits for a permit.
fn doubling(width: Width, may_go: Arc<Semaphore>) -> Together<u8, u32, (u32, usize)> {
    Together::new(width, move |_key, numbers: Vec<u32>| {
        let may_go = Arc::clone(&may_go);
        async move {
            may_go.acquire().await.unwrap().forget();
            assert!(!numbers.contains(&1_313), "unlucky");
            numbers.iter().map(|number| (number * 2, numbers.len())).collect()
        }
    })
}

async fn gathered<K: Eq + Hash + Clone, Q, A>(together: &Together<K, Q, A>, key: &K, count: usize) {
    while together.0.gathered.lock().unwrap().get(key).is_none_or(|gathered| gathered.waiting.len() < count) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn who_comes_alone_goes_at_once_and_who_comes_meanwhile_goes_together() {
    let may_go = Arc::new(Semaphore::new(0));
    let together = doubling(WIDE, Arc::clone(&may_go));
    let first = tokio::spawn({
        let together = together.clone();
        async move { together.ask(1, 100).await }
    });
    while !together.0.gathered.lock().unwrap().get(&1).is_some_and(|one| one.under_way == 1 && one.waiting.is_empty()) {
        tokio::task::yield_now().await;
    }
    let others = join_all((0..20).map(|number| together.ask(1, number)));
    let release = async {
        gathered(&together, &1, 20).await;
        may_go.add_permits(2);
    };
    let (others, ()) = tokio::join!(others, release);
    assert_eq!(first.await.unwrap(), Some((200, 1)));
    let expected: Vec<_> = (0..20).map(|number| Some((number * 2, 20))).collect();
    assert_eq!(others, expected, "each has its own answer");
    while !together.0.gathered.lock().unwrap().is_empty() {
        tokio::task::yield_now().await; // and nothing is left behind
    }
}

#[tokio::test]
async fn no_batch_is_wider_than_it_may_be_and_keys_do_not_wait_for_each_other() {
    let may_go = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
    let together = doubling(Width { batches: 2, questions: 3 }, may_go);
    let answers = join_all((0..50).map(|number| together.ask(u8::from(number % 2 == 0), number))).await;
    for (number, answer) in (0..50).zip(answers) {
        let (doubled, at_once) = answer.unwrap();
        assert_eq!(doubled, number * 2);
        assert!((1..=3).contains(&at_once), "{at_once} at once");
    }
    let stuck = doubling(WIDE, Arc::new(Semaphore::new(1)));
    let waits = stuck.ask(2, 1);
    assert_eq!(stuck.ask(1, 1).await, Some((2, 1)));
    tokio::select! {
        biased;
        _ = waits => panic!("there was one permit"),
        () = tokio::task::yield_now() => {}
    }
}

#[tokio::test]
async fn work_that_panics_leaves_its_askers_without_an_answer_and_nobody_else() {
    let together = doubling(WIDE, Arc::new(Semaphore::new(9)));
    assert_eq!(together.ask(1, 1_313).await, None);
    assert_eq!(together.ask(1, 7).await, Some((14, 1)));
}

#[tokio::test]
async fn what_was_asked_is_done_though_its_asker_went_away() {
    let (done, count) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (tell, counted) = (Arc::clone(&done), Arc::clone(&count));
    let together = Together::new(WIDE, move |(), asked: Vec<()>| {
        let (tell, counted) = (Arc::clone(&tell), Arc::clone(&counted));
        async move {
            counted.fetch_add(asked.len(), Ordering::SeqCst);
            tell.notify_one();
            asked
        }
    });
    tokio::select! {
        biased;
        _ = together.ask((), ()) => panic!("nobody could work for it yet"),
        () = std::future::ready(()) => {}
    }
    done.notified().await;
    assert_eq!(count.load(Ordering::SeqCst), 1);
}
