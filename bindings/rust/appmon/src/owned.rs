// SPDX-License-Identifier: BSD-2-Clause
//! Events that stay.

use crate::{Error, Event};
use libappmon_sys as sys;
use std::fmt;
use std::ptr::{self, NonNull};

impl Event<'_> {
    /// A copy that outlives the event and the monitor. The error is that there is no memory for it.
    ///
    /// ```no_run
    /// # fn f(monitor: &mut appmon::Monitor) -> Result<(), appmon::Error> {
    /// let (to_worker, events) = std::sync::mpsc::channel::<appmon::OwnedEvent>();
    /// std::thread::spawn(move || {
    ///     for event in events {
    ///         println!("{}", event.event().path());
    ///     }
    /// });
    /// while let Some(event) = monitor.next_event(None)? {
    ///     to_worker.send(event.keep()?).unwrap();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn keep(&self) -> Result<OwnedEvent, Error> {
        let mut copy = ptr::null_mut();
        let code = unsafe { sys::appmon_event_copy(self.raw(), &mut copy) };
        NonNull::new(copy).map(|raw| OwnedEvent { raw }).ok_or_else(|| Error::of_call(code, String::new()))
    }
}

/// An [`Event`] of its own: [`Event::keep`] makes one. It is one block of memory, whatever it holds.
///
/// What its event lends ends with it:
///
/// ```compile_fail,E0505
/// # fn f(kept: appmon::OwnedEvent) {
/// let path = kept.event().path();
/// drop(kept);
/// println!("{path}");
/// # }
/// ```
pub struct OwnedEvent {
    raw: NonNull<sys::appmon_event>,
}

// It points to its own block only, which nothing changes, and which any thread may free.
unsafe impl Send for OwnedEvent {}
unsafe impl Sync for OwnedEvent {}

impl OwnedEvent {
    /// What it holds, for as long as this is there.
    pub fn event(&self) -> Event<'_> {
        Event::new(unsafe { self.raw.as_ref() })
    }
}

impl fmt::Debug for OwnedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event().fmt(f)
    }
}

impl Drop for OwnedEvent {
    fn drop(&mut self) {
        unsafe { sys::appmon_event_free(self.raw.as_ptr()) };
    }
}
