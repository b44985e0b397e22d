// SPDX-License-Identifier: BSD-2-Clause

use crate::error::{c_text, Error, EINTR, ENODATA};
use crate::library;
use crate::log::{log_line, Log};
use crate::text::{Kept, Str};
use crate::{Capabilities, Event, LogLevel, Options, Outcome, Protocol, Role, Stats, StatsFlags};
use libappmon_sys as sys;
use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::mem::{size_of, zeroed};
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::io::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The handle while it is open. The monitor uses it without the lock: only `appmon_wakeup`, which may be
/// called beside everything but `appmon_close`, comes from elsewhere.
struct Shared(Mutex<Option<NonNull<sys::appmon>>>);

// The pointer is used under the lock only.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Shared {
    fn with(&self, f: impl FnOnce(&mut Option<NonNull<sys::appmon>>)) {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Ends the waits of a [`Monitor`] from another thread.
#[derive(Clone)]
pub struct Waker(Arc<Shared>);

impl Waker {
    /// Makes a [`Monitor::next_event`] or [`Monitor::wait`] that waits, or the next one, return. Does
    /// nothing once the monitor is gone.
    pub fn wake(&self) {
        self.0.with(|handle| {
            if let Some(handle) = handle {
                unsafe { sys::appmon_wakeup(handle.as_ptr()) };
            }
        });
    }
}

/// A function that C calls for a while, and what it panicked with.
struct Call<'f> {
    function: &'f mut dyn FnMut(Event<'_>),
    panic: Option<Box<dyn Any + Send>>,
}

/// ctx: a `Call`. Ends the call when the function panics.
unsafe extern "C" fn active(ctx: *mut c_void, event: *const sys::appmon_event) -> c_int {
    let call = &mut *ctx.cast::<Call<'_>>();
    let event = Event::new(&*event);
    match catch_unwind(AssertUnwindSafe(|| (call.function)(event))) {
        Ok(()) => 0,
        Err(panic) => {
            call.panic = Some(panic);
            1
        }
    }
}

/// A cgroup that is watched. Never used again by its monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target(u32);

impl Target {
    /// As in [`Event::target_id`].
    pub fn id(self) -> u32 {
        self.0
    }
}

/// One of the cgroups that a monitor watches. Its counters: [`Monitor::target_stats`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TargetInfo {
    /// As [`Monitor::attach`] gave it.
    pub target: Target,
    /// As in [`Event::target_name`].
    pub name: OsString,
    /// Of its directory at the attach; empty: not known, as in a replay.
    pub path: PathBuf,
    /// Inode of the directory.
    pub cgroup_id: u64,
    /// In force for it.
    pub capture_bytes: u32,
    /// In force for it: bit n is the protocol of this number.
    pub protocols: u32,
    /// The cgroup is gone, and so is its last socket.
    pub removed: bool,
}

/// A process that lived when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Process {
    /// In the initial pid namespace.
    pub pid: u32,
    /// As in [`Event::process_start_ns`].
    pub start_ns: u64,
    /// Of the executable: `st_ino`.
    pub exe_inode: u64,
    /// Of the executable: `st_dev`.
    pub exe_device: u64,
    /// Its path in the process's own mount namespace.
    pub exe: PathBuf,
}

/// How to watch a cgroup. What is not set has its default.
#[derive(Clone, Copy, Default)]
pub struct AttachOptions<'a> {
    name: Option<&'a str>,
    capture_bytes: u32,
    protocols: u32,
    ports: &'a [PortHint],
}

/// What is spoken where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortHint {
    /// From 1 on.
    pub port: u16,
    /// One that the target is watched for.
    pub protocol: Protocol,
}

impl<'a> AttachOptions<'a> {
    /// The defaults.
    pub fn new() -> AttachOptions<'a> {
        AttachOptions::default()
    }

    /// Comes back as [`Event::target_name`]; default: the last part of the path.
    pub fn name(mut self, name: &'a str) -> AttachOptions<'a> {
        self.name = Some(name);
        self
    }

    /// As in [`Options`], for this target.
    pub fn capture_bytes(mut self, bytes: u32) -> AttachOptions<'a> {
        self.capture_bytes = bytes;
        self
    }

    /// As in [`Options`], for this target; 0: the monitor's.
    pub fn protocols(mut self, protocols: u32) -> AttachOptions<'a> {
        self.protocols = protocols;
        self
    }

    /// What is spoken at ports.
    pub fn ports(mut self, ports: &'a [PortHint]) -> AttachOptions<'a> {
        self.ports = ports;
        self
    }
}

