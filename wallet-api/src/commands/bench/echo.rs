//! The least a server of this kind can do: actix-web with as many workers as ours, sending every body back.

use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};

/// Serves until it is asked to stop.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn echo(listen: SocketAddr) -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism().map_or(2, Into::into);
    let app = || {
        App::new()
            .route("/readyz", web::get().to(HttpResponse::Ok))
            .app_data(web::PayloadConfig::new(super::wire::MAX_MESSAGE))
            .default_service(web::post().to(back))
    };
    Ok(HttpServer::new(app).workers(workers).bind(listen)?.run().await?)
}

async fn back(body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}
