// SPDX-License-Identifier: BSD-2-Clause
//! Prints the requests of a cgroup for a while: watch CGROUP-DIRECTORY [SECONDS]

use std::process::exit;
use std::time::{Duration, Instant};

fn watch(directory: &str, time: Duration) -> Result<(), appmon::Error> {
    let end = Instant::now() + time;
    let mut monitor = appmon::Options::new().header("x-request-id").open()?;
    monitor.attach(directory, appmon::AttachOptions::new())?;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if let Some(event) = monitor.next_event(Some(left))? {
            let from = event.remote().map_or("?".to_owned(), |address| address.to_string());
            let took = Duration::from_nanos(event.duration_ns());
            println!("{from} {} {} {} {took:?}", event.operation(), event.path(), event.status());
        }
    }
    let stats = monitor.stats()?;
    println!("{} requests seen, {} told", stats.exchanges_seen, stats.delivered);
    Ok(())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.get(1).map_or(Ok(60), |word| word.parse());
    let result = match (arguments.as_slice(), seconds) {
        ([directory] | [directory, _], Ok(seconds)) => watch(directory, Duration::from_secs(seconds)),
        _ => {
            eprintln!("usage: watch CGROUP-DIRECTORY [SECONDS]");
            exit(2);
        }
    };
    if let Err(error) = result {
        eprintln!("{error}");
        exit(1);
    }
}