/// Which events a monitor delivers: those that pass all of it. What is not set lets every event pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    roles: u32,
    outcomes: u32,
    min_duration: Duration,
    path_prefix: &'a [u8],
}

/// A value's bit in a mask of C's, which has 32. The library refuses the last for what it does not know.
fn bit(value: u32) -> u32 {
    1 << value.min(31)
}

impl<'a> Filter<'a> {
    /// All events pass.
    pub fn new() -> Filter<'a> {
        Filter::default()
    }

    /// Adds one that passes.
    pub fn role(mut self, role: Role) -> Filter<'a> {
        self.roles |= bit(role.0);
        self
    }

    /// Adds one that passes.
    pub fn outcome(mut self, outcome: Outcome) -> Filter<'a> {
        self.outcomes |= bit(outcome.0);
        self
    }

    /// The least that passes. Events without a duration pass: they have no end yet, or it was not seen.
    pub fn min_duration(mut self, duration: Duration) -> Filter<'a> {
        self.min_duration = duration;
        self
    }

    /// The path begins with it, byte for byte.
    pub fn path_prefix(mut self, prefix: &'a (impl AsRef<[u8]> + ?Sized)) -> Filter<'a> {
        self.path_prefix = prefix.as_ref();
        self
    }
}

/// Watches cgroups and gives an [`Event`] for each request. Dropping it detaches everything.
///
/// It may move between threads, one at a time uses it; [`Monitor::waker`] is for the others. Its
/// descriptor ([`AsFd`]) is level-triggered and readable when [`Monitor::try_next`] has work.
pub struct Monitor {
    handle: NonNull<sys::appmon>,
    shared: Arc<Shared>,
    log: Option<Arc<Log>>,
    /// What the library reads from, and writes to, while it is open.
    _replay: Option<OwnedFd>,
    recording: Option<OwnedFd>,
}

// The library has no thread-local state, and the log function is Send.
unsafe impl Send for Monitor {}

impl Options {
    /// The defaults.
    pub fn new() -> Options {
        Options::default()
    }

    /// Gets the library's log, one line at a time, while a call is made. When it panics, the call that made
    /// the line does, once C has returned; for an event, the next call.
    pub fn log(mut self, function: impl FnMut(LogLevel, &str) + Send + 'static) -> Options {
        self.log = Some(Box::new(function));
        self
    }

    /// Loads the BPF programs; nothing is watched yet.
    pub fn open(self) -> Result<Monitor, Error> {
        Monitor::new(self, None)
    }

    /// A monitor that is fed from a recording in place of the kernel, without privileges. At the end of
    /// the file there is an error that [is the end](Error::is_end_of_recording).
    pub fn replay(self, file: impl Into<OwnedFd>) -> Result<Monitor, Error> {
        Monitor::new(self, Some(file.into()))
    }
}

impl Monitor {
    fn new(mut options: Options, replay: Option<OwnedFd>) -> Result<Monitor, Error> {
        library::check()?;
        let log = options.log.take().map(|function| Arc::new(Log::new(function)));
        let mut kept = Kept::default();
        let mut words = [0u8; 512];
        let mut opts: sys::appmon_opts = unsafe { zeroed() };
        opts.size = size_of::<sys::appmon_opts>() as u32;
        options.fill(&mut opts, &mut kept)?;
        opts.error_text = words.as_mut_ptr().cast::<c_char>();
        opts.error_text_size = words.len() as u32;
        if let Some(log) = &log {
            opts.log_fn = Some(log_line);
            opts.log_ctx = Arc::as_ptr(log) as *mut c_void;
        }
        let mut handle = ptr::null_mut();
        let code = match &replay {
            None => unsafe { sys::appmon_open(&mut handle, &opts) },
            Some(file) => unsafe { sys::appmon_open_replay(&mut handle, file.as_raw_fd(), &opts) },
        };
        let monitor = NonNull::new(handle).map(|handle| Monitor {
            handle,
            shared: Arc::new(Shared(Mutex::new(Some(handle)))),
            log: log.clone(),
            _replay: replay,
            recording: None,
        });
        if let Some(log) = log {
            log.resume(); // drops the monitor
        }
        monitor.ok_or_else(|| Error::of_call(code, c_text(words.as_ptr().cast::<c_char>())))
    }

