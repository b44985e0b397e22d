// SPDX-License-Identifier: BSD-2-Clause
//! The C interface of libappmon as it is: see `appmon/appmon.h` and appmon(3). The `appmon` crate is
//! the safe one.
//!
//! The declarations are made from the headers and checked in; no bindgen is needed. Where libappmon is
//! comes from pkg-config, or from `LIBAPPMON_LIB_DIR`.
#![allow(non_camel_case_types)]

#[rustfmt::skip]
mod generated;

pub use generated::*;
