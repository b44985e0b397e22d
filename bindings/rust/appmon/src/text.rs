// SPDX-License-Identifier: BSD-2-Clause
//! Views of the library's memory.

use crate::error::{Error, EINVAL};
use libappmon_sys as sys;
use std::borrow::Cow;
use std::ffi::CString;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::os::raw::c_char;
use std::slice;

/// Bytes from the network, as they came: any value may occur. It is a `&[u8]` that can be shown: what is
/// not printable, or not UTF-8, is escaped.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Str<'a> {
    bytes: &'a [u8],
    truncated: bool,
}

impl<'a> Str<'a> {
    pub(crate) fn new(raw: &'a sys::appmon_str) -> Str<'a> {
        // data is never NULL and len bytes are there, for as long as the struct that holds them.
        let bytes = unsafe { slice::from_raw_parts(raw.data.cast(), raw.len as usize) };
        Str { bytes, truncated: raw.truncated != 0 }
    }

    /// The same where the struct is gone before the bytes: the caller says that these live for 'a.
    pub(crate) unsafe fn lent(raw: &sys::appmon_str) -> Str<'a> {
        Str { bytes: slice::from_raw_parts(raw.data.cast(), raw.len as usize), truncated: raw.truncated != 0 }
    }

    /// The bytes, for as long as the event or the snapshot is there.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// As text; what is not UTF-8 becomes U+FFFD. Control characters are as they came.
    pub fn to_string_lossy(&self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes)
    }

    /// The capture limit cut it off.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

impl Deref for Str<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl AsRef<[u8]> for Str<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

impl PartialEq<str> for Str<'_> {
    fn eq(&self, other: &str) -> bool {
        self.bytes == other.as_bytes()
    }
}

impl PartialEq<&str> for Str<'_> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

fn show(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for c in text.chars() {
        if c == '"' || c == '\'' {
            f.write_char(c)?;
        } else {
            write!(f, "{}", c.escape_debug())?;
        }
    }
    Ok(())
}

impl fmt::Display for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.bytes;
        loop {
            match std::str::from_utf8(rest) {
                Ok(text) => return show(text, f),
                Err(error) => {
                    let (good, bad) = rest.split_at(error.valid_up_to());
                    show(&String::from_utf8_lossy(good), f)?;
                    let (bad, after) = bad.split_at(error.error_len().unwrap_or(bad.len()));
                    bad.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
                    rest = after;
                }
            }
        }
    }
}

impl fmt::Debug for Str<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"{}", if self.truncated { "..." } else { "" })
    }
}

/// A header field that was asked for. Repeated fields appear repeatedly.
#[repr(transparent)]
pub struct Header(sys::appmon_header);

impl Header {
    /// Lower case.
    pub fn name(&self) -> Str<'_> {
        Str::new(&self.0.name)
    }

    /// Without surrounding white space.
    pub fn value(&self) -> Str<'_> {
        Str::new(&self.0.value)
    }

    /// Of the response, else of the request.
    pub fn is_response(&self) -> bool {
        self.0.response != 0
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_response() { "response" } else { "request" };
        write!(f, "{kind} {}: {:?}", self.name(), self.value())
    }
}

/// The caller says that the array lives for 'a.
pub(crate) fn headers<'a>(first: *const sys::appmon_header, count: u32) -> &'a [Header] {
    if count == 0 {
        return &[];
    }
    unsafe { slice::from_raw_parts(first.cast(), count as usize) }
}

pub(crate) fn address(raw: &sys::appmon_endpoint) -> Option<SocketAddr> {
    let ip = match raw.family {
        4 => IpAddr::V4(Ipv4Addr::new(raw.addr[0], raw.addr[1], raw.addr[2], raw.addr[3])),
        6 => IpAddr::V6(Ipv6Addr::from(raw.addr)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, raw.port))
}

/// What an array holds before its NUL.
pub(crate) fn array_text(array: &[c_char]) -> String {
    let bytes: Vec<u8> = array.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What C is lent for one call.
#[derive(Default)]
pub(crate) struct Kept {
    strings: Vec<CString>,
    arrays: Vec<Vec<*const c_char>>,
}

impl Kept {
    pub(crate) fn string(&mut self, text: impl Into<Vec<u8>>) -> Result<*const c_char, Error> {
        // C's strings end at the first NUL.
        let string = CString::new(text)
            .map_err(|_| Error::new(EINVAL, "a NUL byte is inside a name or a path".into()))?;
        let first = string.as_ptr();
        self.strings.push(string);
        Ok(first)
    }

    pub(crate) fn strings(&mut self, list: &[String]) -> Result<*const *const c_char, Error> {
        let array = list.iter().map(|s| self.string(s.as_str())).collect::<Result<Vec<_>, _>>()?;
        let first = array.as_ptr();
        self.arrays.push(array);
        Ok(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: &[u8]) -> String {
        Str { bytes, truncated: false }.to_string()
    }

    #[test]
    fn what_is_shown_is_printable() {
        assert_eq!(shown(b""), "");
        assert_eq!(shown("/a b?\"ä'".as_bytes()), "/a b?\"ä'");
        assert_eq!(shown(b"/\xff\xc3\xa4\xc3"), "/\\xffä\\xc3");
        assert_eq!(shown(b"\x1b[31m\r\n\0"), "\\u{1b}[31m\\r\\n\\0");
        assert_eq!(shown("\u{202e}x\u{200b}".as_bytes()), "\\u{202e}x\\u{200b}");
    }
}
