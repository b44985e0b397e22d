// SPDX-License-Identifier: BSD-2-Clause

use libappmon_sys as sys;
use std::ffi::CStr;
use std::fmt;
use std::io;
use std::os::raw::c_char;

// Of Linux, on all that it runs on.
pub(crate) const EINTR: i32 = 4;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const ENODATA: i32 = 61;
pub(crate) const ELIBBAD: i32 = 80;

/// What the library refused or could not do, in its own words. Converts into [`io::Error`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    errno: i32,
    text: String,
}

impl Error {
    pub(crate) fn new(errno: i32, text: String) -> Error {
        Error { errno, text }
    }

    /// code: negative. text: the last error's.
    pub(crate) fn of_call(code: i32, text: String) -> Error {
        let text = if text.is_empty() { c_text(unsafe { sys::appmon_strerror(code) }) } else { text };
        Error::new(-code, text)
    }

    /// The errno value: what appmon(3) says of the call. `ELIBBAD`: the library that was loaded is not one
    /// that this crate can use.
    pub fn raw_os_error(&self) -> i32 {
        self.errno
    }

    /// By what the standard library takes the errno value for.
    pub fn kind(&self) -> io::ErrorKind {
        io::Error::from_raw_os_error(self.errno).kind()
    }

    /// Everything that a recording holds has been delivered.
    pub fn is_end_of_recording(&self) -> bool {
        self.errno == ENODATA
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

/// A string of the library's: never NULL.
pub(crate) fn c_text(text: *const c_char) -> String {
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
