use std::sync::atomic::{AtomicU32, Ordering};

use actix_web::http::header;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, get, test as http, web};
use diesel::prelude::*;

use super::*;
use crate::platform::Platform;
use crate::platform::ids::Ids;
use crate::platform::scratch::Scratch;
use crate::platform::text::Lang;
use crate::platform::vault::Vault;

/// One key, a count of how often it was asked for, and a database that may fail.
struct Desk {
    hash: [u8; 32],
    prefix: String,
    asked: AtomicU32,
    fails: bool,
}

/// A prefix whose row cannot be read.
const POISON: &str = "00000000dead";

impl Desk {
    fn with(key: &Token, fails: bool) -> Arc<Self> {
        Arc::new(Self { hash: key.hash(), prefix: key.prefix().to_owned(), asked: AtomicU32::new(0), fails })
    }
}

impl Directory for Desk {
    fn find(&self, _: &mut PgConnection, names: &[Name], _: DateTime<Utc>) -> QueryResult<HashMap<Name, TokenRecord>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
        if self.fails {
            return Err(diesel::result::Error::RollbackTransaction);
        }
        if names.iter().any(|(_, prefix)| prefix == POISON) {
            return Err(diesel::result::Error::NotFound);
        }
        let record = || {
            let caller = Caller::new(tenant(), Actor::Client(7), [Scope::PaymentsRead]);
            TokenRecord { key: 1, hash: self.hash, caller, is_noted: false }
        };
        Ok(names.iter().filter(|(_, prefix)| *prefix == self.prefix).map(|name| (name.clone(), record())).collect())
    }

    fn touch(&self, _: &mut PgConnection, _: &TokenRecord, _: DateTime<Utc>) -> QueryResult<()> {
        Err(diesel::result::Error::NotFound)
    }
}

fn tenant() -> Arc<Tenant> {
    Arc::new(Tenant {
        id: 1,
        slug: "acea".to_owned(),
        name: "Acea".to_owned(),
        sandbox: true,
        zone: chrono_tz::Europe::Rome,
        locale: Lang::It,
        secret: TenantSecret::new(&[1; 32]),
    })
}

async fn crowd(keyring: &Keyring, key: &Token) -> Vec<Result<Caller, Problem>> {
    futures_util::future::join_all((0..50).map(|_| keyring.admit(key))).await
}

