use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use actix_web::{App, HttpServer};

use super::*;

/// What a socket at this address says to a request with this header: over the wire, since only then it has an address.
async fn said(listen: &str, header: &str) -> String {
    let route = || web::get().to(async |req: HttpRequest| if is_local(&req) { "local" } else { "foreign" });
    let server = HttpServer::new(move || App::new().route("/", route())).workers(1).disable_signals();
    let server = server.bind(listen).unwrap();
    let port = server.addrs()[0].port();
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{header}\r\n");
    let exchange = move || {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.rsplit("\r\n").next().unwrap_or_default().to_owned()
    };
    let said = web::block(exchange).await.unwrap();
    handle.stop(false).await;
    said
}

#[actix_web::test]
async fn only_a_request_to_a_loopback_address_that_nobody_passed_on_is_local() {
    assert_eq!(said("127.0.0.1:0", "").await, "local");
    assert_eq!(said("0.0.0.0:0", "").await, "foreign", "whoever it is, others could be too");
    for name in PASSED_ON {
        assert_eq!(said("127.0.0.1:0", &format!("{name}: 203.0.113.9\r\n")).await, "foreign", "{name}");
    }
}