    fn ptr(&self) -> *mut sys::appmon {
        self.handle.as_ptr()
    }

    fn rethrow(&self) {
        if let Some(log) = &self.log {
            log.resume();
        }
    }

    fn error(&self, code: c_int) -> Error {
        let last = unsafe { sys::appmon_last_error(self.ptr()) };
        Error::of_call(code, if -code == ENODATA { String::new() } else { c_text(last) })
    }

    fn check(&self, code: c_int) -> Result<c_int, Error> {
        self.rethrow();
        if code < 0 {
            return Err(self.error(code));
        }
        Ok(code)
    }

    /// Watches the sockets of a cgroup v2 directory and of all below it.
    pub fn attach(&mut self, path: impl AsRef<Path>, options: AttachOptions<'_>) -> Result<Target, Error> {
        let path = path.as_ref().as_os_str().as_bytes();
        self.attach_with(options, |kept, handle, opts, id| {
            let path = kept.string(path)?;
            Ok(unsafe { sys::appmon_attach_cgroup(handle, path, opts, id) })
        })
    }

    /// The same for an open directory.
    pub fn attach_fd(&mut self, directory: impl AsFd, options: AttachOptions<'_>) -> Result<Target, Error> {
        let fd = directory.as_fd().as_raw_fd();
        self.attach_with(options, |_, handle, opts, id| {
            Ok(unsafe { sys::appmon_attach_cgroup_fd(handle, fd, opts, id) })
        })
    }

    fn attach_with(
        &mut self,
        options: AttachOptions<'_>,
        call: impl FnOnce(&mut Kept, *mut sys::appmon, &sys::appmon_attach_opts, &mut u32) -> Result<c_int, Error>,
    ) -> Result<Target, Error> {
        let mut kept = Kept::default();
        let mut opts: sys::appmon_attach_opts = unsafe { zeroed() };
        opts.size = size_of::<sys::appmon_attach_opts>() as u32;
        opts.capture_bytes = options.capture_bytes;
        opts.protocols = options.protocols;
        let ports: Vec<_> = options
            .ports
            .iter()
            .map(|hint| sys::appmon_port_hint { port: hint.port.into(), protocol: hint.protocol.0 })
            .collect();
        opts.ports = ports.as_ptr();
        opts.port_count = ports.len() as u32;
        if let Some(name) = options.name {
            opts.name = kept.string(name)?;
        }
        let mut id = 0;
        let code = call(&mut kept, self.ptr(), &opts, &mut id)?;
        self.check(code)?;
        Ok(Target(id))
    }

    /// Stops watching: from here on no event names this target.
    pub fn detach(&mut self, target: Target) -> Result<(), Error> {
        self.check(unsafe { sys::appmon_detach(self.ptr(), target.0) })?;
        Ok(())
    }

    /// The cgroups that are watched, in the order of their ids.
    pub fn targets(&self) -> Result<Vec<TargetInfo>, Error> {
        let mut list = Vec::new();
        let mut raw: sys::appmon_target = unsafe { zeroed() };
        raw.size = size_of::<sys::appmon_target>() as u32;
        while self.check(unsafe { sys::appmon_next_target(self.ptr(), raw.id, &mut raw) })? > 0 {
            list.push(TargetInfo {
                target: Target(raw.id),
                name: path(&raw.name).into(),
                path: path(&raw.path),
                cgroup_id: raw.cgroup_id,
                capture_bytes: raw.capture_bytes,
                protocols: raw.protocols,
                removed: StatsFlags(raw.flags).contains(StatsFlags::REMOVED),
            });
        }
        Ok(list)
    }