#[tokio::test]
async fn a_crowd_with_one_key_asks_the_directory_once_known_or_unknown() {
    let (scratch, key, stranger) =
        (Scratch::new(), Token::generate(Kind::Key, &Ids::system()), Token::generate(Kind::Key, &Ids::system()));
    let desk = Desk::with(&key, false);
    let keyring = Keyring::new(Db::open(&scratch.url, 4).unwrap(), Clock::System, desk.clone());
    assert!(crowd(&keyring, &key).await.iter().all(Result::is_ok), "also when its use cannot be noted");
    assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
    assert!(crowd(&keyring, &stranger).await.iter().all(Result::is_err));
    assert_eq!(desk.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn many_tokens_at_once_are_asked_for_together_and_one_that_fails_fails_alone() {
    let (scratch, key) = (Scratch::new(), Token::generate(Kind::Key, &Ids::system()));
    let desk = Desk::with(&key, false);
    let keyring = Keyring::new(Db::open(&scratch.url, 4).unwrap(), Clock::System, desk.clone());
    let strangers: Vec<_> = (0..200).map(|_| Token::generate(Kind::Key, &Ids::system())).collect();
    let all = strangers.iter().chain([&key]);
    let mut told = futures_util::future::join_all(all.map(|key| keyring.admit(key))).await;
    assert!(told.pop().unwrap().is_ok());
    assert!(told.into_iter().all(|answer| answer.unwrap_err().status() == 401));
    assert!(desk.asked.load(Ordering::SeqCst) < 20, "{} questions", desk.asked.load(Ordering::SeqCst));
    let poison = Token::parse(&format!("tsk_{POISON}_{}", "0".repeat(64))).unwrap();
    keyring.doubt(Kind::Key, key.prefix());
    tokio::time::sleep(DOUBTED).await;
    let (one, other) = tokio::join!(keyring.admit(&poison), keyring.admit(&key));
    assert_eq!((one.unwrap_err().code(), other.is_ok()), ("internal", true));
    let others: Vec<_> = (0..50).map(|_| Token::generate(Kind::Key, &Ids::system())).collect();
    let told = futures_util::future::join_all(others.iter().chain([&poison]).map(|key| keyring.admit(key))).await;
    let codes: Vec<_> = told.into_iter().map(|answer| answer.unwrap_err().code().to_owned()).collect();
    assert_eq!(codes.iter().filter(|code| *code == "internal").count(), 1, "{codes:?}");
}

#[tokio::test]
async fn a_crowd_before_a_broken_database_is_refused_at_once_and_not_in_turn() {
    let (scratch, key) = (Scratch::new(), Token::generate(Kind::Key, &Ids::system()));
    let desk = Desk::with(&key, true);
    let keyring = Keyring::new(Db::open(&scratch.url, 4).unwrap(), Clock::System, desk.clone());
    assert!(crowd(&keyring, &key).await.into_iter().all(|answer| answer.unwrap_err().code() == "internal"));
    assert_eq!(desk.asked.load(Ordering::SeqCst), 1);
    keyring.admit(&key).await.unwrap_err();
    assert_eq!(desk.asked.load(Ordering::SeqCst), 2, "whoever comes later asks again");
}

#[tokio::test]
async fn a_key_in_doubt_is_asked_for_again_soon_and_once() {
    let (scratch, key) = (Scratch::new(), Token::generate(Kind::Key, &Ids::system()));
    let desk = Desk::with(&key, false);
    let keyring = Keyring::new(Db::open(&scratch.url, 4).unwrap(), Clock::System, desk.clone());
    keyring.admit(&key).await.unwrap();
    keyring.doubt(Kind::Key, "000000000000");
    tokio::time::sleep(DOUBTED).await;
    keyring.admit(&key).await.unwrap();
    assert_eq!(desk.asked.load(Ordering::SeqCst), 1, "nobody doubted this one");
    keyring.doubt(Kind::Key, key.prefix());
    assert!(crowd(&keyring, &key).await.iter().all(Result::is_ok));
    assert_eq!(desk.asked.load(Ordering::SeqCst), 2);
    tokio::time::sleep(DOUBTED).await;
    keyring.admit(&key).await.unwrap();
    assert_eq!(desk.asked.load(Ordering::SeqCst), 2, "the new answer came after the doubt");
}

#[tokio::test]
async fn what_was_known_of_an_ended_token_or_asked_before_counts_no_more() {
    let (scratch, token) = (Scratch::new(), Token::generate(Kind::Access, &Ids::system()));
    let desk = Desk::with(&token, false);
    let keyring = Keyring::new(Db::open(&scratch.url, 4).unwrap(), Clock::System, desk.clone());
    let name = [token.prefix().to_owned()];
    keyring.admit(&token).await.unwrap();
    keyring.ended(&name);
    let ended_meanwhile = async {
        while desk.asked.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        keyring.ended(&name);
    };
    _ = tokio::join!(keyring.admit(&token), ended_meanwhile);
    keyring.admit(&token).await.unwrap();
    assert_eq!(desk.asked.load(Ordering::SeqCst), 3, "the second answer may be older than the end");
    keyring.admit(&token).await.unwrap();
    assert_eq!(desk.asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_flood_of_made_up_prefixes_never_outgrows_the_memory_and_known_keys_stay() {
    let (scratch, key) = (Scratch::new(), Token::generate(Kind::Key, &Ids::system()));
    let keyring = Keyring::new(Db::open(&scratch.url, 1).unwrap(), Clock::System, Desk::with(&key, false));
    keyring.admit(&key).await.unwrap();
    for n in 0..REMEMBERED * 2 {
        keyring.entry(&(Kind::Key, format!("{n:012x}")));
    }
    let memory = keyring.memory.lock().unwrap();
    assert!(memory.len() <= REMEMBERED);
    assert!(memory.contains_key(key.name()));
}

#[get("/me")]
async fn me(caller: Caller) -> Result<HttpResponse, Problem> {
    caller.require(Scope::PaymentsRead)?;
    Ok(HttpResponse::Ok().json(caller.client()))
}

#[actix_web::test]
async fn every_stranger_gets_the_same_401_and_the_holder_comes_in() {
    let (scratch, key) = (Scratch::new(), Token::generate(Kind::Key, &Ids::system()));
    let (db, clock) = (Db::open(&scratch.url, 2).unwrap(), Clock::System);
    let keyring = Keyring::new(db.clone(), clock.clone(), Desk::with(&key, false));
    let platform = web::Data::new(Platform {
        db,
        history: ledger::History::default(),
        clock,
        ids: Ids::system(),
        keyring,
        vault: Vault::closed(),
    });
    let app = App::new().wrap(from_fn(crate::platform::http::edge)).app_data(platform).service(me);
    let app = http::init_service(app).await;
    let ask = async |headers: &[&str]| {
        let mut request = http::TestRequest::get().uri("/me");
        for value in headers {
            request = request.append_header((header::AUTHORIZATION, *value));
        }
        let response = http::call_service(&app, request.to_request()).await;
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
        (response.status().as_u16(), challenge, http::read_body(response).await)
    };
    let good = format!("Bearer {}", key.reveal());
    assert_eq!(ask(&[&good]).await.2, "7");
    assert_eq!(ask(&[&good.replace("Bearer", "bearer")]).await.0, 200);
    let stranger = format!("Bearer {}", Token::generate(Kind::Key, &Ids::system()).reveal());
    let wrong = format!("Bearer tsk_{}_{}", key.prefix(), "0".repeat(64));
    let nobody = ask(&[]).await;
    assert_eq!((nobody.0, nobody.1.as_ref().unwrap().to_str().unwrap()), (401, "Bearer"));
    for strange in
        [&[stranger.as_str()][..], &[&wrong], &["Basic eDp5"], &["Bearer"], &["Bearer tsk_"], &[&good, &good]]
    {
        assert_eq!(ask(strange).await, nobody, "{strange:?}");
    }
}

#[test]
fn a_key_is_read_as_it_was_written_and_never_shown_by_accident() {
    let key = Token::generate(Kind::Key, &Ids::seeded(b"seed"));
    assert_eq!(Token::parse(key.reveal()).unwrap().hash(), key.hash());
    assert!(!format!("{key:?} {:?}", tenant()).contains(&key.reveal()[20..]));
    assert!(format!("{:?}", tenant()).contains("TenantSecret(..)"));
    let upper = key.reveal().to_uppercase();
    for bad in ["", "tsk_", "tsk__", &upper, &key.reveal()[1..], &format!("{}0", key.reveal())] {
        assert!(Token::parse(bad).is_none(), "{bad}");
    }
}

#[test]
fn every_scope_has_a_word_of_its_own_and_admin_may_do_all_that_machines_may() {
    let admin = Caller::new(tenant(), Actor::Client(1), [Scope::Admin]);
    let nobody = Caller::new(tenant(), Actor::Client(1), []);
    for scope in Scope::ALL {
        assert_eq!(scope.word().parse::<Scope>().unwrap(), scope);
        assert_eq!(admin.require(scope).is_ok(), !scope.is_of_people(), "{scope}");
        assert_eq!(nobody.require(scope).unwrap_err().status(), 403);
    }
    assert!("payments".parse::<Scope>().is_err());
}
