// SPDX-License-Identifier: BSD-2-Clause
//! Prints the requests of a cgroup from a tokio `Stream`, until so many came or Ctrl-C:
//! appmon-tokio CGROUP-DIRECTORY [COUNT]

use appmon::{AttachOptions, Event, Monitor, Options};
use std::io;
use std::pin::Pin;
use std::process::exit;
use std::task::{ready, Context, Poll};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio_stream::{Stream, StreamExt};

/// A stream of what a function makes of each event, `Event::keep` for instance. An event itself ends with the
/// next one, so that it cannot be an item.
struct Events<F> {
    monitor: AsyncFd<Monitor>,
    make: F,
}

impl<F> Events<F> {
    fn new(monitor: Monitor, make: F) -> io::Result<Events<F>> {
        // SAFETY: a monitor has one descriptor, open as long as it is, and this one stays where it is.
        let monitor = unsafe { AsyncFd::register_with_interest(monitor, Interest::READABLE)? };
        Ok(Events { monitor, make })
    }
}

impl<T, F: FnMut(Event<'_>) -> T + Unpin> Stream for Events<F> {
    type Item = Result<T, appmon::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let mut ready = match ready!(this.monitor.poll_read_ready_mut(context)) {
                Ok(ready) => ready,
                Err(_) => return Poll::Ready(None), // the runtime ends
            };
            match ready.get_inner_mut().try_next() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok((this.make)(event)))),
                Ok(None) => ready.clear_ready(),
                Err(error) if error.is_end_of_recording() => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

fn line(event: Event<'_>) -> String {
    format!("{} {} {}", event.operation(), event.request_target(), event.status())
}

async fn watch(directory: &str, count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut monitor = Options::new().open()?;
    monitor.attach(directory, AttachOptions::new())?;
    let mut events = Events::new(monitor, line)?;
    println!("watching");
    for _ in 0..count {
        tokio::select! {
            event = events.next() => match event {
                Some(line) => println!("{}", line?),
                None => break,
            },
            interrupted = tokio::signal::ctrl_c() => return Ok(interrupted?),
        }
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.get(1).map_or(Ok(usize::MAX), |word| word.parse());
    let result = match (arguments.as_slice(), count) {
        ([directory] | [directory, _], Ok(count)) => watch(directory, count).await,
        _ => {
            eprintln!("usage: appmon-tokio CGROUP-DIRECTORY [COUNT]");
            exit(2);
        }
    };
    if let Err(error) = result {
        eprintln!("{error}");
        exit(1);
    }
}
