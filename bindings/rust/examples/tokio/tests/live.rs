// SPDX-License-Identifier: BSD-2-Clause
//! What the example prints is what the server of ../../../served.py logged.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

fn value<'a>(json: &'a str, key: &str) -> &'a str {
    let start = json.find(&format!("\"{key}\": ")).expect(key) + key.len() + 4;
    json[start..].split(&[',', '}'][..]).next().unwrap().trim_matches('"')
}

#[test]
fn the_stream_has_each_request() {
    const COUNT: usize = 200;
    let served = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../served.py");
    let mut server = Command::new("/usr/bin/python3")
        .arg(served)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut json = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut json).unwrap();
    if json.is_empty() {
        assert_eq!(server.wait().unwrap().code(), Some(77));
        eprintln!("skipped");
        return;
    }
    let mut example = Command::new(env!("CARGO_BIN_EXE_appmon-tokio"))
        .args([value(&json, "cgroup"), &COUNT.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(example.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "watching");
    for i in 0..COUNT {
        let mut connection = TcpStream::connect(format!("127.0.0.1:{}", value(&json, "port"))).unwrap();
        write!(connection, "GET /status/{} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 200 + i % 4)
            .unwrap();
        connection.read_to_end(&mut Vec::new()).unwrap();
    }
    let mut printed: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(example.wait().unwrap().success());
    let log = fs::read_to_string(value(&json, "log")).unwrap();
    drop(server.stdin.take());
    server.wait().unwrap();
    let mut logged: Vec<String> = log
        .lines()
        .map(|line| format!("{} {} {}", value(line, "method"), value(line, "target"), value(line, "status")))
        .collect();
    printed.sort();
    logged.sort();
    assert_eq!(printed, logged);
}
