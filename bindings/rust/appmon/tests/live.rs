// SPDX-License-Identifier: BSD-2-Clause
//! A server in a cgroup, watched: events against the server's own log and what the client asked.

use appmon::{
    AttachOptions, Capabilities, Error, EventFlags, Filter, Histogram, LogLevel, Method, MetricsFlags,
    MetricsOptions, Monitor, OpenFlags, Options, Outcome, OwnedEvent, PortHint, Protocol, Role, Snapshot,
    SnapshotKind, SnapshotOptions, StatsFlags, TakeFlags, TimeKind,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::os::raw::{c_int, c_short, c_ulong};
use std::os::unix::fs::MetadataExt;
use std::os::unix::io::{AsFd, AsRawFd};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{mpsc, Arc, Mutex};
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

#[test]
fn protocols_of_a_target() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let (http1, resp) = (1 << Protocol::HTTP1.0, 1 << Protocol::RESP.0);
    let mut monitor = Options::new().protocols(http1 | resp).open().unwrap();
    let hint = |port, protocol| PortHint { port, protocol };
    let ports = [hint(6379, Protocol::RESP), hint(80, Protocol::HTTP1)];
    let options = AttachOptions::new().protocols(resp);
    let wrong = monitor.attach(&server.cgroup, options.ports(&ports)).unwrap_err();
    assert!(wrong.to_string().contains("80 is http1"), "{}", wrong);
    let target = monitor.attach(&server.cgroup, options.ports(&ports[..1])).unwrap();
    ask_all(&server);
    assert!(monitor.next_event(Some(SECOND)).unwrap().is_none());
    assert_eq!(monitor.target_stats(target).unwrap().filtered, PLAN.len() as u64);
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

/// Another thread looks at them after the monitor and its memory are gone, and frees them.
#[test]
fn events_are_kept() {
    const COUNT: usize = 200;
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = server.watch(Options::new().header("x-tenant"));
    let mut client = server.client();
    for i in 0..COUNT {
        client.ask("GET", &format!("/hello?{i}"), "").unwrap();
    }
    let (to_other, kept) = mpsc::channel::<OwnedEvent>();
    let (start, started) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        started.recv().unwrap();
        let mut lines = Vec::new();
        for owned in kept {
            let event = owned.event();
            let words = format!("{owned:?}");
            assert!(words == format!("{event:?}") && words.contains("/hello"), "{words}");
            lines.push((
                event.request_target().to_string(),
                event.header("x-tenant", false).unwrap().to_string(),
                u64::from(event.remote().unwrap().port()),
                u64::from(event.status()),
            ));
        }
        lines
    });
    for _ in 0..COUNT {
        let event = monitor.next_event(Some(10 * SECOND)).unwrap().expect("an event");
        let owned = event.keep().unwrap();
        assert_eq!(format!("{event:?}"), format!("{owned:?}"));
        to_other.send(owned.event().keep().unwrap()).unwrap(); // a copy's copy
    }
    drop((monitor, to_other));
    start.send(()).unwrap();
    let logged: Vec<_> = server
        .lines(COUNT)
        .iter()
        .map(|line| {
            let target = value(line, "target");
            (target.to_owned(), format!("t{target}"), number(line, "port"), number(line, "status"))
        })
        .collect();
    assert_eq!(other.join().unwrap(), logged);
}

/// Waits until all of so many exchanges are either delivered or left out.
fn counted(monitor: &mut Monitor, exchanges: usize) {
    let end = Instant::now() + 10 * SECOND;
    loop {
        let stats = monitor.stats().unwrap();
        if stats.delivered + stats.filtered == exchanges as u64 {
            return;
        }
        assert!(Instant::now() < end, "{stats:?}");
        assert!(monitor.next_event(Some(Duration::from_millis(5))).unwrap().is_none());
    }
}

