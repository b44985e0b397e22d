// SPDX-License-Identifier: BSD-2-Clause

package appmon

/*
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// DimensionDefault is what no dimensions at all mean.
const DimensionDefault Dimensions = C.APPMON_DIM_DEFAULT

// Metrics counts events: requests, errors and latency by application, instance, peer, method, route and
// status, and which application calls which. Its tables have bounds; what finds no room is counted together.
// OpenMetrics makes one. It knows no monitor: events of several, or of recordings, can go into one.
//
// All methods may be called from any goroutine.
type Metrics struct {
	mu      sync.Mutex // held during each call
	handle  *C.struct_appmon_metrics
	options MetricsOptions
	answers *C.struct_glue_answers
	lent    block // the event that is added
}

// OpenMetrics makes an empty one.
func OpenMetrics(options MetricsOptions) (*Metrics, error) {
	if err := checkLibrary(); err != nil {
		return nil, err
	}
	opts := C.struct_appmon_metrics_opts{size: C.sizeof_struct_appmon_metrics_opts}
	options.fill(&opts)
	m := &Metrics{options: options}
	m.answers = (*C.struct_glue_answers)(C.calloc(1, C.sizeof_struct_glue_answers))
	C.glue_answer(&opts, m.answers, truth(options.Route != nil), truth(options.IsError != nil),
		truth(options.Instance != nil))
	if code := C.appmon_metrics_open(&m.handle, &opts); code < 0 {
		C.free(unsafe.Pointer(m.answers))
		return nil, newError(code, "")
	}
	runtime.SetFinalizer(m, (*Metrics).Close)
	return m, nil
}

func truth(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// Close frees it. Snapshots stay.
func (m *Metrics) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handle == nil {
		return nil
	}
	C.appmon_metrics_close(m.handle)
	C.free(unsafe.Pointer(m.answers))
	m.handle, m.answers = nil, nil
	m.lent.free()
	runtime.SetFinalizer(m, nil)
	return nil
}

func (m *Metrics) call(f func() C.int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handle == nil {
		return ErrClosed
	}
	if code := f(); code < 0 {
		return newError(code, "")
	}
	return nil
}

// Add counts one event.
func (m *Metrics) Add(event *Event) error {
	return m.add(event, func(ev *C.struct_appmon_event) C.int { return C.appmon_metrics_add(m.handle, ev) })
}

// AddActive counts one exchange that is in progress, for the next snapshot only: those of Monitor.Active,
// right before Snapshot. It takes MetricsFlagActive.
func (m *Metrics) AddActive(event *Event) error {
	return m.add(event, func(ev *C.struct_appmon_event) C.int { return C.appmon_metrics_active(m.handle, ev) })
}

// add asks the program's functions first, outside of C and of the lock.
func (m *Metrics) add(event *Event, f func(*C.struct_appmon_event) C.int) error {
	answers := C.struct_glue_answers{error: -1}
	route, hasRoute := "", false
	if m.options.Route != nil {
		route, hasRoute = m.options.Route(event)
	}
	if m.options.IsError != nil {
		if isError, ok := m.options.IsError(event); ok {
			answers.error = truth(isError)
		}
	}
	if m.options.Instance != nil {
		answers.instance = C.uint64_t(m.options.Instance(event))
	}
	return m.call(func() C.int {
		m.lent.reserve(event.lentSize() + roomOfText(route))
		ev := event.lend(&m.lent)
		if hasRoute {
			text := m.lent.text(route, false)
			answers.route, answers.route_len = text.data, C.size_t(text.len)
		}
		*m.answers = answers
		return f(ev)
	})
}

// Stats are its counters.
func (m *Metrics) Stats() (MetricsStats, error) {
	c := C.struct_appmon_metrics_stats{size: C.sizeof_struct_appmon_metrics_stats}
	err := m.call(func() C.int { return C.appmon_metrics_get_stats(m.handle, &c) })
	return copyMetricsStats(&c), err
}

// Snapshot copies what has been counted so far. Close the snapshot.
func (m *Metrics) Snapshot(options SnapshotOptions) (*Snapshot, error) {
	opts := C.struct_appmon_snapshot_opts{size: C.sizeof_struct_appmon_snapshot_opts}
	options.fill(&opts)
	s := &Snapshot{}
	err := m.call(func() C.int { return C.appmon_metrics_snapshot(m.handle, &opts, &s.handle) })
	if err != nil {
		return nil, err
	}
	runtime.SetFinalizer(s, (*Snapshot).Close)
	return s, nil
}

// ---- snapshots ----

// Snapshot is what Metrics held at one moment. It never changes; several goroutines may read it at once.
type Snapshot struct {
	mu     sync.RWMutex // against Close
	handle *C.struct_appmon_snapshot
}

// Close frees it.
func (s *Snapshot) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	C.appmon_snapshot_free(s.handle)
	s.handle = nil
	runtime.SetFinalizer(s, nil)
	return nil
}

func (s *Snapshot) call(f func() C.int) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.handle == nil {
		return ErrClosed
	}
	if code := f(); code < 0 {
		return newError(code, "")
	}
	return nil
}

// each calls f for each index of a kind.
func (s *Snapshot) each(kind SnapshotKind, f func(i C.uint32_t) C.int) error {
	return s.call(func() (code C.int) {
		count := C.appmon_snapshot_count(s.handle, C.uint32_t(kind))
		for i := C.uint32_t(0); i < count && code >= 0; i++ {
			code = f(i)
		}
		return code
	})
}

// Time says when it was taken: the distance of two is what rates are divided by. 0 after Close.
func (s *Snapshot) Time() (at Monotonic) {
	s.call(func() C.int {
		at = Monotonic(C.appmon_snapshot_time(s.handle))
		return 0
	})
	return at
}

// Series returns one for each combination of labels, in the order in which they began; the place in the
// slice is the index that Figures, Durations and Exemplar take.
func (s *Snapshot) Series() (list []Series, err error) {
	err = s.each(SnapshotKindSeries, func(i C.uint32_t) C.int {
		c := C.struct_appmon_series{size: C.sizeof_struct_appmon_series}
		code := C.appmon_snapshot_series(s.handle, i, &c)
		if code >= 0 {
			list = append(list, copySeries(&c))
		}
		return code
	})
	return list, err
}

// Edges returns one for each pair of who asked and who was asked, as Series does.
func (s *Snapshot) Edges() (list []Edge, err error) {
	err = s.each(SnapshotKindEdges, func(i C.uint32_t) C.int {
		c := C.struct_appmon_edge{size: C.sizeof_struct_appmon_edge}
		code := C.appmon_snapshot_edge(s.handle, i, &c)
		if code >= 0 {
			list = append(list, copyEdge(&c))
		}
		return code
	})
	return list, err
}

// Active returns what was in progress; it takes MetricsFlagActive and AddActive.
func (s *Snapshot) Active() (list []Active, err error) {
	err = s.each(SnapshotKindActive, func(i C.uint32_t) C.int {
		c := C.struct_appmon_active{size: C.sizeof_struct_appmon_active}
		code := C.appmon_snapshot_active(s.handle, i, &c)
		if code >= 0 {
			list = append(list, copyActive(&c))
		}
		return code
	})
	return list, err
}

// since calls f with an earlier snapshot's handle, NULL without one.
func (s *Snapshot) since(since *Snapshot, f func(since *C.struct_appmon_snapshot) C.int) error {
	return s.call(func() C.int {
		switch since {
		case nil:
			return f(nil)
		case s:
			return f(s.handle)
		}
		code := -C.int(syscall.EINVAL) // if it is closed
		since.call(func() C.int {
			code = f(since.handle)
			return 0
		})
		return code
	})
}

// Figures are the sums of one series or edge: all of them, or with an earlier snapshot those since then.
func (s *Snapshot) Figures(kind SnapshotKind, index int, since *Snapshot) (Figures, error) {
	c := C.struct_appmon_figures{size: C.sizeof_struct_appmon_figures}
	err := s.since(since, func(before *C.struct_appmon_snapshot) C.int {
		return C.appmon_snapshot_figures(s.handle, C.uint32_t(kind), C.uint32_t(index), before, &c)
	})
	return copyFigures(&c), err
}

// Durations adds the durations of one series or edge, in nanoseconds, to a histogram; since as in Figures.
func (s *Snapshot) Durations(kind SnapshotKind, index int, since *Snapshot, into *Histogram) error {
	defer runtime.KeepAlive(into)
	return s.since(since, func(before *C.struct_appmon_snapshot) C.int {
		return C.appmon_snapshot_durations(s.handle, C.uint32_t(kind), C.uint32_t(index), before, into.handle)
	})
}

// Histogram adds one of the times of the events, as Durations does; without MetricsFlagService there is
// nothing to add of queue and service times.
func (s *Snapshot) Histogram(kind SnapshotKind, index int, since *Snapshot, time TimeKind, into *Histogram) error {
	defer runtime.KeepAlive(into)
	return s.since(since, func(before *C.struct_appmon_snapshot) C.int {
		return C.appmon_snapshot_histogram(s.handle, C.uint32_t(kind), C.uint32_t(index), before,
			C.uint32_t(time), into.handle)
	})
}

// Exemplar returns an event out of those of a series or edge that carried a traceparent; without one the
// error is syscall.ENODATA.
func (s *Snapshot) Exemplar(kind SnapshotKind, index int) (Exemplar, error) {
	c := C.struct_appmon_exemplar{size: C.sizeof_struct_appmon_exemplar}
	err := s.call(func() C.int {
		return C.appmon_snapshot_exemplar(s.handle, C.uint32_t(kind), C.uint32_t(index), &c)
	})
	return copyExemplar(&c), err
}

// ---- histograms ----

// Histogram counts values in log-linear buckets: a quantile is within 1/64 of the exact one. NewHistogram
// makes one. As with a map, one goroutine at a time may change it.
type Histogram struct {
	handle *C.struct_appmon_histogram
}

// Bucket is a part of a histogram that holds values.
type Bucket struct {
	Least, Greatest uint64 // of the values that it can hold
	Count           uint64
}

// NewHistogram makes an empty one. The garbage collector frees it.
func NewHistogram() (*Histogram, error) {
	h := &Histogram{}
	if code := C.appmon_histogram_new(&h.handle); code < 0 {
		return nil, newError(code, "")
	}
	runtime.SetFinalizer(h, func(h *Histogram) { C.appmon_histogram_free(h.handle) })
	return h, nil
}

// Clear empties it.
func (h *Histogram) Clear() {
	C.appmon_histogram_clear(h.handle)
	runtime.KeepAlive(h)
}

// Add counts a value so many times.
func (h *Histogram) Add(value, count uint64) error {
	defer runtime.KeepAlive(h)
	if code := C.appmon_histogram_add(h.handle, C.uint64_t(value), C.uint64_t(count)); code < 0 {
		return newError(code, "")
	}
	return nil
}

// Merge adds what another one holds.
func (h *Histogram) Merge(other *Histogram) error {
	defer runtime.KeepAlive(h)
	defer runtime.KeepAlive(other)
	if code := C.appmon_histogram_merge(h.handle, other.handle); code < 0 {
		return newError(code, "")
	}
	return nil
}

// Count says how many values there are.
func (h *Histogram) Count() uint64 {
	defer runtime.KeepAlive(h)
	return uint64(C.appmon_histogram_count(h.handle))
}

// Sum adds them up.
func (h *Histogram) Sum() uint64 {
	defer runtime.KeepAlive(h)
	return uint64(C.appmon_histogram_sum(h.handle))
}

// Max is the greatest.
func (h *Histogram) Max() uint64 {
	defer runtime.KeepAlive(h)
	return uint64(C.appmon_histogram_max(h.handle))
}

// Quantile is the least value that a share of q (0 to 1) of all do not exceed; 0 if there is none.
func (h *Histogram) Quantile(q float64) uint64 {
	defer runtime.KeepAlive(h)
	return uint64(C.appmon_histogram_quantile(h.handle, C.double(q)))
}

// CountAtMost says how many values are at most this one.
func (h *Histogram) CountAtMost(value uint64) uint64 {
	defer runtime.KeepAlive(h)
	return uint64(C.appmon_histogram_count_at_most(h.handle, C.uint64_t(value)))
}

// Buckets returns those that hold values, in rising order.
func (h *Histogram) Buckets() (list []Bucket) {
	defer runtime.KeepAlive(h)
	var cursor C.uint32_t
	var least, greatest, count C.uint64_t
	for C.appmon_histogram_next(h.handle, &cursor, &least, &greatest, &count) > 0 {
		list = append(list, Bucket{uint64(least), uint64(greatest), uint64(count)})
	}
	return list
}

// ---- without a handle ----

// Route returns the route of a path by the look of its segments: "/orders/{id}" for "/orders/17".
func Route(path string) string {
	var lent block
	defer lent.free()
	// A placeholder is at most four times as long as what it stands for.
	size := 4*uintptr(len(path)) + 64
	lent.reserve(roomOfText(path) + roomOf(size))
	p, buf := lent.text(path, false), (*C.char)(lent.alloc(size))
	n := C.appmon_route(p.data, C.size_t(p.len), buf, C.size_t(size))
	return C.GoStringN(buf, C.int(n))
}

// ReadResources says what a cgroup v2 directory and those below it use.
func ReadResources(cgroup string) (Resources, error) {
	var mem memory
	defer mem.free()
	path := mem.string(cgroup)
	if mem.err != nil {
		return Resources{}, mem.err
	}
	c := C.struct_appmon_resources{size: C.sizeof_struct_appmon_resources}
	if code := C.appmon_read_resources(path, &c); code < 0 {
		return Resources{}, newError(code, "")
	}
	return copyResources(&c), nil
}

// CgroupPath returns the directory of a cgroup that is there now, by the CgroupID of an event or a series;
// Monitor.FindCgroup also knows those that are gone.
func CgroupPath(id uint64) (string, error) {
	buf := make([]byte, 4096)
	n := C.appmon_cgroup_path(C.uint64_t(id), (*C.char)(unsafe.Pointer(&buf[0])), C.size_t(len(buf)))
	if n < 0 {
		return "", newError(n, "")
	}
	return string(buf[:n]), nil
}

// ContainerOf returns the container or pod that the path of a cgroup names. Without one the error is
// fs.ErrNotExist.
func ContainerOf(cgroup string) (Container, error) {
	var mem memory
	defer mem.free()
	path := mem.string(cgroup)
	if mem.err != nil {
		return Container{}, mem.err
	}
	c := C.struct_appmon_container{size: C.sizeof_struct_appmon_container}
	if code := C.appmon_cgroup_container(path, &c); code < 0 {
		return Container{}, newError(code, "")
	}
	return copyContainer(&c), nil
}
