//! Every request is counted once, and none is early.

use std::sync::Mutex;

use tokio::net::TcpListener;

use super::{
    super::{
        receiver::{Delivery, Receiver},
        wire::write_post,
    },
    *,
};

fn post(number: u64, out: &mut Vec<u8>) {
    write_post(out, format_args!("/"), &[("webhook-id", format_args!("{number}"))], b"{}");
}

fn number_of(hook: &Delivery<'_, '_>) -> u64 {
    hook.webhook_id().parse().unwrap()
}

/// Answers each connection's n-th read with the n-th of `answers`, then closes it.
async fn server(answers: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                for answer in answers {
                    if !matches!(stream.read(&mut [0; 4096]).await, Ok(1..)) {
                        break;
                    }
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    addr
}

fn is_accounted_for(report: &LoadReport) -> bool {
    report.sent == report.ok + report.refused.values().sum::<u64>() + report.errors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_loop_counts_what_the_receiver_counts_and_numbers_each_request_once() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (kept, acked) = (Arc::clone(&seen), Arc::new(Mutex::new(Vec::new())));
    let keep = move |hook: &Delivery<'_, '_>| kept.lock().unwrap().push(number_of(hook));
    let receiver = Receiver::start(keep).await.unwrap();
    let acks = Arc::clone(&acked);
    let plan = Plan::new(receiver.addr(), 8, post).on_ok(move |answer| acks.lock().unwrap().push(answer.number));
    let report = closed_loop(plan, Duration::from_millis(200)).await.unwrap();

    let (mut seen, mut acked) = (seen.lock().unwrap().clone(), acked.lock().unwrap().clone());
    seen.sort_unstable();
    acked.sort_unstable();
    assert_eq!(seen, (0..report.sent).collect::<Vec<_>>());
    assert_eq!(seen, acked);
    assert_eq!((report.ok, report.errors, report.latencies.count()), (report.sent, 0, report.sent));
    assert_eq!(report.scheduled, report.sent);
    assert!(report.sent >= 8 && report.elapsed >= Duration::from_millis(200) && report.ok_per_s() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_sends_all_that_is_due_and_nothing_before_it_is() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    let keep = move |hook: &Delivery<'_, '_>| kept.lock().unwrap().push((number_of(hook), hook.arrived));
    let receiver = Receiver::start(keep).await.unwrap();
    let (rate, before) = (NonZeroU32::new(800).unwrap(), Instant::now());
    let report = open_loop(Plan::new(receiver.addr(), 16, post), rate, Duration::from_millis(500)).await.unwrap();
    assert_eq!((report.scheduled, report.sent, report.ok, report.errors), (400, 400, 400, 0));
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 400);
    assert!(seen.iter().all(|(number, arrived)| *arrived >= before + Duration::from_micros(1250 * number)));
}

/// One connection, 10 ms per answer, a request due every millisecond: the last of 100 waited for the other 99.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_loop_counts_the_wait_for_a_busy_connection() {
    let receiver = Receiver::start(|_| std::thread::sleep(Duration::from_millis(10))).await.unwrap();
    let rate = NonZeroU32::new(1000).unwrap();
    let report = open_loop(Plan::new(receiver.addr(), 1, post), rate, Duration::from_millis(100)).await.unwrap();
    assert_eq!(report.ok, 100);
    assert!(report.latencies.max_us() >= 900_000, "{}", report.latencies.max_us());
    assert!(report.latencies.quantile_us(500) >= 400_000);
}

#[test]
fn a_schedule_lets_go_of_each_request_once_and_ends() {
    let schedule = Schedule::new(NonZeroU32::new(3000).unwrap(), Duration::from_millis(20));
    let mut released = 0;
    while let Some(pause) = schedule.release(&mut released, 7) {
        assert!(schedule.due_at(released) > schedule.start);
        std::thread::sleep(pause);
    }
    assert_eq!((released, schedule.due.available_permits()), (60, 67));
    assert_eq!(schedule.due_at(30) - schedule.start, Duration::from_millis(10));
}

#[tokio::test]
async fn refusals_are_counted_by_status_and_bodies_are_shown() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&bodies);
    let addr = server(&[
        "HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nhi",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ])
    .await;
    let plan = Plan::new(addr, 1, post).on_ok(move |answer| kept.lock().unwrap().push(answer.body.to_vec()));
    let report = closed_loop(plan, Duration::from_millis(50)).await.unwrap();
    assert!(report.ok >= 1 && bodies.lock().unwrap().iter().all(|body| body == b"hi"));
    assert_eq!(report.refused.keys().copied().collect::<Vec<_>>(), [503]);
    assert!(is_accounted_for(&report) && report.errors == 0, "{report:?}");
}

#[tokio::test]
async fn a_connection_that_breaks_is_one_error_and_is_made_anew() {
    let addr = server(&["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-le"]).await;
    let report = closed_loop(Plan::new(addr, 2, post), Duration::from_millis(50)).await.unwrap();
    assert!(report.ok >= 2 && report.errors >= 2, "{report:?}");
    assert!(is_accounted_for(&report));
}

#[tokio::test]
async fn an_answer_it_does_not_speak_ends_the_run_by_name() {
    let addr = server(&["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"]).await;
    let refused = closed_loop(Plan::new(addr, 1, post), Duration::from_secs(5)).await;
    assert!(matches!(refused, Err(LoadError::Answer(WireError::Framing))));
}

#[tokio::test]
async fn nobody_there_is_told_before_the_clock_starts() {
    let addr = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let refused = closed_loop(Plan::new(addr, 1, post), Duration::from_secs(5)).await;
    assert!(matches!(refused, Err(LoadError::Connect { .. })));
}