    /// Delivers only what passes, from the next event on; `Filter::new()`: everything again. What does not
    /// pass counts as [`Stats::filtered`]. [`Monitor::each_active`] is not filtered.
    pub fn set_filter(&mut self, filter: Filter<'_>) -> Result<(), Error> {
        let mut kept = Kept::default();
        let mut raw: sys::appmon_filter = unsafe { zeroed() };
        raw.size = size_of::<sys::appmon_filter>() as u32;
        raw.roles = filter.roles;
        raw.outcomes = filter.outcomes;
        raw.min_duration_ns = u64::try_from(filter.min_duration.as_nanos()).unwrap_or(u64::MAX);
        if !filter.path_prefix.is_empty() {
            raw.path_prefix = kept.string(filter.path_prefix)?;
        }
        self.check(unsafe { sys::appmon_set_filter(self.ptr(), &raw) }).map(drop)
    }

    /// The next event, if there is one now.
    pub fn try_next(&mut self) -> Result<Option<Event<'_>>, Error> {
        Ok(self.pull()?.map(|raw| Event::new(unsafe { raw.as_ref() })))
    }

    /// What it points to is valid until the next call that takes the monitor by `&mut`.
    fn pull(&mut self) -> Result<Option<NonNull<sys::appmon_event>>, Error> {
        self.rethrow();
        let mut event = ptr::null();
        let code = unsafe { sys::appmon_next(self.ptr(), &mut event) };
        if code > 0 {
            return Ok(NonNull::new(event as *mut _));
        }
        self.check(code)?;
        Ok(None)
    }

    /// Waits until [`Monitor::try_next`] may have an event: true. False: the time is over, or there was a
    /// [`Waker::wake`] or a signal. `None`: waits for ever.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<bool, Error> {
        let code = unsafe { sys::appmon_poll(self.ptr(), milliseconds(timeout), 0) };
        if code == -EINTR {
            self.rethrow();
            return Ok(false);
        }
        Ok(self.check(code)? > 0)
    }

    /// The next event; `None` as [`Monitor::wait`] gives false.
    pub fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<Event<'_>>, Error> {
        let event = match self.pull()? {
            None if self.wait(timeout)? => self.pull()?,
            event => event,
        };
        Ok(event.map(|raw| Event::new(unsafe { raw.as_ref() })))
    }

    /// For other threads, to end the waits of this one.
    pub fn waker(&self) -> Waker {
        Waker(self.shared.clone())
    }

    /// Tells of each exchange that is in progress, in no order: what is missing of it, such as the status,
    /// is still 0. An event ends when the function returns, if it is not [kept](Event::keep):
    ///
    /// ```compile_fail,E0521
    /// # fn f(monitor: &mut appmon::Monitor) {
    /// let mut kept = Vec::new();
    /// monitor.each_active(|event| kept.push(event)).unwrap();
    /// # }
    /// ```
    pub fn each_active(&mut self, mut f: impl FnMut(Event<'_>)) -> Result<(), Error> {
        let mut call = Call { function: &mut f, panic: None };
        let ctx: *mut Call<'_> = &mut call;
        let code = unsafe { sys::appmon_each_active(self.ptr(), Some(active), ctx.cast()) };
        if let Some(panic) = call.panic {
            resume_unwind(panic);
        }
        self.check(code).map(drop)
    }

    /// Watches a share of the connections, in parts per million of them ([`Monitor::SAMPLING_ALL`]: all), and fewer
    /// while they make more than so many events per second (0: no ceiling).
    pub fn set_sampling(&mut self, connections_ppm: u32, events_per_second: u64) -> Result<(), Error> {
        let code = unsafe { sys::appmon_set_sampling(self.ptr(), connections_ppm, events_per_second) };
        self.check(code).map(drop)
    }

    /// Turns all capture off without detaching. What is under way counts as `Drop::SAMPLED`.
    pub fn pause(&mut self) -> Result<(), Error> {
        self.check(unsafe { sys::appmon_pause(self.ptr()) }).map(drop)
    }

    /// Turns it on again.
    pub fn resume(&mut self) -> Result<(), Error> {
        self.check(unsafe { sys::appmon_resume(self.ptr()) }).map(drop)
    }

    /// Writes what comes from the kernel to a file from now on. The recording holds the captured bytes of
    /// all heads. It also ends before it would exceed [`Options::record_max_bytes`], or with a write that
    /// fails: [`Stats::flags`] has [`StatsFlags::RECORD_ENDED`] then.
    pub fn record(&mut self, file: impl Into<OwnedFd>) -> Result<(), Error> {
        let file = file.into();
        self.check(unsafe { sys::appmon_record(self.ptr(), file.as_raw_fd()) })?;
        self.recording = Some(file);
        Ok(())
    }

    /// Ends the recording.
    pub fn stop_recording(&mut self) -> Result<(), Error> {
        self.check(unsafe { sys::appmon_record(self.ptr(), -1) })?;
        self.recording = None;
        Ok(())
    }

    /// The monitor's counters.
    pub fn stats(&mut self) -> Result<Stats, Error> {
        self.stats_of(0)
    }

    /// The counters of one target.
    pub fn target_stats(&mut self, target: Target) -> Result<Stats, Error> {
        self.stats_of(target.0)
    }

    fn stats_of(&mut self, target: u32) -> Result<Stats, Error> {
        let mut raw: sys::appmon_stats = unsafe { zeroed() };
        raw.size = size_of::<sys::appmon_stats>() as u32;
        self.check(unsafe { sys::appmon_get_stats(self.ptr(), target, &mut raw) })?;
        Ok(Stats::new(&raw))
    }

    /// What the running kernel supports.
    pub fn capabilities(&self) -> Result<Capabilities, Error> {
        let mut raw: sys::appmon_capabilities = unsafe { zeroed() };
        raw.size = size_of::<sys::appmon_capabilities>() as u32;
        self.check(unsafe { sys::appmon_get_capabilities(self.ptr(), &mut raw) })?;
        Ok(Capabilities(raw.supported))
    }

    /// The executable of an event's process, by its pid and `process_start_ns`. The first time while the
    /// process lives; the answer is kept.
    pub fn find_process(&mut self, pid: u32, start_ns: u64) -> Result<Process, Error> {
        let mut raw: sys::appmon_process = unsafe { zeroed() };
        raw.size = size_of::<sys::appmon_process>() as u32;
        self.check(unsafe { sys::appmon_find_process(self.ptr(), pid, start_ns, &mut raw) })?;
        Ok(Process {
            pid: raw.pid,
            start_ns: raw.start_ns,
            exe_inode: raw.exe_inode,
            exe_device: raw.exe_device,
            exe: path(&raw.exe),
        })
    }

    /// The path of a cgroup below the mount of cgroup v2, by an event's `cgroup_id`. The answer is kept.
    pub fn find_cgroup(&mut self, cgroup_id: u64) -> Result<PathBuf, Error> {
        let mut raw: sys::appmon_str = unsafe { zeroed() };
        self.check(unsafe { sys::appmon_find_cgroup(self.ptr(), cgroup_id, &mut raw) })?;
        Ok(path(&raw))
    }

    /// The wall time of one of the times of this monitor's events; `None` for 0.
    pub fn realtime(&self, monotonic_ns: u64) -> Option<SystemTime> {
        let ns = unsafe { sys::appmon_realtime_ns(self.ptr(), monotonic_ns) };
        (ns != 0).then(|| SystemTime::UNIX_EPOCH + Duration::from_nanos(ns))
    }
}

fn path(raw: &sys::appmon_str) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(Str::new(raw).as_bytes()))
}

/// Rounded up, so that a wait does not end before its time.
fn milliseconds(timeout: Option<Duration>) -> c_int {
    match timeout {
        None => -1,
        Some(t) => c_int::try_from((t.as_nanos() + 999_999) / 1_000_000).unwrap_or(c_int::MAX),
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.shared.with(|handle| *handle = None);
        unsafe { sys::appmon_close(self.ptr()) };
    }
}

impl AsRawFd for Monitor {
    fn as_raw_fd(&self) -> RawFd {
        unsafe { sys::appmon_fd(self.ptr()) }
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // Open for as long as the monitor is.
        unsafe { BorrowedFd::borrow_raw(self.as_raw_fd()) }
    }
}
