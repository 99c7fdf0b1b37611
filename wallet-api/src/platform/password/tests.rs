use std::time::{Duration, Instant};

use super::*;

const RIGHT: &str = "correct horse battery staple";

fn passwords() -> Passwords {
    Passwords::new(&Ids::system())
}

fn said(text: &str) -> Password {
    Password::said(text.to_owned()).unwrap()
}

#[tokio::test]
async fn a_password_is_itself_and_no_other() {
    let passwords = passwords();
    let kept = passwords.keep(said(RIGHT)).await.unwrap();
    assert!(passwords.is(Some(&kept), said(RIGHT)).await.unwrap());
    assert!(!passwords.is(Some(&kept), said("correct horse battery stapl")).await.unwrap());
    assert!(!passwords.is(Some(&kept), said("")).await.unwrap());
    assert!(!passwords.is(None, said("nobody has this one")).await.unwrap(), "where none is kept, none is right");
}

#[tokio::test]
async fn what_is_kept_says_how_it_was_made_and_never_twice_the_same() {
    let passwords = passwords();
    let kept = passwords.keep(said(RIGHT)).await.unwrap();
    assert!(kept.text().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", kept.text());
    assert_ne!(kept, passwords.keep(said(RIGHT)).await.unwrap());
    assert_eq!(format!("{:?} {kept:?}", said(RIGHT)), "Password(..) Kept(..)");
    // The test vector of the algorithm's reference: what others kept is read too.
    let theirs = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    assert!(passwords.is(Some(&Kept::new(theirs.to_owned())), said("password")).await.unwrap());
    let broken = Kept::new("x".to_owned());
    assert_eq!(passwords.is(Some(&broken), said(RIGHT)).await, Err(PasswordError::Broken));
}

#[test]
fn a_new_password_is_long_and_not_of_a_few_letters() {
    let chosen = |text: &str| Password::chosen(text.to_owned()).map(drop);
    assert_eq!(chosen("fourteen chars"), Err(PasswordError::Weak));
    assert_eq!(chosen(&"ab".repeat(20)), Err(PasswordError::Weak));
    assert_eq!(chosen(RIGHT), Ok(()));
    assert_eq!(chosen(&"perché no? ".repeat(11)), Ok(()), "letters are counted, not bytes");
    assert_eq!(chosen(&"abcdefghi".repeat(15)), Err(PasswordError::TooLong));
    assert_eq!(Password::said("x".repeat(MOST + 1)).map(drop), Err(PasswordError::TooLong));
}

/// What nobody waits for is computed to its end, so that whoever asks and goes gains nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t58_of_two_hundred_at_once_one_is_computed_some_wait_and_the_others_are_told_at_once() {
    let passwords = passwords();
    let kept = passwords.keep(said(RIGHT)).await.unwrap();
    // Nobody's turn comes before all have asked.
    let turn = passwords.turn.acquire().await.unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|_| {
            let (passwords, kept) = (passwords.clone(), kept.clone());
            tokio::spawn(async move { passwords.is(Some(&kept), said(RIGHT)).await })
        })
        .collect();
    let refused = Instant::now();
    while tasks.iter().filter(|task| task.is_finished()).count() < 200 - PLACES - 1 {
        assert!(refused.elapsed() < Duration::from_secs(20), "those beyond the places are not told");
        tokio::task::yield_now().await;
    }
    drop(turn);
    let (mut right, mut busy) = (0, 0);
    for task in tasks {
        match task.await.unwrap() {
            Ok(true) => right += 1,
            Err(PasswordError::Busy) => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((right, busy), (PLACES + 1, 200 - PLACES - 1));
    assert!(passwords.is(Some(&kept), said(RIGHT)).await.unwrap(), "places are given back");
}
