// SPDX-License-Identifier: BSD-2-Clause
//! The one function of ours that C calls.

use crate::LogLevel;
use std::any::Any;
use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_void};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) type LogFunction = Box<dyn FnMut(LogLevel, &str) + Send>;

pub(crate) struct Log {
    function: Mutex<LogFunction>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl Log {
    pub(crate) fn new(function: LogFunction) -> Log {
        Log { function: Mutex::new(function), panic: Mutex::new(None) }
    }

    /// Goes on with a panic that C was kept out of.
    pub(crate) fn resume(&self) {
        let panic = locked(&self.panic).take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// Never contended; what panicked while it was held may be called again.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// ctx: a `Log` that outlives the handle.
pub(crate) unsafe extern "C" fn log_line(ctx: *mut c_void, level: c_int, line: *const c_char) {
    let log = &*ctx.cast::<Log>();
    let line = CStr::from_ptr(line).to_string_lossy();
    let call = || (locked(&log.function))(LogLevel(level as u32), &line);
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        locked(&log.panic).get_or_insert(panic);
    }
}
