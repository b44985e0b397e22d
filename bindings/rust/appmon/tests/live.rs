// SPDX-License-Identifier: BSD-2-Clause
//! A server in a cgroup, watched: events against the server's own log and what the client asked.

use appmon::{
    AttachOptions, Capabilities, Error, EventFlags, Method, Monitor, OpenFlags, Options, Protocol, Role,
};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::raw::{c_int, c_short, c_ulong};
use std::os::unix::io::{AsFd, AsRawFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, io, thread};

const SECOND: Duration = Duration::from_secs(1);
const PYTHON: &str = "/usr/bin/python3";
const BINDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

// ---- the server of ../../served.py ------------------------------------------------------------

struct Server {
    child: Child,
    input: Option<ChildStdin>,
    cgroup: String,
    id: u64,
    pid: u64,
    port: u16,
    log: String,
}

/// The value of a key in JSON as flat as the server's; no string of it has anything to unescape.
fn value<'a>(json: &'a str, key: &str) -> &'a str {
    let start = json.find(&format!("\"{key}\": ")).expect(key) + key.len() + 4;
    json[start..].split(&[',', '}'][..]).next().unwrap().trim_matches('"')
}

fn number(json: &str, key: &str) -> u64 {
    value(json, key).parse().unwrap()
}

impl Server {
    /// None: this machine cannot, which is told.
    fn start() -> Option<Server> {
        let mut child = Command::new(PYTHON)
            .arg(format!("{BINDINGS}/served.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            assert_eq!(child.wait().unwrap().code(), Some(77));
            eprintln!("skipped");
            return None;
        }
        Some(Server {
            input: child.stdin.take(),
            child,
            cgroup: value(&line, "cgroup").to_owned(),
            id: number(&line, "id"),
            pid: number(&line, "pid"),
            port: number(&line, "port") as u16,
            log: value(&line, "log").to_owned(),
        })
    }

    fn watch(&self, options: Options) -> Monitor {
        let mut monitor = options.open().unwrap();
        monitor.attach(&self.cgroup, AttachOptions::new()).unwrap();
        monitor
    }

    fn client(&self) -> Client {
        Client(BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).unwrap()))
    }

    /// What the server logged, as soon as there are so many lines.
    fn lines(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + 10 * SECOND;
        loop {
            let text = fs::read_to_string(&self.log).unwrap();
            if text.matches('\n').count() >= count {
                return text.lines().map(str::to_owned).collect();
            }
            assert!(Instant::now() < end, "{count} lines expected:\n{text}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn ask(&mut self, method: &str, target: &str, body: &str) -> io::Result<()> {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: h\r\nX-Tenant: t{target}\r\n{length}\r\n{body}");
        self.0.get_mut().write_all(head.as_bytes())?;
        let mut left = 0;
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let line = line.to_ascii_lowercase();
            if let Some(n) = line.strip_prefix("content-length:") {
                left = if method == "HEAD" { 0 } else { n.trim().parse().unwrap() };
            }
            if line == "\r\n" {
                return io::copy(&mut (&mut self.0).take(left), &mut io::sink()).map(drop);
            }
            assert!(!line.is_empty(), "the server closed");
        }
    }
}

const PLAN: [(&str, &str, usize); 6] = [
    ("GET", "/hello", 0),
    ("POST", "/echo?a=b", 3000),
    ("GET", "/status/404", 0),
    ("HEAD", "/bytes/100", 0),
    ("GET", "/bytes/100000", 0),
    ("GET", "/status/204", 0),
];

fn ask_all(server: &Server) {
    let mut client = server.client();
    for (method, target, length) in PLAN {
        client.ask(method, target, &"x".repeat(length)).unwrap();
    }
}

// ---- tests ---------------------------------------------------------------------------------------

