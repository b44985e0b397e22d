// SPDX-License-Identifier: BSD-2-Clause

// Package appmon gives a Go program every request that a Linux workload serves or sends, seen
// through eBPF by libappmon.
//
//	monitor, err := appmon.Open(appmon.Options{})
//	...
//	defer monitor.Close()
//	target, err := monitor.Attach("/sys/fs/cgroup/system.slice/nginx.service", appmon.AttachOptions{})
//	...
//	for event, err := range monitor.Events(ctx) { // Go 1.23; before that: monitor.Next(ctx)
//		...
//		fmt.Printf("%q %q %d %s\n", event.Operation, event.Path, event.Status, event.Duration)
//	}
//
// To compile it takes cgo, pkg-config and libappmon with its headers; Go 1.19 or later. To run it takes
// root, or the capabilities that the first error names.
//
// All methods may be called from any goroutine. One that waits for events holds no thread: the library's
// descriptor is in the runtime's poller.
//
// What they return is the program's: an Event, or a TargetInfo, refers to no memory of C's. It may be kept for
// as long as is needed, also after Close, and handed to other goroutines.
package appmon

/*
#cgo pkg-config: libappmon
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"
	"runtime/cgo"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// maxBatch bounds the memory of the copies that C makes for NextBatch.
const maxBatch = 128

// ErrClosed is what a Monitor, Metrics or a Snapshot says after Close.
var ErrClosed = errors.New("appmon: used after Close")

// Error is a failure of the library. It unwraps to its errno value: errors.Is(err, fs.ErrPermission)
// and errors.Is(err, syscall.EEXIST) work.
type Error struct {
	Errno syscall.Errno
	Text  string // the library's own words: what is wrong and what to do
}

func (e *Error) Error() string { return "appmon: " + e.Text }

// Unwrap returns the errno value.
func (e *Error) Unwrap() error { return e.Errno }

func newError(code C.int, text string) error {
	if text == "" {
		text = C.GoString(C.appmon_strerror(code))
	}
	return &Error{syscall.Errno(-code), text}
}

// Monotonic is a time of an Event: nanoseconds of CLOCK_MONOTONIC, 0 if it was not seen. Monitor.Time
// gives the wall time.
type Monotonic uint64

// Monitor watches cgroups. Open makes one.
type Monitor struct {
	mu     sync.Mutex // held during each call
	handle *C.struct_appmon
	event  *C.struct_appmon_event
	batch  block // what appmon_next_batch() stores
	users  map[uint32]any
	log    *logger
	logRef cgo.Handle
	replay bool

	file *os.File // a copy of the library's descriptor, for the runtime's poller
	conn syscall.RawConn
	turn chan struct{} // whoever waits holds it
}

// Open loads the BPF programs; nothing is watched yet.
func Open(options Options) (*Monitor, error) { return open(-1, options) }

// Replay makes a monitor that is fed from a recording in place of the kernel, without privileges. The
// file is borrowed until Close. At its end Next returns io.EOF.
func Replay(file *os.File, options Options) (*Monitor, error) {
	defer runtime.KeepAlive(file)
	return open(int(file.Fd()), options)
}

func open(fd int, options Options) (*Monitor, error) {
	if err := checkLibrary(); err != nil {
		return nil, err
	}
	const textSize = 512
	var mem memory
	defer mem.free()
	opts := C.struct_appmon_opts{size: C.sizeof_struct_appmon_opts, error_text_size: textSize}
	options.fill(&opts, &mem)
	if mem.err != nil {
		return nil, mem.err
	}
	opts.error_text = (*C.char)(mem.alloc(textSize))
	m := &Monitor{users: map[uint32]any{}, replay: fd >= 0, turn: make(chan struct{}, 1)}
	if options.Log != nil {
		m.log = &logger{fn: options.Log}
		m.logRef = cgo.NewHandle(m.log)
	}
	code := C.glue_open(&m.handle, C.int(fd), &opts, C.uintptr_t(m.logRef))
	if code < 0 {
		m.forgetLog()
		m.log.rethrow()
		return nil, newError(code, C.GoString(opts.error_text))
	}
	runtime.SetFinalizer(m, (*Monitor).Close)
	if err := m.openFile(); err != nil {
		m.Close()
		return nil, err
	}
	if m.log != nil && m.log.panicked {
		m.Close()
		m.log.rethrow()
	}
	return m, nil
}

func (m *Monitor) openFile() error {
	fd, err := syscall.Dup(int(C.appmon_fd(m.handle)))
	if err != nil {
		return err
	}
	syscall.CloseOnExec(fd)
	syscall.SetNonblock(fd, true) // what os.NewFile goes by
	m.file = os.NewFile(uintptr(fd), "appmon")
	m.conn, err = m.file.SyscallConn()
	return err
}

func (m *Monitor) forgetLog() {
	if m.logRef != 0 {
		m.logRef.Delete()
		m.logRef = 0
	}
}

// Close detaches everything. Calls that wait return ErrClosed.
func (m *Monitor) Close() error {
	if m.file != nil {
		m.file.Close() // ends the wait of others
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handle == nil {
		return nil
	}
	C.appmon_close(m.handle)
	m.handle = nil
	m.batch.free()
	m.forgetLog()
	runtime.SetFinalizer(m, nil)
	return nil
}

// call runs f with the handle, alone, and makes an error of a negative result.
func (m *Monitor) call(f func(handle *C.struct_appmon) C.int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handle == nil {
		return ErrClosed
	}
	code := f(m.handle)
	m.log.rethrow()
	if code < 0 {
		return newError(code, C.GoString(C.appmon_last_error(m.handle)))
	}
	return nil
}

// ---- targets ----

// AttachOptions say how to watch a cgroup. The zero value of each is the default.
type AttachOptions struct {
	Name         string // comes back in each event; default: the last part of the path
	User         any    // comes back in each event
	CaptureBytes uint32 // as in Options, for this target
	Protocols    uint32 // as in Options, for this target; 0: the monitor's
	Ports        []PortHint
}

// PortHint says what is spoken where a server listens.
type PortHint struct {
	Port     uint16
	Protocol Protocol
}

// Target is a cgroup that is watched.
type Target struct {
	ID      uint32
	monitor *Monitor
}

// Attach watches the sockets of a cgroup v2 directory and of all below it.
func (m *Monitor) Attach(path string, options AttachOptions) (*Target, error) {
	var mem memory
	defer mem.free()
	cpath := mem.string(path)
	return m.attach(options, &mem, func(h *C.struct_appmon, opts *C.struct_appmon_attach_opts, id *C.uint32_t) C.int {
		return C.appmon_attach_cgroup(h, cpath, opts, id)
	})
}

// AttachDir does the same for an open directory, which it needs no longer than the call takes.
func (m *Monitor) AttachDir(dir *os.File, options AttachOptions) (*Target, error) {
	var mem memory
	defer mem.free()
	defer runtime.KeepAlive(dir)
	fd := C.int(dir.Fd())
	return m.attach(options, &mem, func(h *C.struct_appmon, opts *C.struct_appmon_attach_opts, id *C.uint32_t) C.int {
		return C.appmon_attach_cgroup_fd(h, fd, opts, id)
	})
}

func (m *Monitor) attach(options AttachOptions, mem *memory,
	attach func(*C.struct_appmon, *C.struct_appmon_attach_opts, *C.uint32_t) C.int) (*Target, error) {
	opts := C.struct_appmon_attach_opts{
		size:          C.sizeof_struct_appmon_attach_opts,
		capture_bytes: C.uint32_t(options.CaptureBytes),
		protocols:     C.uint32_t(options.Protocols),
		port_count:    C.uint32_t(len(options.Ports)),
		ports:         mem.ports(options.Ports),
	}
	if options.Name != "" {
		opts.name = mem.string(options.Name)
	}
	if mem.err != nil {
		return nil, mem.err
	}
	var id C.uint32_t
	err := m.call(func(h *C.struct_appmon) C.int {
		code := attach(h, &opts, &id)
		if code >= 0 && options.User != nil {
			m.users[uint32(id)] = options.User
		}
		return code
	})
	if err != nil {
		return nil, err
	}
	return &Target{uint32(id), m}, nil
}

// Detach stops watching: from here on no event names this target.
func (t *Target) Detach() error {
	return t.monitor.call(func(h *C.struct_appmon) C.int {
		code := C.appmon_detach(h, C.uint32_t(t.ID))
		if code >= 0 {
			delete(t.monitor.users, t.ID)
		}
		return code
	})
}

// Stats are the target's counters.
func (t *Target) Stats() (Stats, error) { return t.monitor.stats(t.ID) }

// TargetInfo is one of the cgroups that a monitor watches. Stats and Detach are those of its Target.
type TargetInfo struct {
	Target
	Name         string // as in events: TargetName
	Path         string // of its directory at the attach; "": not known, as in a replay
	CgroupID     uint64 // inode of the directory
	CaptureBytes uint32 // in force for it
	Protocols    uint32 // in force for it: bit n is Protocol n
	Removed      bool   // the cgroup is gone, and so is its last socket
	User         any    // as given to Attach
}

// Targets returns the cgroups that are watched, in the order of their ids.
func (m *Monitor) Targets() (list []TargetInfo, err error) {
	err = m.call(func(h *C.struct_appmon) C.int {
		c := C.struct_appmon_target{size: C.sizeof_struct_appmon_target}
		for {
			code := C.appmon_next_target(h, c.id, &c)
			if code <= 0 {
				return code
			}
			id := uint32(c.id)
			list = append(list, TargetInfo{Target{id, m}, text(&c.name), text(&c.path), uint64(c.cgroup_id),
				uint32(c.capture_bytes), uint32(c.protocols), StatsFlags(c.flags).Has(StatsFlagRemoved), m.users[id]})
		}
	})
	return list, err
}

// ---- receiving ----

// pull stores the events that are there, at most as many as there is room for, and says how many.
func (m *Monitor) pull(events []*Event) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.handle == nil {
		return 0, ErrClosed
	}
	code := m.take(events)
	if code > 0 { // a panic of the log function waits: the events would be lost
		return int(code), nil
	}
	m.log.rethrow()
	switch {
	case code == 0:
		return 0, nil
	case code == -C.int(syscall.ENODATA):
		return 0, io.EOF
	}
	return 0, newError(code, C.GoString(C.appmon_last_error(m.handle)))
}

// take asks C: for one event, which it lends, or for copies of several, which two calls get and free.
func (m *Monitor) take(events []*Event) C.int {
	if len(events) == 1 {
		code := C.appmon_next(m.handle, &m.event)
		if code > 0 {
			events[0] = copyEvent(m.event, m.users)
		}
		return code
	}
	size := uintptr(len(events)) * unsafe.Sizeof(m.event)
	m.batch.reserve(size)
	first := (**C.struct_appmon_event)(m.batch.alloc(size))
	code := C.appmon_next_batch(m.handle, first, C.uint32_t(len(events)))
	if code > 0 {
		for i, ev := range unsafe.Slice(first, code) {
			events[i] = copyEvent(ev, m.users)
		}
		C.glue_free_events(first, code)
	}
	return code
}

// Next waits for an event. It returns ctx.Err() when the context ends, ErrClosed after Close and io.EOF
// at the end of a recording.
func (m *Monitor) Next(ctx context.Context) (*Event, error) {
	var one [1]*Event
	_, err := m.NextBatch(ctx, one[:])
	return one[0], err
}

// NextBatch waits for an event, stores it and those behind it that are there already, at most len(events) and
// no more than 128, and returns how many they are: 0 only with an error, which is as Next's, or without room.
// It calls C twice for all of them.
func (m *Monitor) NextBatch(ctx context.Context, events []*Event) (int, error) {
	if len(events) > maxBatch {
		events = events[:maxBatch]
	}
	for len(events) > 0 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := m.pull(events)
		if n > 0 || err != nil {
			return n, err
		}
		if m.replay { // the file is always readable
			continue
		}
		if n, err = m.wait(ctx, events); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, nil
}

// wait parks the goroutine until there is an event. 0 and nil: the context ended, or is about to.
func (m *Monitor) wait(ctx context.Context, events []*Event) (n int, err error) {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, nil
	}
	defer func() { <-m.turn }()
	if ctx.Done() != nil {
		defer m.interruptBy(ctx)()
	}
	// The poller reports changes only. What Read calls is called after it began to listen for them, and
	// again after each.
	var failed error
	err = m.conn.Read(func(uintptr) bool {
		n, failed = m.pull(events)
		return n > 0 || failed != nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, nil
	}
	if err != nil {
		return 0, ErrClosed
	}
	return n, failed
}

// interruptBy makes the end of the context the end of the wait. The caller calls what it returns.
func (m *Monitor) interruptBy(ctx context.Context) func() {
	over, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		select {
		case <-ctx.Done():
			m.file.SetReadDeadline(time.Unix(1, 0))
		case <-over:
		}
	}()
	return func() {
		close(over)
		<-finished
		m.file.SetReadDeadline(time.Time{})
	}
}

// Events iterates over the events; its type is iter.Seq2[*Event, error], written out so that older Go
// compiles it. It ends after Close and at the end of a recording, and with an error for anything else,
// ctx.Err() included.
func (m *Monitor) Events(ctx context.Context) func(yield func(*Event, error) bool) {
	return func(yield func(*Event, error) bool) {
		for {
			event, err := m.Next(ctx)
			if err == io.EOF || err == ErrClosed || !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// goActive is called by C. The event is valid until it returns.
//
//export goActive
func goActive(list C.uintptr_t, ev *C.struct_appmon_event) {
	l := cgo.Handle(list).Value().(*activeList)
	l.events = append(l.events, copyEvent(ev, l.users))
}

type activeList struct {
	events []*Event
	users  map[uint32]any
}

// Active returns what is known of the exchanges that are in progress, in no order: what is missing, such as
// the status, is still zero.
func (m *Monitor) Active() ([]*Event, error) {
	list := &activeList{users: m.users}
	ref := cgo.NewHandle(list)
	defer ref.Delete()
	err := m.call(func(h *C.struct_appmon) C.int { return C.glue_each_active(h, C.uintptr_t(ref)) })
	return list.events, err
}

// Filter says which events a monitor delivers: those that pass every member. The zero value of each lets all
// of them pass.
type Filter struct {
	Roles       []Role
	Outcomes    []Outcome
	MinDuration time.Duration // events without a duration pass: they have no end yet, or it was not seen
	PathPrefix  string        // of Event.Path, byte for byte
}

// bitOf is a value's bit in a mask of C's, which has 32. The library refuses the last for what it does not know.
func bitOf(value uint32) C.uint32_t {
	if value > 31 {
		value = 31
	}
	return 1 << value
}

// SetFilter delivers only what passes, from the next event on; Filter{}: everything again. What does not
// pass counts as Stats.Filtered. Active is not filtered.
func (m *Monitor) SetFilter(filter Filter) error {
	var mem memory
	defer mem.free()
	if filter.MinDuration < 0 {
		return &Error{syscall.EINVAL, "MinDuration is negative"}
	}
	c := C.struct_appmon_filter{
		size:            C.sizeof_struct_appmon_filter,
		min_duration_ns: C.uint64_t(filter.MinDuration),
	}
	for _, role := range filter.Roles {
		c.roles |= bitOf(uint32(role))
	}
	for _, outcome := range filter.Outcomes {
		c.outcomes |= bitOf(uint32(outcome))
	}
	if filter.PathPrefix != "" {
		c.path_prefix = mem.string(filter.PathPrefix)
	}
	if mem.err != nil {
		return mem.err
	}
	return m.call(func(h *C.struct_appmon) C.int { return C.appmon_set_filter(h, &c) })
}

// ---- budget ----

// SetSampling watches a share of the connections, in parts per million of them (SamplingAll: all), and fewer while they make
// more than eventsPerSecond events (0: no ceiling).
func (m *Monitor) SetSampling(connectionsPPM uint32, eventsPerSecond uint64) error {
	return m.call(func(h *C.struct_appmon) C.int {
		return C.appmon_set_sampling(h, C.uint32_t(connectionsPPM), C.uint64_t(eventsPerSecond))
	})
}

// Pause turns all capture off without detaching. What is under way counts as DropSampled.
func (m *Monitor) Pause() error {
	return m.call(func(h *C.struct_appmon) C.int { return C.appmon_pause(h) })
}

// Resume turns it on again.
func (m *Monitor) Resume() error {
	return m.call(func(h *C.struct_appmon) C.int { return C.appmon_resume(h) })
}

// ---- recording, asking ----

// Record writes what comes from the kernel to a file from now on, until Record(nil) or Close; the file has
// to stay open until then. The recording holds the captured bytes of all heads. It also ends before it would
// exceed Options.RecordMaxBytes, or with a write that fails: Stats.Flags has StatsFlagRecordEnded then.
func (m *Monitor) Record(file *os.File) error {
	fd := C.int(-1)
	if file != nil {
		fd = C.int(file.Fd())
	}
	err := m.call(func(h *C.struct_appmon) C.int { return C.appmon_record(h, fd) })
	runtime.KeepAlive(file)
	return err
}

// Stats are the monitor's counters.
func (m *Monitor) Stats() (Stats, error) { return m.stats(0) }

func (m *Monitor) stats(target uint32) (Stats, error) {
	c := C.struct_appmon_stats{size: C.sizeof_struct_appmon_stats}
	err := m.call(func(h *C.struct_appmon) C.int {
		return C.appmon_get_stats(h, C.uint32_t(target), &c)
	})
	return copyStats(&c), err
}

// Capabilities say what the running kernel supports.
func (m *Monitor) Capabilities() (Capabilities, error) {
	c := C.struct_appmon_capabilities{size: C.sizeof_struct_appmon_capabilities}
	err := m.call(func(h *C.struct_appmon) C.int { return C.appmon_get_capabilities(h, &c) })
	return Capabilities(c.supported), err
}

// Process is one that lived when it was asked for.
type Process struct {
	PID       uint32
	StartNS   uint64
	ExeInode  uint64 // of the executable: st_ino and st_dev
	ExeDevice uint64
	Exe       string // its path in the process's own mount namespace
}

// FindProcess returns the executable of an event's process, by its PID and ProcessStartNS. The first time
// while the process lives; the answer is kept.
func (m *Monitor) FindProcess(pid uint32, startNS uint64) (p Process, err error) {
	c := C.struct_appmon_process{size: C.sizeof_struct_appmon_process}
	err = m.call(func(h *C.struct_appmon) C.int {
		code := C.appmon_find_process(h, C.uint32_t(pid), C.uint64_t(startNS), &c)
		if code >= 0 {
			p = Process{uint32(c.pid), uint64(c.start_ns), uint64(c.exe_inode), uint64(c.exe_device), text(&c.exe)}
		}
		return code
	})
	return p, err
}

// FindCgroup returns the path of a cgroup below the mount of cgroup v2, by an event's CgroupID. The answer
// is kept.
func (m *Monitor) FindCgroup(id uint64) (path string, err error) {
	var c C.struct_appmon_str
	err = m.call(func(h *C.struct_appmon) C.int {
		code := C.appmon_find_cgroup(h, C.uint64_t(id), &c)
		if code >= 0 {
			path = text(&c)
		}
		return code
	})
	return path, err
}

// Time is the wall time of a time of one of this monitor's events; the zero Time for 0.
func (m *Monitor) Time(at Monotonic) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at == 0 {
		return time.Time{}
	}
	// Without a handle by the clocks' present distance.
	return time.Unix(0, int64(C.appmon_realtime_ns(m.handle, C.uint64_t(at))))
}
