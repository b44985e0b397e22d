// SPDX-License-Identifier: BSD-2-Clause
//! server HOST PORT LOG: the contract of README.md on tiny_http.
use std::fs::{File, OpenOptions};
use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};
use std::{env, io, thread, time::Duration};
use tiny_http::{Method, Request, Response, Server};

const PATTERN: &[u8] = b"HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n";

fn pattern(n: usize) -> Vec<u8> {
    PATTERN.iter().copied().cycle().take(n).collect()
}

fn answer(mut request: Request, log: &Mutex<File>) {
    let read = io::copy(request.as_reader(), &mut io::sink()).unwrap_or(0);
    let port = request.remote_addr().map_or(0, |a| a.port());
    let method = request.method().clone();
    let target = request.url().to_string();
    let path = target.split('?').next().unwrap_or("");
    let mut part = path.split('/').skip(1);
    let what = part.next().unwrap_or("");
    let n: usize = part.next().and_then(|s| s.parse().ok()).unwrap_or(0);
    let (status, body) = match what {
        "hello" => (200, b"hello\n".to_vec()),
        "bytes" | "chunked" => (200, pattern(n)),
        "echo" => (200, read.to_string().into_bytes()),
        "status" => (n as u16, b"status\n".to_vec()),
        "slow" => {
            thread::sleep(Duration::from_millis(n as u64));
            (200, b"slow\n".to_vec())
        }
        _ => (404, b"no\n".to_vec()),
    };
    let bodiless = method == Method::Head || status == 204 || status == 304;
    let sent = if bodiless { 0 } else { body.len() };
    let length = if what == "chunked" { None } else { Some(body.len()) };
    let response = Response::new(status.into(), vec![], Cursor::new(body), length, None)
        .with_chunked_threshold(usize::MAX);
    let _ = request.respond(response);
    let own = std::fs::read_link("/proc/thread-self").unwrap(); // "PID/task/TID"
    let own: Vec<&str> = own.to_str().unwrap().split('/').collect();
    let line = format!(
        "{{\"method\":\"{}\",\"target\":\"{}\",\"status\":{},\"sent\":{},\"read\":{},\"port\":{},\
         \"pid\":{},\"tid\":{}}}\n",
        method, target, status, sent, read, port, own[0], own[2]
    );
    log.lock().unwrap().write_all(line.as_bytes()).unwrap();
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let host = if args[1].contains(':') { format!("[{}]", args[1]) } else { args[1].clone() };
    let log = OpenOptions::new().append(true).create(true).open(&args[3]).unwrap();
    let log = Arc::new(Mutex::new(log));
    let server = Server::http(format!("{}:{}", host, args[2])).unwrap();
    for request in server.incoming_requests() {
        let log = log.clone();
        thread::spawn(move || answer(request, &log));
    }
}