#[test]
fn a_filter_says_what_comes() {
    type Passes = fn(target: &str, status: u64) -> bool;
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = server.watch(Options::new());
    let mut client = server.client();
    let targets = ["/hello", "/status/404", "/status/503", "/slow/300"];
    let filters: [(Filter<'_>, Passes); 8] = [
        (Filter::new().outcome(Outcome::SERVER_ERROR).outcome(Outcome::CLIENT_ERROR), |_, status| {
            status >= 400
        }),
        (Filter::new().path_prefix("/status/5"), |target, _| target.starts_with("/status/5")),
        (Filter::new().path_prefix("/s").outcome(Outcome::OK), |target, _| target == "/slow/300"),
        (Filter::new().path_prefix("/slow").min_duration(SECOND / 4), |target, _| target == "/slow/300"),
        (Filter::new().min_duration(Duration::MAX), |_, _| false),
        (Filter::new().role(Role::SERVER), |_, _| true),
        (Filter::new().role(Role::CLIENT), |_, _| false),
        (Filter::new(), |_, _| true),
    ];
    let (mut asked, mut passed) = (0, 0);
    for (filter, passes) in filters {
        monitor.set_filter(filter).unwrap();
        for target in targets {
            client.ask("GET", target, "").unwrap();
        }
        let lines = server.lines(asked + targets.len());
        let logged = lines[asked..].iter().map(|line| (value(line, "target"), number(line, "status")));
        for (target, status) in logged.filter(|(target, status)| passes(target, *status)) {
            let event = monitor.next_event(Some(10 * SECOND)).unwrap().expect("an event");
            assert!(
                event.request_target() == target && u64::from(event.status()) == status,
                "{filter:?} {event:?}"
            );
            passed += 1;
        }
        asked += targets.len();
        counted(&mut monitor, asked);
        let stats = monitor.stats().unwrap();
        assert_eq!((stats.delivered, stats.filtered), (passed, asked as u64 - passed), "{filter:?}");
    }
    monitor.set_filter(Filter::new().path_prefix(b"/hello")).unwrap();
    for bad in [
        Filter::new().role(Role(31)),
        Filter::new().role(Role(33)),
        Filter::new().outcome(Outcome(u32::MAX)),
        Filter::new().path_prefix("/\0"),
    ] {
        assert_eq!(monitor.set_filter(bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
    }
    // The filter before stays.
    client.ask("GET", "/status/404", "").unwrap();
    client.ask("GET", "/hello", "").unwrap();
    assert!(monitor.next_event(Some(10 * SECOND)).unwrap().unwrap().path() == "/hello");
}

#[test]
fn targets_are_listed() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let other = format!("{}/other", server.cgroup);
    fs::create_dir(&other).unwrap();
    let inode = fs::metadata(&other).unwrap().ino();
    let mut monitor = Options::new().capture_bytes(4096).open().unwrap();
    assert_eq!(monitor.targets().unwrap(), []);
    let shop = AttachOptions::new().name("shop").capture_bytes(8192);
    let first = monitor.attach(&server.cgroup, shop).unwrap();
    let second = monitor.attach(&other, AttachOptions::new()).unwrap();
    server.client().ask("GET", "/hello", "").unwrap();
    assert!(monitor.next_event(Some(10 * SECOND)).unwrap().is_some());
    let list = monitor.targets().unwrap();
    let told: Vec<_> = list
        .iter()
        .map(|t| {
            (
                t.target,
                t.name.to_str().unwrap(),
                t.path.to_str().unwrap(),
                t.cgroup_id,
                t.capture_bytes,
                t.protocols,
                t.removed,
            )
        })
        .collect();
    let http1 = 1 << Protocol::HTTP1.0;
    let want = [
        (first, "shop", &server.cgroup[..], server.id, 8192, http1, false),
        (second, "other", &other[..], inode, 4096, http1, false),
    ];
    assert_eq!(told, want);
    let delivered: Vec<_> = list.iter().map(|t| monitor.target_stats(t.target).unwrap().delivered).collect();
    assert_eq!(delivered, [1, 0]);
    fs::remove_dir(&other).unwrap();
    let end = Instant::now() + 10 * SECOND;
    while !monitor.targets().unwrap()[1].removed {
        assert!(Instant::now() < end);
        assert!(monitor.next_event(Some(Duration::from_millis(50))).unwrap().is_none());
    }
    for info in monitor.targets().unwrap() {
        monitor.detach(info.target).unwrap();
    }
    assert_eq!(monitor.targets().unwrap(), []);
}

#[test]
fn a_recording_ends_at_its_most_bytes() {
    const MOST: u64 = 4096;
    const COUNT: usize = 100;
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let path = env::temp_dir().join(format!("appmon-rust-most-{}", std::process::id()));
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let warnings = Arc::new(Mutex::new(0));
    let count = warnings.clone();
    let mut monitor = Options::new()
        .record_max_bytes(MOST)
        .log_level(LogLevel::WARN)
        .log(move |level, _| *count.lock().unwrap() += u32::from(level == LogLevel::WARN))
        .open()
        .unwrap();
    monitor.record(file.try_clone().unwrap()).unwrap();
    monitor.attach(&server.cgroup, AttachOptions::new()).unwrap();
    assert_eq!(monitor.stats().unwrap().flags, StatsFlags(0));
    let mut client = server.client();
    for i in 0..COUNT {
        client.ask("GET", &format!("/hello?{i}"), "").unwrap();
    }
    for _ in 0..COUNT {
        monitor.next_event(Some(10 * SECOND)).unwrap().expect("an event");
    }
    assert!(monitor.stats().unwrap().flags.contains(StatsFlags::RECORD_ENDED));
    assert_eq!(*warnings.lock().unwrap(), 1);
    let size = file.metadata().unwrap().len();
    assert!((MOST / 2..=MOST).contains(&size), "{size}");
    file.seek(SeekFrom::Start(0)).unwrap();
    let mut again = Vec::new();
    replay(file, |event| again.push(event.request_target().to_string()));
    assert!(!again.is_empty() && again.len() < COUNT, "{again:?}");
    let lines = server.lines(COUNT);
    for (target, line) in again.iter().zip(&lines) {
        assert_eq!(target, value(line, "target"));
    }
    monitor.stop_recording().unwrap();
    assert_eq!(monitor.stats().unwrap().flags, StatsFlags(0));
}

// ---- metrics -------------------------------------------------------------------------------------

/// What is asked: the first once, the second twice and so on. Then the route that it has.
const ROUTES: [(&str, &str); 5] = [
    ("/hello", "/hello"),
    ("/bytes/100", "/bytes/{id}"),
    ("/bytes/2000?a=b", "/bytes/{id}"),
    ("/status/404", "/status/{id}"),
    ("/status/500", "/status/{id}"),
];

/// A recording of that, and what the server logged.
fn recorded(server: &Server) -> (File, Vec<String>) {
    let path = env::temp_dir().join(format!("appmon-rust-{}-{}", std::process::id(), server.port));
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let mut monitor = Options::new().open().unwrap();
    monitor.record(file.try_clone().unwrap()).unwrap();
    monitor.attach(&server.cgroup, AttachOptions::new().name("shop")).unwrap();
    let mut client = server.client();
    let mut count = 0;
    for (i, (target, _)) in ROUTES.iter().enumerate() {
        for _ in 0..=i {
            client.ask("GET", target, "").unwrap();
            count += 1;
        }
    }
    for _ in 0..count {
        monitor.next_event(Some(10 * SECOND)).unwrap().expect("an event");
    }
    drop(monitor);
    file.seek(SeekFrom::Start(0)).unwrap();
    (file, server.lines(count))
}

fn replay(file: File, mut f: impl FnMut(appmon::Event<'_>)) {
    let mut monitor = Options::new().replay(file).unwrap();
    loop {
        match monitor.next_event(None) {
            Ok(event) => event.map(&mut f).unwrap_or(()),
            Err(error) if error.is_end_of_recording() => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn whole(at: u64) -> SnapshotOptions {
    SnapshotOptions::new().flags(TakeFlags::WAITING).now_ns(at)
}

fn near(value: u64, exact: u64) -> bool {
    value.abs_diff(exact) <= exact / 64 + 1
}

/// Requests and errors against the server's log; the times, of which it knows none, against the events.
#[test]
fn figures_are_the_servers_log() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let (file, lines) = recorded(&server);
    let mut metrics = MetricsOptions::new().open().unwrap();
    let mut early: Option<Snapshot> = None;
    let (mut seen, mut last, mut bytes) = (0, 0, 0);
    let mut times: BTreeMap<(String, u64), Vec<u64>> = BTreeMap::new();
    replay(file, |event| {
        metrics.add(&event).unwrap();
        last = event.response_end_ns();
        bytes += event.response_head_bytes() + event.response_body_bytes();
        let key = (appmon::route_of(event.path()), event.status().into());
        times.entry(key).or_default().push(event.duration_ns());
        seen += 1;
        if seen == 4 {
            early = Some(metrics.snapshot(whole(last)).unwrap());
        }
    });
    let now = metrics.snapshot(whole(last)).unwrap();
    assert_eq!((metrics.stats().unwrap().events, now.time_ns()), (lines.len() as u64, last));
    drop(metrics); // Snapshots stay.
    let mut want = BTreeMap::new();
    for line in &lines {
        let route = ROUTES.iter().find(|(target, _)| *target == value(line, "target")).unwrap().1;
        *want.entry((route.to_owned(), number(line, "status"))).or_insert(0u64) += 1;
    }
    let mut got = BTreeMap::new();
    let (mut requests, mut late, mut all_bytes) = (0, 0, 0);
    for (index, series) in now.series().enumerate() {
        let figures = now.figures(SnapshotKind::SERIES, index, None).unwrap();
        let key = (series.route.to_string(), u64::from(series.status));
        assert!(series.app == "shop" && series.method_name == "GET" && series.cgroup_id == server.id);
        assert_eq!((series.role, series.protocol), (Role::SERVER, Protocol::HTTP1));
        assert_eq!(figures.errors, if key.1 == 500 { figures.requests } else { 0 });
        let of = times.get_mut(&key).unwrap();
        of.sort();
        let mut histogram = Histogram::new().unwrap();
        now.durations(SnapshotKind::SERIES, index, None, &mut histogram).unwrap();
        assert_eq!((histogram.count(), figures.duration_count), (of.len() as u64, of.len() as u64));
        assert_eq!((figures.duration_sum, figures.duration_max), (of.iter().sum(), of[of.len() - 1]));
        assert!(near(histogram.quantile(0.5), of[(of.len() + 1) / 2 - 1]), "{histogram:?} {of:?}");
        now.histogram(SnapshotKind::SERIES, index, None, TimeKind::DURATION, &mut histogram).unwrap();
        assert_eq!(histogram.count(), 2 * of.len() as u64);
        requests += figures.requests;
        all_bytes += figures.response_bytes;
        late += now.figures(SnapshotKind::SERIES, index, early.as_ref()).unwrap().requests;
        got.insert(key, figures.requests);
    }
    assert_eq!(got, want);
    assert_eq!((requests, late, all_bytes), (lines.len() as u64, lines.len() as u64 - 4, bytes));
    let edges: Vec<_> = now.edges().collect();
    assert!(edges.len() == 1 && edges[0].server_app == "shop" && edges[0].client_app.is_empty());
    assert_eq!(now.figures(SnapshotKind::EDGES, 0, None).unwrap().requests, requests);
    assert_eq!(now.exemplar(SnapshotKind::SERIES, 0).unwrap_err().raw_os_error(), 61);
    for index in [99, usize::MAX] {
        let error = now.figures(SnapshotKind::SERIES, index, None).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    let backwards = early.unwrap().figures(SnapshotKind::SERIES, 0, Some(&now)).unwrap_err();
    assert_eq!(backwards.kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_programs_own_functions_decide() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let (file, _) = recorded(&server);
    let mut angry = true;
    let mut metrics = MetricsOptions::new()
        .route(move |event| {
            if std::mem::take(&mut angry) {
                std::panic::panic_any(event.path().to_string());
            }
            (event.path() != "/hello").then(|| format!("own {}", &event.path().to_string()[..3]))
        })
        .is_error(|event| (event.status() != 500).then(|| event.status() == 404))
        .instance(|_| 7)
        .open()
        .unwrap();
    let mut last = 0;
    replay(file, |event| {
        if last == 0 {
            assert_eq!(panic_of(|| metrics.add(&event)), "/hello");
        }
        metrics.add(&event).unwrap();
        last = event.response_end_ns();
    });
    // Also from another thread.
    let now = thread::spawn(move || metrics.snapshot(whole(last)).unwrap()).join().unwrap();
    let mut got = Vec::new();
    for (index, series) in now.series().enumerate() {
        let figures = now.figures(SnapshotKind::SERIES, index, None).unwrap();
        assert_eq!(series.cgroup_id, 7);
        got.push(format!("{} {}: {} {}", series.route, series.status, figures.requests, figures.errors));
    }
    got.sort();
    assert_eq!(got, ["/hello 200: 1 0", "own /by 200: 5 0", "own /st 404: 4 4", "own /st 500: 5 5"]);
}

#[test]
fn what_is_in_progress() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = server.watch(Options::new());
    let mut metrics = MetricsOptions::new().flags(MetricsFlags::ACTIVE).open().unwrap();
    thread::scope(|scope| {
        let over = scope.spawn(|| server.client().ask("GET", "/slow/6000", ""));
        let end = Instant::now() + 5 * SECOND;
        let mut begins = Vec::new();
        while begins.is_empty() && Instant::now() < end {
            let _ = monitor.next_event(Some(Duration::from_millis(20))).unwrap();
            monitor
                .each_active(|event| {
                    assert!(event.path() == "/slow/6000" && event.status() == 0, "{event:?}");
                    metrics.add_active(&event).unwrap();
                    begins.push(event.keep().unwrap());
                })
                .unwrap();
        }
        let begins: Vec<_> = begins.iter().map(|kept| kept.event().request_start_ns()).collect();
        let now = metrics.snapshot(SnapshotOptions::new()).unwrap();
        let rows: Vec<_> = now.active().map(|row| (row.requests, row.oldest_ns)).collect();
        assert_eq!(rows, [(1, begins[0])]);
        assert!(panic_of(|| monitor.each_active(|_| panic!("{}", 5))).contains('5'));
        over.join().unwrap().unwrap();
    });
    assert_eq!(monitor.next_event(Some(10 * SECOND)).unwrap().unwrap().status(), 200);
    monitor.each_active(|event| panic!("{event:?}")).unwrap();
}

#[test]
fn capture_is_paused_and_sampled() {
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    let mut monitor = server.watch(Options::new());
    monitor.pause().unwrap();
    server.client().ask("GET", "/hello?paused", "").unwrap();
    assert_eq!(monitor.stats().unwrap().sampling_ppm, 0);
    monitor.resume().unwrap();
    server.client().ask("GET", "/hello?resumed", "").unwrap();
    let event = monitor.next_event(Some(10 * SECOND)).unwrap().unwrap();
    assert!(event.query() == "resumed" && event.sampling_ppm() == Monitor::SAMPLING_ALL);
    monitor.set_sampling(1, 1000).unwrap();
    assert_eq!(monitor.stats().unwrap().sampling_ppm, 1);
    assert_eq!(monitor.set_sampling(0, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// For the compiler to check.
#[test]
fn what_may_move_between_threads() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Monitor>();
    send::<appmon::Metrics>();
    send::<Snapshot>();
    sync::<Snapshot>();
    send::<Histogram>();
    sync::<Histogram>();
    send::<appmon::Event<'_>>();
    sync::<appmon::Event<'_>>();
    send::<OwnedEvent>();
    sync::<OwnedEvent>();
    sync::<appmon::Waker>();
}

#[test]
fn histograms_count() {
    let mut histogram = Histogram::new().unwrap();
    let mut other = Histogram::new().unwrap();
    (1..=1000).for_each(|i| histogram.add(i, 2).unwrap());
    other.add(5000, 1).unwrap();
    histogram.merge(&other).unwrap();
    assert_eq!((histogram.count(), histogram.sum(), histogram.max()), (2001, 1001 * 1000 + 5000, 5000));
    assert!(histogram.count_at_most(31) == 62 && near(histogram.quantile(0.5), 500));
    assert_eq!(histogram.buckets().map(|b| b.count).sum::<u64>(), 2001);
    assert!(histogram.buckets().zip(histogram.buckets().skip(1)).all(|(a, b)| a.greatest < b.least));
    histogram.clear();
    assert_eq!((histogram.count(), histogram.buckets().count()), (0, 0));
    assert_eq!(MetricsOptions::new().max_series(1).open().map(drop).unwrap_err().raw_os_error(), 22);
}

#[test]
fn helpers() {
    let id = "0123456789abcdef".repeat(4);
    let container = appmon::container_of(format!("/system.slice/docker-{id}.scope")).unwrap();
    assert_eq!(
        (container.runtime, container.id, container.pod_uid),
        (appmon::Runtime::DOCKER, id, String::new())
    );
    let missing = appmon::container_of("/system.slice/ssh.service").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    for (path, route) in [("/orders/17", "/orders/{id}"), ("", "")] {
        assert_eq!(appmon::route_of(path), route);
    }
    assert_eq!(appmon::route_of(b"/a\xff"), "/{param}");
    assert_eq!(appmon::route_of("/1".repeat(10)), "/{id}".repeat(10));
    let server = match Server::start() {
        Some(server) => server,
        None => return,
    };
    assert_eq!(appmon::cgroup_path(server.id).unwrap().to_str(), Some(&server.cgroup[..]));
    assert_eq!(appmon::cgroup_path(1 << 60).unwrap_err().kind(), ErrorKind::NotFound);
    let resources = appmon::read_resources(&server.cgroup).unwrap();
    assert!(resources.cpu_ns > 0 && resources.time_ns > 0, "{resources:?}");
    let pids = format!("{}/pids.current", server.cgroup);
    if let (Ok(pids), false) =
        (fs::read_to_string(pids), resources.from_v1.contains(appmon::ResourceFlags::PIDS))
    {
        assert_eq!(resources.pids.to_string(), pids.trim());
    }
    assert_eq!(appmon::read_resources("/nonexistent").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(appmon::read_resources("/a\0").unwrap_err().kind(), ErrorKind::InvalidInput);
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
