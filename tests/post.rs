//! Mail against a real server: what arrives, over what, and what becomes of a mail that is not taken at once.

use std::time::{Duration, Instant};

use serde_json::Value;
use tessera_tests::{MailServer, Speech};
use wallet_api::platform::ids::Ids;
use wallet_api::platform::post::{Letter, Mail, PLACES, Post, PostError, Settings};
use wallet_api::platform::text::{Arg, Lang};

const FROM: &str = "Club <wallet@example.org>";

fn letter(lang: Lang) -> Letter {
    let values = [("name", Arg::Text("Caffè & <Co>")), ("code", Arg::Text("01234567")), ("minutes", Arg::Count(10))];
    Letter::written(lang, "code", &values)
}

fn mail(to: &str) -> Mail {
    Mail::new(to, letter(Lang::It)).unwrap()
}

/// What sends to the server, quick to try again.
fn post(server: &MailServer, url: &str) -> Post {
    let url = url.replace("PORT", &server.port.to_string());
    let settings = Settings::new(&url, FROM, Some(&server.authority)).unwrap();
    let waits = vec![Duration::from_millis(200), Duration::from_millis(200), Duration::from_millis(200)];
    Post::start(&settings.with_times(Duration::from_millis(1_500), waits), Ids::system()).unwrap()
}

/// A part of a mail, decoded by the one rule that its own header names.
fn part(mail: &Value, kind: &str) -> String {
    let data = mail["data"].as_str().unwrap().replace("\r\n", "\n");
    let (_, rest) = data.split_once(&format!("Content-Type: {kind}")).unwrap_or_else(|| panic!("{data}"));
    let (header, rest) = rest.split_once("\n\n").unwrap();
    let body = rest.split("\n--").next().unwrap();
    if header.contains("quoted-printable") { quoted_printable(body) } else { body.to_owned() }
}

fn quoted_printable(text: &str) -> String {
    let text = text.replace("=\n", "");
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'=', [high, low, after @ ..]) => {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&[*high, *low]).unwrap(), 16).unwrap());
                rest = after;
            }
            (other, _) => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn a_letter_arrives_as_text_and_html_over_tls_as_whoever_may_send() {
    for (speech, url) in [
        (Speech::Smtps, "smtps://localhost:PORT"),
        (Speech::StartTls, "smtp://wallet:p%40ss%2Fw%C3%B2rd@localhost:PORT?tls=required"),
        (Speech::Plain, "smtp://127.0.0.1:PORT"),
    ] {
        let Some(server) = MailServer::start(speech) else { return };
        let post = post(&server, url);
        post.send(&mail("anna@example.com")).unwrap();
        let got = server.mail_for("anna@example.com").await;
        assert_eq!((&got["from"], &got["hello"]), (&"wallet@example.org".into(), &"example.org".into()), "{speech:?}");
        assert_eq!(got["tls"], speech != Speech::Plain, "{speech:?}");
        assert_eq!(got["user"].as_str(), url.contains("wallet:").then_some("wallet"));
        let text = part(&got, "text/plain");
        assert!(text.contains("Caffè & <Co>") && text.contains("01234567"), "{text}");
        let html = part(&got, "text/html");
        assert!(html.contains("Caffè &amp; &lt;Co&gt;") && html.contains("<p>01234567</p>"), "{html}");
        let data = got["data"].as_str().unwrap();
        assert!(data.contains("From: Club <wallet@example.org>") && data.contains("To: anna@example.com"), "{data}");
        assert!(data.contains("Message-ID: <") && data.contains("@example.org>"), "{data}");
        post.drain(Duration::from_secs(5)).await;
    }
}

/// Whoever is in between gets nothing: no plain text where TLS is asked for, and no certificate of just anybody.
#[tokio::test]
async fn no_mail_goes_where_tls_cannot_be_had() {
    let Some(plain) = MailServer::start(Speech::Plain) else { return };
    let Some(tls) = MailServer::start(Speech::Smtps) else { return };
    let downgraded = post(&plain, "smtp://localhost:PORT?tls=required");
    downgraded.send(&mail("anna@example.com")).unwrap();
    let settings = Settings::new(&format!("smtps://localhost:{}", tls.port), FROM, None).unwrap();
    let settings = settings.with_times(Duration::from_secs(5), Vec::new());
    let strange = Post::start(&settings, Ids::system()).unwrap();
    strange.send(&mail("anna@example.com")).unwrap();
    for post in [&downgraded, &strange] {
        post.drain(Duration::from_secs(10)).await;
    }
    assert!(plain.mails().is_empty() && tls.mails().is_empty());
}

#[tokio::test]
async fn a_server_that_says_not_now_is_tried_again_and_one_that_says_never_is_not() {
    let Some(server) = MailServer::start(Speech::Plain) else { return };
    let post = post(&server, "smtp://localhost:PORT");
    post.send(&mail("refused-anna@example.com")).unwrap();
    post.send(&mail("grey-anna@example.com")).unwrap();
    server.mail_for("grey-anna@example.com").await;
    let began = Instant::now();
    post.drain(Duration::from_secs(10)).await;
    assert!(began.elapsed() < Duration::from_secs(5), "what was refused is not waited for");
    assert_eq!(server.mails().len(), 1, "once each, and the refused one never");
}

/// A server that hangs costs a mail its time, and nobody else anything.
#[tokio::test]
async fn a_server_that_hangs_is_left_and_the_others_are_not_held_up() {
    let Some(server) = MailServer::start(Speech::Plain) else { return };
    let post = post(&server, "smtp://localhost:PORT");
    let began = Instant::now();
    for n in 0..4 {
        post.send(&mail(&format!("hang-{n}@example.com"))).unwrap();
    }
    post.send(&mail("anna@example.com")).unwrap();
    server.mail_for("anna@example.com").await;
    assert!(began.elapsed() < Duration::from_millis(1_400), "not behind those that hang");
    post.drain(Duration::from_secs(30)).await;
    // Four attempts of a second and a half, and three waits between.
    assert!((Duration::from_secs(6)..Duration::from_secs(15)).contains(&began.elapsed()), "{:?}", began.elapsed());
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn no_more_wait_than_may_and_a_server_that_is_away_holds_nobody_up() {
    // A port that nobody listens at.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let settings = Settings::new(&format!("smtp://127.0.0.1:{port}"), FROM, None).unwrap();
    let settings = settings.with_times(Duration::from_secs(5), vec![Duration::from_secs(60)]);
    let post = Post::start(&settings, Ids::system()).unwrap();
    let began = Instant::now();
    for _ in 0..PLACES {
        post.send(&mail("anna@example.com")).unwrap();
    }
    assert_eq!(post.send(&mail("anna@example.com")), Err(PostError::Busy));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
