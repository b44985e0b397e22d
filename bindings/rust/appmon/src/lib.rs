// SPDX-License-Identifier: BSD-2-Clause
//! Every HTTP request that a Linux workload serves or sends, seen through eBPF: libappmon for Rust.
//!
//! ```no_run
//! # fn main() -> Result<(), appmon::Error> {
//! let mut monitor = appmon::Options::new().header("x-request-id").open()?;
//! monitor.attach("/sys/fs/cgroup/system.slice/nginx.service", appmon::AttachOptions::new())?;
//! while let Some(event) = monitor.next_event(None)? {
//!     println!("{} {} {}", event.operation(), event.path(), event.status());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An [`Event`] borrows from the monitor: [`Event::keep`] makes a copy that may stay, and move to other
//! threads. It takes libappmon with its `.pc` file to compile, and root or the capabilities that the first
//! error names to run.
//!
//! In an event loop, [`Monitor`] is [`AsFd`](std::os::unix::io::AsFd). With tokio:
//!
//! ```text
//! // In older versions of tokio: AsyncFd::with_interest(), which is not unsafe.
//! // SAFETY: a monitor has one descriptor, open as long as it is.
//! let mut monitor = unsafe { AsyncFd::register_with_interest(monitor, Interest::READABLE)? };
//! loop {
//!     let mut ready = monitor.readable_mut().await?;
//!     match ready.get_inner_mut().try_next()? {
//!         Some(event) => println!("{}", event.path()),
//!         None => ready.clear_ready(),
//!     }
//! }
//! ```
//!
//! bindings/rust/examples/tokio in the repository makes a `Stream` of that.
//!
//! The compiler sees to it that no event is used after the monitor went on:
//!
//! ```compile_fail,E0499
//! # fn f(monitor: &mut appmon::Monitor) -> Result<(), appmon::Error> {
//! let first = monitor.try_next()?;
//! let second = monitor.try_next()?;
//! println!("{:?}", first);
//! # Ok(())
//! # }
//! ```
//!
//! nor a monitor by two threads at a time, though it may move between them:
//!
//! ```compile_fail,E0277
//! fn shared<T: Sync>() {}
//! shared::<appmon::Monitor>();
//! ```
//!
//! C calls one function of a program only, that of [`Options::log`].
#![warn(missing_docs)]

#[macro_use]
mod values;
#[rustfmt::skip]
mod data;
mod error;
mod library;
mod log;
mod metrics;
mod monitor;
mod owned;
mod text;

pub use data::*;
pub use error::Error;
pub use library::version;
pub use metrics::{
    cgroup_path, container_of, read_resources, route_of, Bucket, Histogram, Metrics, Snapshot,
};
pub use monitor::{AttachOptions, Filter, Monitor, PortHint, Process, Target, TargetInfo, Waker};
pub use owned::OwnedEvent;
pub use text::{Header, Str};

use libappmon_sys as sys;

/// One exchange: a request and its response, or what was seen of them. Names in parentheses are
/// OpenTelemetry's.
#[derive(Clone, Copy)]
pub struct Event<'a> {
    raw: &'a sys::appmon_event,
}

// Nothing changes what it shows while it is there.
unsafe impl Send for Event<'_> {}
unsafe impl Sync for Event<'_> {}

impl<'a> Event<'a> {
    fn new(raw: &'a sys::appmon_event) -> Event<'a> {
        Event { raw }
    }

    fn raw(&self) -> *const sys::appmon_event {
        self.raw
    }

    /// The first value of a header of the request, or of the response. Name in lower case.
    pub fn header(&self, name: &str, response: bool) -> Option<Str<'a>> {
        let is_it = |h: &&Header| h.is_response() == response && h.name() == name;
        self.headers().iter().find(is_it).map(Header::value)
    }
}