#[test]
fn events_are_the_servers_log() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let before = SystemTime::now();
    let mut monitor = Options::new().header("X-Tenant").open().unwrap();
    assert!(monitor.capabilities().unwrap().contains(Capabilities::CAPTURE));
    let target = monitor.attach(&server.cgroup, AttachOptions::new().name("shop")).unwrap();
    ask_all(&server);
    let lines = server.lines(PLAN.len());
    for (i, (method, path_query, length)) in PLAN.iter().enumerate() {
        let line = &lines[i];
        let event = monitor.next_event(Some(10 * SECOND)).unwrap().expect("an event");
        let (path, query) = path_query.split_once('?').unwrap_or((path_query, ""));
        assert_eq!((event.protocol(), event.role()), (Protocol::HTTP1, Role::SERVER));
        assert_eq!(event.end(), appmon::End::COMPLETE);
        assert_eq!(event.method().name(), Some(*method));
        assert_eq!(event.operation(), value(line, "method"));
        assert_eq!(event.request_target(), value(line, "target"));
        assert!(event.path() == path && event.query() == query && event.authority() == "h");
        assert_eq!(u64::from(event.status()), number(line, "status"));
        assert_eq!(event.response_body_bytes(), number(line, "sent"));
        assert_eq!(event.request_body_bytes(), number(line, "read"));
        assert_eq!(event.request_content_length(), if *length > 0 { *length as i64 } else { -1 });
        assert_eq!(event.local(), Some(([127, 0, 0, 1], server.port).into()));
        assert_eq!(u64::from(event.remote().unwrap().port()), number(line, "port"));
        assert_eq!(event.header("x-tenant", false).unwrap(), *format!("t{path_query}"));
        assert!(event.header("x-tenant", true).is_none() && event.header("host", false).is_none());
        assert!(event.flags().contains(EventFlags::KEEP_ALIVE));
        assert_eq!((event.target_id(), event.ordinal()), (target.id(), i as u64 + 1));
        assert!(event.target_name() == "shop" && !event.path().is_truncated());
        assert_eq!(event.cgroup_id(), server.id);
        assert_eq!(event.duration_ns(), event.response_end_ns() - event.request_start_ns());
        let start = event.request_start_ns();
        let at = monitor.realtime(start).unwrap();
        assert!(before <= at && at <= SystemTime::now());
    }
    assert!(monitor.try_next().unwrap().is_none());
    for stats in [monitor.stats().unwrap(), monitor.target_stats(target).unwrap()] {
        let counted = (stats.exchanges_seen, stats.delivered, stats.outstanding, stats.dropped);
        assert_eq!(counted, (PLAN.len() as u64, PLAN.len() as u64, 0, [0; 16]));
    }
}

/// Against /proc.
#[test]
fn who_served() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = server.watch(Options::new().flags(OpenFlags::IDENTITY));
    if !monitor.capabilities().unwrap().contains(Capabilities::IDENTITY) {
        eprintln!("skipped: this kernel does not tell who served");
        return;
    }
    server.client().ask("GET", "/hello", "").unwrap();
    let event = monitor.next_event(Some(10 * SECOND)).unwrap().expect("an event");
    assert_eq!((u64::from(event.pid()), event.owner()), (server.pid, appmon::Owner::READ));
    let (pid, start, cgroup) = (event.pid(), event.process_start_ns(), event.cgroup_id());
    let process = monitor.find_process(pid, start).unwrap();
    assert_eq!(process.exe, fs::read_link(format!("/proc/{pid}/exe")).unwrap());
    let path = monitor.find_cgroup(cgroup).unwrap();
    assert!(server.cgroup.ends_with(path.to_str().unwrap()), "{path:?}");
    assert_eq!(monitor.find_process(pid, start + 1_000_000_000).unwrap_err().raw_os_error(), 3);
    assert_eq!(monitor.find_cgroup(1 << 60).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn waits_end_in_time_by_a_waker_and_not_after_the_monitor_is_gone() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = server.watch(Options::new());
    let begin = Instant::now();
    assert!(monitor.next_event(Some(Duration::from_millis(20))).unwrap().is_none());
    assert!(begin.elapsed() >= Duration::from_millis(20));
    let waker = monitor.waker();
    let other = thread::spawn({
        let waker = waker.clone();
        move || {
            thread::sleep(Duration::from_millis(50));
            waker.wake();
        }
    });
    assert!(monitor.next_event(None).unwrap().is_none());
    other.join().unwrap();
    // It may move.
    let monitor = thread::spawn(move || {
        assert!(!monitor.wait(Some(Duration::from_millis(1))).unwrap());
        monitor
    });
    drop(monitor.join().unwrap());
    waker.wake();
}

