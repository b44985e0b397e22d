// SPDX-License-Identifier: BSD-2-Clause
//! Finds libappmon: in LIBAPPMON_LIB_DIR, else where pkg-config says.

use std::env;
use std::process::{exit, Command};

fn fail(words: &str) -> ! {
    eprintln!(
        "{words}: install libappmon with its .pc file, or set LIBAPPMON_LIB_DIR to where libappmon.so is"
    );
    exit(1);
}

fn main() {
    for name in ["LIBAPPMON_LIB_DIR", "PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_SYSROOT_DIR"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if let Ok(directory) = env::var("LIBAPPMON_LIB_DIR") {
        println!("cargo:rustc-link-search=native={directory}");
        println!("cargo:rustc-link-lib=appmon");
        return;
    }
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = match Command::new(&program).args(["--libs", "libappmon >= 0.1.0"]).output() {
        Ok(output) if output.status.success() => output,
        Ok(output) => fail(&format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => fail(&format!("{program}: {error}")),
    };
    for word in String::from_utf8_lossy(&output.stdout).split_whitespace() {
        if let Some(directory) = word.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={directory}");
        } else if let Some(name) = word.strip_prefix("-l") {
            println!("cargo:rustc-link-lib={name}");
        }
    }
}
