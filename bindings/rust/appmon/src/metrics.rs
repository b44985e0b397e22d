// SPDX-License-Identifier: BSD-2-Clause
//! From events to figures: `appmon/metrics.h`.

use crate::error::Error;
use crate::library;
use crate::text::Kept;
use crate::{
    Active, Container, Dimensions, Edge, Event, Exemplar, Figures, MetricsOptions, MetricsStats, Resources,
    Series, SnapshotKind, SnapshotOptions, TimeKind,
};
use libappmon_sys as sys;
use std::ffi::OsString;
use std::fmt;
use std::mem::{size_of, zeroed};
use std::os::raw::{c_char, c_int, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

fn check(code: c_int) -> Result<c_int, Error> {
    if code < 0 {
        return Err(Error::of_call(code, String::new()));
    }
    Ok(code)
}

/// A struct whose first member is its size.
macro_rules! sized {
    ($type:ident) => {{
        let mut raw: sys::$type = unsafe { zeroed() };
        raw.size = size_of::<sys::$type>() as u32;
        raw
    }};
}

// ---- the aggregator ----------------------------------------------------------------------------

type Function<T> = Option<Box<dyn FnMut(&Event<'_>) -> T + Send>>;

/// The program's, of [`MetricsOptions`].
#[derive(Default)]
pub(crate) struct Functions {
    route: Function<Option<String>>,
    is_error: Function<Option<bool>>,
    instance: Function<u64>,
}

/// What they said of the event that is added next. They are asked before C is called, so that a panic of
/// theirs unwinds no frame of C's.
#[derive(Default)]
struct Answers {
    route: Option<String>,
    error: c_int,
    instance: u64,
}

unsafe extern "C" fn route(
    ctx: *mut c_void,
    _: *const sys::appmon_event,
    buf: *mut c_char,
    size: usize,
) -> c_int {
    match &(*ctx.cast::<Answers>()).route {
        None => -1,
        Some(route) => {
            ptr::copy_nonoverlapping(route.as_ptr().cast(), buf, route.len().min(size));
            c_int::try_from(route.len()).unwrap_or(c_int::MAX)
        }
    }
}

unsafe extern "C" fn error(ctx: *mut c_void, _: *const sys::appmon_event) -> c_int {
    (*ctx.cast::<Answers>()).error
}

unsafe extern "C" fn instance(ctx: *mut c_void, _: *const sys::appmon_event) -> u64 {
    (*ctx.cast::<Answers>()).instance
}

impl Dimensions {
    /// What no dimensions at all mean.
    pub const DEFAULT: Dimensions = Dimensions(
        Dimensions::INSTANCE.0
            | Dimensions::PEER.0
            | Dimensions::METHOD.0
            | Dimensions::ROUTE.0
            | Dimensions::STATUS.0,
    );
}

impl MetricsOptions {
    /// The defaults.
    pub fn new() -> MetricsOptions {
        MetricsOptions::default()
    }

    /// What the route of an event is; `None`: as the library makes it. At most 255 bytes are kept.
    pub fn route(mut self, f: impl FnMut(&Event<'_>) -> Option<String> + Send + 'static) -> MetricsOptions {
        self.functions.route = Some(Box::new(f));
        self
    }

    /// Whether an event counts as an error; `None`: as `server_errors` and `client_errors` say.
    pub fn is_error(mut self, f: impl FnMut(&Event<'_>) -> Option<bool> + Send + 'static) -> MetricsOptions {
        self.functions.is_error = Some(Box::new(f));
        self
    }

    /// Stands in place of an event's `cgroup_id`: one number for all cgroups of a service, for example, so
    /// that its series go on when it is restarted.
    pub fn instance(mut self, f: impl FnMut(&Event<'_>) -> u64 + Send + 'static) -> MetricsOptions {
        self.functions.instance = Some(Box::new(f));
        self
    }

    /// Makes empty metrics.
    pub fn open(self) -> Result<Metrics, Error> {
        library::check()?;
        let answers = NonNull::from(Box::leak(Box::<Answers>::default()));
        let mut metrics = Metrics { handle: ptr::null_mut(), functions: Functions::default(), answers };
        let mut opts = sized!(appmon_metrics_opts);
        self.fill(&mut opts);
        let ctx = answers.as_ptr().cast();
        (opts.route_ctx, opts.error_ctx, opts.instance_ctx) = (ctx, ctx, ctx);
        opts.route_fn = self.functions.route.is_some().then_some(route);
        opts.error_fn = self.functions.is_error.is_some().then_some(error);
        opts.instance_fn = self.functions.instance.is_some().then_some(instance);
        metrics.functions = self.functions;
        check(unsafe { sys::appmon_metrics_open(&mut metrics.handle, &opts) })?;
        Ok(metrics)
    }
}

/// Counts events: requests, errors and latency by application, instance, peer, method, route and status, and
/// which application calls which. Its tables have bounds; what finds no room is counted together.
/// [`MetricsOptions::open`] makes one. It knows no monitor: events of several, or of recordings, can go into
/// one.
///
/// ```no_run
/// # fn f(mut monitor: appmon::Monitor) -> Result<(), appmon::Error> {
/// let mut metrics = appmon::MetricsOptions::new().open()?;
/// while let Some(event) = monitor.next_event(None)? {
///     metrics.add(&event)?;
/// }
/// let now = metrics.snapshot(appmon::SnapshotOptions::new())?;
/// for (index, series) in now.series().enumerate() {
///     let figures = now.figures(appmon::SnapshotKind::SERIES, index, None)?;
///     println!("{} {} {}: {}", series.app, series.route, series.status, figures.requests);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Metrics {
    handle: *mut sys::appmon_metrics,
    functions: Functions,
    answers: NonNull<Answers>, // a Box, whose address C has
}

// The library has no thread-local state, and the functions are Send.
unsafe impl Send for Metrics {}

impl Metrics {
    fn ask(&mut self, event: &Event<'_>) {
        let functions = &mut self.functions;
        let answers = Answers {
            route: functions.route.as_mut().and_then(|f| f(event)),
            error: functions.is_error.as_mut().and_then(|f| f(event)).map_or(-1, c_int::from),
            instance: functions.instance.as_mut().map_or(0, |f| f(event)),
        };
        // C reads it during the next call only.
        unsafe { *self.answers.as_ptr() = answers };
    }

    /// Counts one event.
    pub fn add(&mut self, event: &Event<'_>) -> Result<(), Error> {
        self.ask(event);
        check(unsafe { sys::appmon_metrics_add(self.handle, event.raw()) }).map(drop)
    }

    /// Counts one exchange that is in progress, for the next snapshot only: those of
    /// [`Monitor::each_active`](crate::Monitor::each_active), right before [`Metrics::snapshot`]. It takes
    /// `MetricsFlags::ACTIVE`.
    pub fn add_active(&mut self, event: &Event<'_>) -> Result<(), Error> {
        self.ask(event);
        check(unsafe { sys::appmon_metrics_active(self.handle, event.raw()) }).map(drop)
    }

    /// Its counters.
    pub fn stats(&self) -> Result<MetricsStats, Error> {
        let mut raw = sized!(appmon_metrics_stats);
        check(unsafe { sys::appmon_metrics_get_stats(self.handle, &mut raw) })?;
        Ok(MetricsStats::new(&raw))
    }

    /// Copies what has been counted so far; idle series go first.
    pub fn snapshot(&mut self, options: SnapshotOptions) -> Result<Snapshot, Error> {
        let mut opts = sized!(appmon_snapshot_opts);
        options.fill(&mut opts);
        let mut handle = ptr::null_mut();
        check(unsafe { sys::appmon_metrics_snapshot(self.handle, &opts, &mut handle) })?;
        Ok(Snapshot { handle })
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        unsafe {
            sys::appmon_metrics_close(self.handle);
            drop(Box::from_raw(self.answers.as_ptr()));
        }
    }
}

// ---- snapshots -----------------------------------------------------------------------------------

impl SnapshotOptions {
    /// The defaults.
    pub fn new() -> SnapshotOptions {
        SnapshotOptions::default()
    }
}

/// What [`Metrics`] held at one moment. It never changes, and outlives them.
///
/// What its series lend ends with it:
///
/// ```compile_fail,E0505
/// # fn f(now: appmon::Snapshot) {
/// let series: Vec<_> = now.series().collect();
/// drop(now);
/// println!("{:?}", series);
/// # }
/// ```
pub struct Snapshot {
    handle: *mut sys::appmon_snapshot,
}

// Reading changes nothing, and the library has no thread-local state.
unsafe impl Send for Snapshot {}
unsafe impl Sync for Snapshot {}

/// The handle of an earlier snapshot.
fn before(since: Option<&Snapshot>) -> *const sys::appmon_snapshot {
    since.map_or(ptr::null(), |snapshot| snapshot.handle)
}

/// No snapshot has so many: -ENOENT.
fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

impl Snapshot {
    /// When it was taken (`CLOCK_MONOTONIC`): the distance of two is what rates are divided by.
    pub fn time_ns(&self) -> u64 {
        unsafe { sys::appmon_snapshot_time(self.handle) }
    }

    fn all(&self, kind: SnapshotKind) -> std::ops::Range<u32> {
        0..unsafe { sys::appmon_snapshot_count(self.handle, kind.0) }
    }

    /// One for each combination of labels, in the order in which they began: its place is the index that
    /// [`Snapshot::figures`] and others take.
    pub fn series(&self) -> impl Iterator<Item = Series<'_>> + '_ {
        self.all(SnapshotKind::SERIES).map(move |i| {
            let mut raw = sized!(appmon_series);
            check(unsafe { sys::appmon_snapshot_series(self.handle, i, &mut raw) }).expect("a series");
            unsafe { Series::new(&raw) }
        })
    }

    /// One for each pair of who asked and who was asked, as above.
    pub fn edges(&self) -> impl Iterator<Item = Edge<'_>> + '_ {
        self.all(SnapshotKind::EDGES).map(move |i| {
            let mut raw = sized!(appmon_edge);
            check(unsafe { sys::appmon_snapshot_edge(self.handle, i, &mut raw) }).expect("an edge");
            unsafe { Edge::new(&raw) }
        })
    }

    /// What was in progress; it takes `MetricsFlags::ACTIVE` and [`Metrics::add_active`].
    pub fn active(&self) -> impl Iterator<Item = Active<'_>> + '_ {
        self.all(SnapshotKind::ACTIVE).map(move |i| {
            let mut raw = sized!(appmon_active);
            check(unsafe { sys::appmon_snapshot_active(self.handle, i, &mut raw) }).expect("a row");
            unsafe { Active::new(&raw) }
        })
    }

    /// The sums of one series or edge: all of them, or with an earlier snapshot those since then.
    pub fn figures(
        &self,
        kind: SnapshotKind,
        index: usize,
        since: Option<&Snapshot>,
    ) -> Result<Figures, Error> {
        let mut raw = sized!(appmon_figures);
        let since = before(since);
        check(unsafe { sys::appmon_snapshot_figures(self.handle, kind.0, place(index), since, &mut raw) })?;
        Ok(Figures::new(&raw))
    }

    /// Adds the durations of one series or edge, in nanoseconds, to a histogram; since as above.
    pub fn durations(
        &self,
        kind: SnapshotKind,
        index: usize,
        since: Option<&Snapshot>,
        into: &mut Histogram,
    ) -> Result<(), Error> {
        let (since, index) = (before(since), place(index));
        let code = unsafe { sys::appmon_snapshot_durations(self.handle, kind.0, index, since, into.handle) };
        check(code).map(drop)
    }

    /// The same of one of the times of the events; without `MetricsFlags::SERVICE` there is nothing to add
    /// of queue and service times.
    pub fn histogram(
        &self,
        kind: SnapshotKind,
        index: usize,
        since: Option<&Snapshot>,
        time: TimeKind,
        into: &mut Histogram,
    ) -> Result<(), Error> {
        let (since, index) = (before(since), place(index));
        let code = unsafe {
            sys::appmon_snapshot_histogram(self.handle, kind.0, index, since, time.0, into.handle)
        };
        check(code).map(drop)
    }

    /// An event out of those of a series or edge that carried a traceparent; without one the errno value is
    /// `ENODATA`.
    pub fn exemplar(&self, kind: SnapshotKind, index: usize) -> Result<Exemplar, Error> {
        let mut raw = sized!(appmon_exemplar);
        check(unsafe { sys::appmon_snapshot_exemplar(self.handle, kind.0, place(index), &mut raw) })?;
        Ok(Exemplar::new(&raw))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        unsafe { sys::appmon_snapshot_free(self.handle) };
    }
}

// ---- histograms ------------------------------------------------------------------------------------

/// Counts of values in log-linear buckets: a quantile is within 1/64 of the exact one.
pub struct Histogram {
    handle: *mut sys::appmon_histogram,
}

// Reading changes nothing, and the library has no thread-local state.
unsafe impl Send for Histogram {}
unsafe impl Sync for Histogram {}

/// A part of a [`Histogram`] that holds values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// The least value that it can hold.
    pub least: u64,
    /// The greatest value that it can hold.
    pub greatest: u64,
    /// How many it holds.
    pub count: u64,
}

impl Histogram {
    /// An empty one.
    pub fn new() -> Result<Histogram, Error> {
        let mut handle = ptr::null_mut();
        check(unsafe { sys::appmon_histogram_new(&mut handle) })?;
        Ok(Histogram { handle })
    }

    /// Empties it.
    pub fn clear(&mut self) {
        unsafe { sys::appmon_histogram_clear(self.handle) };
    }

    /// Counts a value so many times.
    pub fn add(&mut self, value: u64, count: u64) -> Result<(), Error> {
        check(unsafe { sys::appmon_histogram_add(self.handle, value, count) }).map(drop)
    }

    /// Adds what another one holds.
    pub fn merge(&mut self, other: &Histogram) -> Result<(), Error> {
        check(unsafe { sys::appmon_histogram_merge(self.handle, other.handle) }).map(drop)
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        unsafe { sys::appmon_histogram_count(self.handle) }
    }

    /// All of them added up.
    pub fn sum(&self) -> u64 {
        unsafe { sys::appmon_histogram_sum(self.handle) }
    }

    /// The greatest.
    pub fn max(&self) -> u64 {
        unsafe { sys::appmon_histogram_max(self.handle) }
    }

    /// The least value that a share of q (0 to 1) of all do not exceed; 0 if there is none.
    pub fn quantile(&self, q: f64) -> u64 {
        unsafe { sys::appmon_histogram_quantile(self.handle, q) }
    }

    /// How many values are at most this one.
    pub fn count_at_most(&self, value: u64) -> u64 {
        unsafe { sys::appmon_histogram_count_at_most(self.handle, value) }
    }

    /// Those that hold values, in rising order.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        let mut cursor = 0;
        std::iter::from_fn(move || {
            let (mut least, mut greatest, mut count) = (0, 0, 0);
            let code = unsafe {
                sys::appmon_histogram_next(self.handle, &mut cursor, &mut least, &mut greatest, &mut count)
            };
            (code > 0).then_some(Bucket { least, greatest, count })
        })
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.buckets()).finish()
    }
}

impl Drop for Histogram {
    fn drop(&mut self) {
        unsafe { sys::appmon_histogram_free(self.handle) };
    }
}

// ---- without a handle --------------------------------------------------------------------------------

/// The route of a path by the look of its segments: "/orders/{id}" for "/orders/17".
pub fn route_of(path: impl AsRef<[u8]>) -> String {
    let path = path.as_ref();
    // A placeholder is at most four times as long as what it stands for.
    let mut buf = vec![0u8; 4 * path.len() + 64];
    let size = buf.len();
    let len = unsafe { sys::appmon_route(path.as_ptr().cast(), path.len(), buf.as_mut_ptr().cast(), size) };
    String::from_utf8_lossy(&buf[..len]).into_owned()
}

/// What a cgroup v2 directory and those below it use.
pub fn read_resources(cgroup: impl AsRef<Path>) -> Result<Resources, Error> {
    let mut kept = Kept::default();
    let path = kept.string(cgroup.as_ref().as_os_str().as_bytes())?;
    let mut raw = sized!(appmon_resources);
    check(unsafe { sys::appmon_read_resources(path, &mut raw) })?;
    Ok(Resources::new(&raw))
}

/// The directory of a cgroup that is there now, by the `cgroup_id` of an event or a series;
/// [`Monitor::find_cgroup`](crate::Monitor::find_cgroup) also knows those that are gone.
pub fn cgroup_path(cgroup_id: u64) -> Result<PathBuf, Error> {
    let mut buf = vec![0u8; 4096];
    let len = check(unsafe { sys::appmon_cgroup_path(cgroup_id, buf.as_mut_ptr().cast(), buf.len()) })?;
    buf.truncate(len as usize);
    Ok(OsString::from_vec(buf).into())
}

/// The container or pod that the path of a cgroup names. Without one the kind of the error is `NotFound`.
pub fn container_of(cgroup: impl AsRef<Path>) -> Result<Container, Error> {
    let mut kept = Kept::default();
    let path = kept.string(cgroup.as_ref().as_os_str().as_bytes())?;
    let mut raw = sized!(appmon_container);
    check(unsafe { sys::appmon_cgroup_container(path, &mut raw) })?;
    Ok(Container::new(&raw))
}
