// SPDX-License-Identifier: BSD-2-Clause
//! server PORT LOG: the contract of http2_servers.py with hyper.
use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use hyper::server::conn::Http;
use hyper::service::service_fn;
use hyper::{Body, Method, Request, Response};

async fn answer(request: Request<Body>, log: Arc<File>) -> Result<Response<Body>, Infallible> {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let read = hyper::body::to_bytes(request.into_body()).await.map_or(0, |body| body.len());
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let mut parts = uri.path().split('/').skip(1);
    let what = parts.next().unwrap_or("");
    let number = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let (status, body) = match what {
        "bytes" => (200, "z".repeat(number)),
        "echo" => (200, read.to_string()),
        "status" => (number as u16, "status\n".to_string()),
        _ => (200, "hello\n".to_string()),
    };
    writeln!(&*log, "[\"{method}\", \"{target}\", {status}]").unwrap();
    let response = Response::builder().status(status).header("content-length", body.len());
    let body = if method == Method::HEAD { Body::empty() } else { Body::from(body) };
    Ok(response.body(body).unwrap())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let log = Arc::new(File::options().append(true).open(&arguments[2]).unwrap());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{}", arguments[1])).await.unwrap();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let log = log.clone();
        let service = service_fn(move |request| answer(request, log.clone()));
        tokio::spawn(async move { Http::new().serve_connection(stream, service).await });
    }
}