#[repr(C)]
struct PollFd {
    fd: c_int,
    events: c_short,
    revents: c_short,
}

extern "C" {
    fn poll(fds: *mut PollFd, count: c_ulong, timeout: c_int) -> c_int;
}

#[test]
fn the_descriptor_tells_of_work() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = server.watch(Options::new());
    let mut client = server.client();
    let readable = |monitor: &Monitor, timeout| {
        let mut fds = PollFd { fd: monitor.as_fd().as_raw_fd(), events: 1, revents: 0 };
        unsafe { poll(&mut fds, 1, timeout) > 0 && fds.revents & 1 != 0 }
    };
    let mut seen = 0;
    for _ in 0..50 {
        client.ask("GET", "/hello", "").unwrap();
        let end = Instant::now() + 10 * SECOND;
        loop {
            match monitor.try_next().unwrap() {
                Some(_) => break,
                None => assert!(readable(&monitor, 10_000) && Instant::now() < end),
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 50);
}

#[test]
fn a_recording_gives_the_same_events() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let path = env::temp_dir().join(format!("appmon-rust-{}", std::process::id()));
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut monitor = Options::new().open().unwrap();
    monitor.record(file.try_clone().unwrap()).unwrap();
    monitor.attach(&server.cgroup, AttachOptions::new()).unwrap();
    ask_all(&server);
    let mut live = Vec::new();
    while live.len() < PLAN.len() {
        live.push(format!("{:?}", monitor.next_event(Some(10 * SECOND)).unwrap().unwrap()));
    }
    monitor.stop_recording().unwrap();
    drop(monitor);
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut replay = Options::new().replay(file).unwrap();
    for event in &live {
        assert_eq!(&format!("{:?}", replay.next_event(None).unwrap().unwrap()), event);
    }
    let end: Error = replay.next_event(None).map(drop).unwrap_err();
    assert!(end.is_end_of_recording(), "{end}");
    assert!(live[0].contains("path: \"/hello\""), "{}", live[0]);
}

#[test]
fn errors_have_the_librarys_words() {
    let refused = [
        (Options::new().ring_bytes(5), "ring_bytes is 5, it must be 4096 to"),
        (Options::new().header("no header"), "is not a header name"),
        (Options::new().header("x\0y"), "a NUL byte is inside"),
    ];
    for (options, words) in refused {
        let error = options.open().map(drop).unwrap_err();
        assert!(error.raw_os_error() == 22 && error.to_string().contains(words), "{error}");
        assert_eq!(io::Error::from(error).kind(), ErrorKind::InvalidInput);
    }
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = Options::new().open().unwrap();
    let missing = monitor.attach("/nonexistent", AttachOptions::new()).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert!(missing.to_string().contains("/nonexistent"));
    let directory = File::open(&server.cgroup).unwrap();
    let target = monitor.attach_fd(&directory, AttachOptions::new()).unwrap();
    let again = monitor.attach(&server.cgroup, AttachOptions::new()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    monitor.detach(target).unwrap();
    assert_eq!(monitor.detach(target).unwrap_err().kind(), ErrorKind::NotFound);
}

/// What f panics with.
fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(f)).map(drop).expect_err("a panic");
    *panic.downcast::<String>().unwrap()
}

#[test]
fn a_panic_of_the_log_function_comes_out_of_the_call() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let lines = Arc::new(Mutex::new(Vec::new()));
    let mut monitor = Options::new()
        .log({
            let lines = lines.clone();
            move |level, line| {
                lines.lock().unwrap().push((level, line.to_owned()));
                std::panic::panic_any(line.to_owned());
            }
        })
        .open()
        .unwrap();
    monitor.attach(&server.cgroup, AttachOptions::new()).unwrap();
    for _ in 0..100 {
        let words = panic_of(|| monitor.attach("/dev/null", AttachOptions::new()));
        assert!(words.contains("/dev/null"), "{words}");
    }
    assert_eq!(lines.lock().unwrap().len(), 100);
    assert_eq!(lines.lock().unwrap()[0].0, appmon::LogLevel::ERROR);
    // Nothing is broken.
    server.client().ask("GET", "/hello", "").unwrap();
    assert!(monitor.next_event(Some(10 * SECOND)).unwrap().unwrap().path() == "/hello");
    let open = || Options::new().ring_bytes(5).log(|_, line| std::panic::panic_any(line.to_owned())).open();
    assert!(panic_of(open).contains("ring_bytes is 5"));
}

