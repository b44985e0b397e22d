// SPDX-License-Identifier: BSD-2-Clause
//! client HOST PORT PLAN LOG: the plan on one connection of std::net. See README.md.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::{env, fs};

#[repr(C)]
struct Timespec {
    sec: i64,
    nsec: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, ts: *mut Timespec) -> i32;
}

/// std's Instant does not give CLOCK_MONOTONIC's own value.
fn monotonic() -> i64 {
    let mut ts = Timespec { sec: 0, nsec: 0 };
    unsafe { clock_gettime(1, &mut ts) };
    ts.sec * 1_000_000_000 + ts.nsec
}

fn read_line(r: &mut impl BufRead) -> String {
    let mut line = String::new();
    r.read_line(&mut line).unwrap();
    line.trim_end().to_string()
}

fn skip(r: &mut impl Read, n: u64) -> u64 {
    std::io::copy(&mut r.take(n), &mut std::io::sink()).unwrap()
}

/// Returns the status and the length of the body.
fn read_response(r: &mut impl BufRead, method: &str) -> (u16, u64) {
    let start = read_line(r);
    let status: u16 = start.split(' ').nth(1).unwrap().parse().unwrap();
    let (mut length, mut chunked) = (0, false);
    loop {
        let line = read_line(r).to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap();
        match name {
            "content-length" => length = value.trim().parse().unwrap(),
            "transfer-encoding" => chunked = value.trim() == "chunked",
            _ => {}
        }
    }
    if method == "HEAD" || status == 204 || status == 304 {
        return (status, 0);
    }
    if !chunked {
        return (status, skip(r, length));
    }
    let mut total = 0;
    loop {
        let size = u64::from_str_radix(read_line(r).split(';').next().unwrap(), 16).unwrap();
        if size == 0 {
            while !read_line(r).is_empty() {}
            return (status, total);
        }
        total += skip(r, size);
        read_line(r);
    }
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let host = if args[1].contains(':') { format!("[{}]", args[1]) } else { args[1].clone() };
    let address = format!("{}:{}", host, args[2]);
    let mut stream = TcpStream::connect(&address).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut log = fs::File::create(&args[4]).unwrap();
    for line in fs::read_to_string(&args[3]).unwrap().lines() {
        let p: Vec<&str> = line.split(' ').collect();
        let length: usize = p[2].parse().unwrap();
        let start = monotonic();
        let mut message = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", p[0], p[1], address);
        match p[3] {
            "length" => message += &format!("Content-Length: {}\r\n\r\n{}", length, "x".repeat(length)),
            "chunked" => {
                message += "Transfer-Encoding: chunked\r\n\r\n";
                for _ in 0..length / 1000 {
                    message += &format!("{:x}\r\n{}\r\n", 1000, "x".repeat(1000));
                }
                message += "0\r\n\r\n";
            }
            _ => message += "\r\n",
        }
        stream.write_all(message.as_bytes()).unwrap();
        let (status, body) = read_response(&mut reader, p[0]);
        let end = monotonic();
        writeln!(
            log,
            "{{\"method\":\"{}\",\"target\":\"{}\",\"status\":{},\"body\":{},\"start\":{},\"end\":{}}}",
            p[0], p[1], status, body, start, end
        )
        .unwrap();
    }
}
