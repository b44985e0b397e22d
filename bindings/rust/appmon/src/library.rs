// SPDX-License-Identifier: BSD-2-Clause
//! Whether the library that was loaded is one that this crate was made for.

use crate::error::{Error, ELIBBAD};
use libappmon_sys as sys;
use std::ffi::CString;

fn text(version: u32) -> String {
    format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff)
}

/// The version of libappmon that runs, for example "0.1.0".
pub fn version() -> String {
    text(unsafe { sys::appmon_version() })
}

fn refuse(version: u32, size_of: impl Fn(&str) -> usize) -> Option<String> {
    let ours = sys::APPMON_VERSION_NUM;
    if version >> 16 != ours >> 16 || version < ours {
        return Some(format!(
            "libappmon {} was loaded; this program was compiled for {} and needs that or later, below {}.0.0",
            text(version),
            text(ours),
            (ours >> 16) + 1
        ));
    }
    for (name, size, grows) in sys::STRUCTS {
        let theirs = size_of(name);
        if theirs < size || theirs > size && !grows {
            return Some(format!(
                "struct {name} has {theirs} bytes in the libappmon that was loaded and {size} in what this \
                 program was compiled for: use both from one release"
            ));
        }
    }
    None
}

pub(crate) fn check() -> Result<(), Error> {
    let size_of = |name: &str| {
        let name = CString::new(name).expect("names of structs have no NUL");
        unsafe { sys::appmon_struct_size(name.as_ptr()) as usize }
    };
    match refuse(unsafe { sys::appmon_version() }, size_of) {
        Some(words) => Err(Error::new(ELIBBAD, words)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(name: &str) -> usize {
        sys::STRUCTS.iter().find(|s| s.0 == name).unwrap().1
    }

    #[test]
    fn what_fits_is_taken() {
        let now = sys::APPMON_VERSION_NUM;
        assert_eq!(refuse(now, ours), None);
        let grown = |name: &str| ours(name) + if name == "appmon_event" { 64 } else { 0 };
        assert_eq!(refuse(now + 0x100, grown), None);
        assert_eq!(check(), Ok(()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let now = sys::APPMON_VERSION_NUM;
        assert!(refuse(now - 1, ours).unwrap().contains(" was loaded; this program was compiled for"));
        assert!(refuse(now + 0x10000, ours).unwrap().contains(" was loaded; this program was compiled for"));
        let short = |name: &str| ours(name) - if name == "appmon_event" { 8 } else { 0 };
        assert!(refuse(now, short).unwrap().starts_with("struct appmon_event has"));
        let longer = |name: &str| ours(name) + if name == "appmon_str" { 8 } else { 0 };
        assert!(refuse(now, longer).unwrap().starts_with("struct appmon_str has"));
        let unknown = |name: &str| if name == "appmon_stats" { 0 } else { ours(name) };
        assert!(refuse(now, unknown).unwrap().starts_with("struct appmon_stats has 0 bytes"));
    }
}