/// Copies are made of all that an event lends, while others wake and the kernel writes on: what was
/// copied is what the server logged. tests/bindings runs this with AddressSanitizer, too.
#[test]
fn under_pressure() {
    const CLIENTS: usize = 4;
    const EACH: usize = 500;
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = server.watch(Options::new().header("x-tenant").log(|_, _| ()));
    let waker = monitor.waker();
    let mut seen = Vec::new();
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = &server;
            scope.spawn(move || {
                let mut connection = server.client();
                for i in 0..EACH {
                    connection.ask("GET", &format!("/hello?{client}-{i}"), "").unwrap();
                }
            });
        }
        scope.spawn(move || {
            for _ in 0..500 {
                waker.wake();
                thread::sleep(Duration::from_millis(1));
            }
        });
        let end = Instant::now() + 60 * SECOND;
        while seen.len() < CLIENTS * EACH && Instant::now() < end {
            let _ = monitor.attach("/nonexistent", AttachOptions::new()).unwrap_err();
            if let Some(event) = monitor.next_event(Some(SECOND)).unwrap() {
                // Other threads may look at it as long as it is there.
                let words = thread::scope(|inner| inner.spawn(|| format!("{event:?}")).join().unwrap());
                assert!(words.contains("GET") && event.method() == Method::GET);
                let tenant = event.header("x-tenant", false).unwrap().to_vec();
                let target = event.request_target().as_bytes().to_vec();
                seen.push((
                    target,
                    tenant,
                    u64::from(event.remote().unwrap().port()),
                    u64::from(event.status()),
                ));
            }
        }
    });
    assert!(monitor.try_next().unwrap().is_none());
    assert_eq!(monitor.stats().unwrap().delivered, (CLIENTS * EACH) as u64);
    drop(monitor);
    let mut logged: Vec<_> = server
        .lines(CLIENTS * EACH)
        .iter()
        .map(|line| {
            let target = value(line, "target");
            let tenant = format!("t{target}");
            (target.into(), tenant.into_bytes(), number(line, "port"), number(line, "status"))
        })
        .collect();
    seen.sort();
    logged.sort();
    assert_eq!(seen, logged);
}

// ---- libraries that do not fit ---------------------------------------------------------------------

/// In a process of its own, with the library that the parent names.
#[test]
fn say_what_open_says() {
    if env::var_os("APPMON_TEST_SAY").is_some() {
        println!("open: {}", Options::new().ring_bytes(5).open().map(drop).unwrap_err());
    }
}

#[test]
fn a_library_that_does_not_fit_is_refused() {
    for (version, size, words) in [
        ("0.0.9", None, "libappmon 0.0.9 was loaded; this program was compiled for"),
        ("1.0.0", None, "libappmon 1.0.0 was loaded; this program was compiled for"),
        (
            "0.99.0",
            Some("appmon_event=8"),
            "struct appmon_event has 8 bytes in the libappmon that was loaded",
        ),
    ] {
        let directory = env::temp_dir().join(format!("appmon-rust-{}-{version}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let mut stub = Command::new(PYTHON);
        stub.arg(format!("{BINDINGS}/stub.py")).arg(&directory).arg(version).args(size);
        assert!(stub.status().unwrap().success());
        let said = Command::new(env::current_exe().unwrap())
            .args(["--exact", "say_what_open_says", "--nocapture"])
            .env("APPMON_TEST_SAY", "1")
            .env("LD_LIBRARY_PATH", &directory)
            .output()
            .unwrap();
        fs::remove_dir_all(&directory).unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(&format!("open: {words}")), "{said}");
    }
}
