// SPDX-License-Identifier: BSD-2-Clause

package appmon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"sort"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var plan = []struct{ method, target, body string }{
	{"GET", "/hello", ""}, {"POST", "/echo?a=b", strings.Repeat("x", 3000)}, {"GET", "/status/404", ""},
	{"HEAD", "/bytes/100", ""}, {"GET", "/bytes/100000", ""}, {"GET", "/status/204", ""},
}

func watch(t *testing.T, s *server, options Options, attach AttachOptions) (*Monitor, *Target) {
	t.Helper()
	m, err := Open(options)
	must(t, err)
	t.Cleanup(func() { m.Close() })
	target, err := m.Attach(s.Cgroup, attach)
	must(t, err)
	return m, target
}

// take returns the next count events.
func take(t *testing.T, m *Monitor, count int) []*Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var events []*Event
	for len(events) < count {
		event, err := m.Next(ctx)
		if err != nil {
			t.Fatalf("%d of %d events: %v", len(events), count, err)
		}
		events = append(events, event)
	}
	return events
}

func TestEventsAreTheServersLog(t *testing.T) {
	s := serve(t)
	type mark struct{ int }
	m, target := watch(t, s, Options{Headers: []string{"X-Tenant"}}, AttachOptions{Name: "shop", User: mark{1}})
	before := time.Now()
	c := s.client()
	for _, p := range plan {
		must(t, c.ask(p.method, p.target, p.body))
	}
	events := take(t, m, len(plan))
	for i, line := range s.lines(t, len(plan)) {
		e, p := events[i], plan[i]
		path, query, _ := strings.Cut(p.target, "?")
		server := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(s.Port))
		declared := int64(len(p.body))
		if p.body == "" {
			declared = -1
		}
		for what, pair := range map[string][2]any{
			"protocol":   {e.Protocol, ProtocolHTTP1},
			"role":       {e.Role, RoleServer},
			"end":        {e.End, EndComplete},
			"method":     {e.Method.String(), line.Method},
			"name":       {e.Operation, line.Method},
			"target":     {e.RequestTarget, line.Target},
			"path":       {e.Path, path},
			"query":      {e.Query, query},
			"status":     {int(e.Status), line.Status},
			"sent":       {e.ResponseBodyBytes, line.Sent},
			"read":       {e.RequestBodyBytes, line.Read},
			"length":     {e.RequestContentLength, declared},
			"authority":  {e.Authority, server.String()},
			"local":      {e.Local, server},
			"port":       {int(e.Remote.Port()), line.Port},
			"header":     {e.Header("x-tenant"), "t" + p.target},
			"no header":  {e.ResponseHeader("x-tenant"), ""},
			"keep-alive": {e.Flags.Has(EventFlagKeepAlive), true},
			"target id":  {e.TargetID, target.ID},
			"user":       {e.TargetUser, mark{1}},
			"app":        {e.TargetName, "shop"},
			"cgroup":     {e.CgroupID, s.ID},
			"ordinal":    {int(e.Ordinal), i + 1},
			"truncated":  {len(e.Truncated), 0},
			"duration":   {e.Duration, time.Duration(e.ResponseEnd - e.RequestStart)},
		} {
			if pair[0] != pair[1] {
				t.Errorf("%s %s: %s is %v, not %v", p.method, p.target, what, pair[0], pair[1])
			}
		}
		if at := m.Time(e.RequestStart); at.Before(before) || at.After(time.Now()) || e.Duration <= 0 {
			t.Errorf("%s: %v, took %v", p.target, at, e.Duration)
		}
	}
	for _, ask := range []func() (Stats, error){m.Stats, target.Stats} {
		stats, err := ask()
		must(t, err)
		n := uint64(len(plan))
		if stats.ExchangesSeen != n || stats.Delivered != n || stats.Dropped != [16]uint64{} || stats.Outstanding != 0 {
			t.Errorf("%+v", stats)
		}
	}
	if caps, err := m.Capabilities(); err != nil || !caps.Has(CapabilityCapture) {
		t.Error(caps, err)
	}
}

// Against /proc.
func TestWhoServed(t *testing.T) {
	s := serve(t)
	m, _ := watch(t, s, Options{Flags: OpenFlagIdentity}, AttachOptions{})
	if caps, err := m.Capabilities(); err != nil || !caps.Has(CapabilityIdentity) {
		t.Skip("this kernel does not tell who served")
	}
	must(t, s.client().ask("GET", "/hello", ""))
	e := take(t, m, 1)[0]
	process, err := m.FindProcess(e.PID, e.ProcessStartNS)
	must(t, err)
	path, err := m.FindCgroup(e.CgroupID)
	must(t, err)
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.PID))
	must(t, err)
	if int(e.PID) != s.PID || e.Owner != OwnerRead || process.Exe != exe || !strings.HasSuffix(s.Cgroup, path) {
		t.Error(e.PID, s.PID, e.Owner, process, path)
	}
	if _, err := m.FindProcess(e.PID, e.ProcessStartNS+1e9); !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
	if _, err := m.FindCgroup(1 << 60); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestBytesAreKeptAsTheyAre(t *testing.T) {
	s := serve(t)
	m, _ := watch(t, s, Options{}, AttachOptions{})
	s.raw(t, "GET /\xff\xc3\xa4 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
	if e := take(t, m, 1)[0]; e.Path != "/\xff\xc3\xa4" || e.TargetName != filepath.Base(s.Cgroup) {
		t.Errorf("%q %q", e.Path, e.TargetName)
	}
}

func TestProtocolsOfATarget(t *testing.T) {
	s := serve(t)
	http1, resp := uint32(1)<<ProtocolHTTP1, uint32(1)<<ProtocolResp
	ports := []PortHint{{6379, ProtocolResp}, {6380, ProtocolResp}}
	m, target := watch(t, s, Options{Protocols: http1 | resp}, AttachOptions{Protocols: resp, Ports: ports})
	s.client().ask("GET", "/hello", "")
	for deadline := time.Now().Add(10 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		e, err := m.Next(ctx)
		cancel()
		if e != nil || err != context.DeadlineExceeded {
			t.Fatal(e, err)
		}
		stats, err := target.Stats()
		if err != nil || time.Now().After(deadline) {
			t.Fatal(stats, err)
		}
		if stats.Filtered == 1 {
			break
		}
	}
	if err := target.Detach(); err != nil {
		t.Error(err)
	}
	ports[1] = PortHint{80, ProtocolHTTP1}
	if _, err := m.Attach(s.Cgroup, AttachOptions{Protocols: resp, Ports: ports}); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
}

func TestTheContextEndsTheWait(t *testing.T) {
	s := serve(t)
	m, _ := watch(t, s, Options{}, AttachOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	if e, err := m.Next(ctx); e != nil || err != context.Canceled {
		t.Error(e, err)
	}
	short, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if e, err := m.Next(short); e != nil || err != context.DeadlineExceeded {
		t.Error(e, err)
	}
	// The next wait is not ended by what ended those.
	time.AfterFunc(50*time.Millisecond, func() { s.client().ask("GET", "/hello", "") })
	if e := take(t, m, 1)[0]; e.Path != "/hello" {
		t.Error(e.Path)
	}
}

func TestCloseEndsTheWaitOfAll(t *testing.T) {
	s := serve(t)
	m, target := watch(t, s, Options{}, AttachOptions{})
	results := make(chan error)
	for i := 0; i < 3; i++ {
		go func() {
			_, err := m.Next(context.Background())
			results <- err
		}()
	}
	time.Sleep(50 * time.Millisecond)
	must(t, m.Close())
	for i := 0; i < 3; i++ {
		if err := <-results; err != ErrClosed {
			t.Error(err)
		}
	}
	_, statsErr := m.Stats()
	for _, err := range []error{statsErr, target.Detach(), m.Record(nil)} {
		if err != ErrClosed {
			t.Error(err)
		}
	}
	must(t, m.Close())
}

func TestIteration(t *testing.T) {
	s := serve(t)
	m, _ := watch(t, s, Options{}, AttachOptions{})
	c := s.client()
	for _, p := range plan {
		must(t, c.ask(p.method, p.target, p.body))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	var got []string
	var last error
	m.Events(ctx)(func(e *Event, err error) bool {
		if err != nil {
			last = err
			return true
		}
		got = append(got, e.RequestTarget)
		return true
	})
	if len(got) != len(plan) || got[1] != plan[1].target || last != context.DeadlineExceeded {
		t.Error(got, last)
	}
	must(t, c.ask("GET", "/hello", ""))
	calls := 0
	m.Events(context.Background())(func(e *Event, err error) bool {
		calls++
		return false
	})
	m.Close()
	m.Events(context.Background())(func(e *Event, err error) bool {
		calls++
		return true
	})
	if calls != 1 {
		t.Error(calls)
	}
}

func TestARecordingGivesTheSameEvents(t *testing.T) {
	s := serve(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "recording"))
	must(t, err)
	defer file.Close()
	m, err := Open(Options{})
	must(t, err)
	must(t, m.Record(file))
	_, err = m.Attach(s.Cgroup, AttachOptions{Name: "shop"})
	must(t, err)
	c := s.client()
	for _, p := range plan {
		must(t, c.ask(p.method, p.target, p.body))
	}
	live := take(t, m, len(plan))
	must(t, m.Close())
	_, err = file.Seek(0, io.SeekStart)
	must(t, err)
	m, err = Replay(file, Options{})
	must(t, err)
	defer m.Close()
	if again := take(t, m, len(plan)); !reflect.DeepEqual(live, again) {
		t.Errorf("%+v\n%+v", live, again)
	}
	if _, err := m.Next(context.Background()); err != io.EOF {
		t.Error(err)
	}
}

// Each of them is looked at by another goroutine after the monitor and its memory are gone.
func TestEventsAreKeptInBatches(t *testing.T) {
	const clients, each, most = 4, 100, 16
	s := serve(t)
	type mark struct{ int }
	m, _ := watch(t, s, Options{Headers: []string{"X-Tenant"}}, AttachOptions{Name: "shop", User: mark{1}})
	if n, err := m.NextBatch(context.Background(), nil); n != 0 || err != nil {
		t.Error(n, err)
	}
	var wg sync.WaitGroup
	for i := 0; i < clients; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			c := s.client()
			for n := 0; n < each; n++ {
				if err := c.ask("GET", fmt.Sprintf("/hello?%d-%d", i, n), ""); err != nil {
					t.Error(err)
					return
				}
			}
		}(i)
	}
	wg.Wait()
	kept, seen := make(chan *Event, clients*each), make(chan []string)
	closed := make(chan struct{})
	go func() {
		<-closed
		var texts []string
		for e := range kept {
			texts = append(texts, fmt.Sprint(e.RequestTarget, e.Header("x-tenant"), e.Remote.Port(), e.Status, e.TargetUser))
		}
		seen <- texts
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	events := make([]*Event, most)
	batches := 0
	for count := 0; count < clients*each; batches++ {
		n, err := m.NextBatch(ctx, events)
		if n < 1 || n > most || err != nil {
			t.Fatalf("%d after %d events: %v", n, count, err)
		}
		for _, e := range events[:n] {
			kept <- e
		}
		count += n
	}
	if batches >= clients*each { // they were all there
		t.Errorf("%d batches", batches)
	}
	short, end := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer end()
	if n, err := m.NextBatch(short, events); n != 0 || err != context.DeadlineExceeded {
		t.Error(n, err)
	}
	stats, err := m.Stats()
	must(t, err)
	must(t, m.Close())
	if n, err := m.NextBatch(context.Background(), events); n != 0 || err != ErrClosed {
		t.Error(n, err)
	}
	runtime.GC()
	close(kept)
	close(closed)
	var logged []string
	for _, l := range s.lines(t, clients*each) {
		logged = append(logged, fmt.Sprint(l.Target, "t"+l.Target, l.Port, l.Status, mark{1}))
	}
	told := <-seen
	sort.Strings(told)
	sort.Strings(logged)
	if !reflect.DeepEqual(told, logged) || stats.Delivered != clients*each {
		t.Errorf("%d events, %d lines in the log; %+v", len(told), len(logged), stats)
	}
}

func TestABatchIsWhatNextGives(t *testing.T) {
	s := serve(t)
	file, lines := recorded(t, s)
	var single []*Event
	replay(t, file, func(e *Event) { single = append(single, e) })
	_, err := file.Seek(0, io.SeekStart)
	must(t, err)
	m, err := Replay(file, Options{})
	must(t, err)
	defer m.Close()
	batch := make([]*Event, 2*maxBatch)
	n, err := m.NextBatch(context.Background(), batch)
	if n != len(lines) || err != nil || !reflect.DeepEqual(batch[:n], single) {
		t.Errorf("%d of %d: %v", n, len(lines), err)
	}
	if n, err := m.NextBatch(context.Background(), batch); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
}

func TestFilter(t *testing.T) {
	s := serve(t)
	m, _ := watch(t, s, Options{}, AttachOptions{})
	c := s.client()
	targets := []string{"/hello", "/status/404", "/status/503", "/slow/300"}
	passed := uint64(0)
	for name, f := range map[string]struct {
		filter Filter
		passes func(l line) bool
	}{
		"outcome":   {Filter{Outcomes: []Outcome{OutcomeServerError, OutcomeClientError}}, func(l line) bool { return l.Status >= 400 }},
		"path":      {Filter{PathPrefix: "/status/5"}, func(l line) bool { return strings.HasPrefix(l.Target, "/status/5") }},
		"both":      {Filter{PathPrefix: "/s", Outcomes: []Outcome{OutcomeOk}}, func(l line) bool { return l.Target == "/slow/300" }},
		"duration":  {Filter{MinDuration: 250 * time.Millisecond, PathPrefix: "/slow"}, func(l line) bool { return l.Target == "/slow/300" }},
		"too short": {Filter{MinDuration: time.Hour}, func(line) bool { return false }},
		"server":    {Filter{Roles: []Role{RoleServer}}, func(line) bool { return true }},
		"client":    {Filter{Roles: []Role{RoleClient}}, func(line) bool { return false }},
		"all":       {Filter{}, func(line) bool { return true }},
	} {
		must(t, m.SetFilter(f.filter))
		before := len(s.lines(t, 0))
		for _, target := range targets {
			must(t, c.ask("GET", target, ""))
		}
		var want, got []string
		for _, l := range s.lines(t, before+len(targets))[before:] {
			if f.passes(l) {
				want = append(want, l.Target)
			}
		}
		for _, e := range take(t, m, len(want)) {
			got = append(got, e.RequestTarget)
		}
		passed += uint64(len(want))
		counted(t, m, uint64(before+len(targets)))
		stats, err := m.Stats()
		must(t, err)
		if !reflect.DeepEqual(got, want) || stats.Delivered != passed || stats.Filtered != uint64(before+len(targets))-passed {
			t.Errorf("%s: %v, not %v; %+v", name, got, want, stats)
		}
	}
	must(t, m.SetFilter(Filter{PathPrefix: "/hello"}))
	for _, filter := range []Filter{{Roles: []Role{31}}, {Roles: []Role{40}}, {Outcomes: []Outcome{1 << 31}},
		{MinDuration: -1}, {PathPrefix: "/\x00"}} {
		if err := m.SetFilter(filter); !errors.Is(err, syscall.EINVAL) {
			t.Error(filter, err)
		}
	}
	must(t, c.ask("GET", "/status/404", "")) // the filter before stays
	must(t, c.ask("GET", "/hello", ""))
	if e := take(t, m, 1)[0]; e.Path != "/hello" {
		t.Error(e.Path)
	}
}

// counted returns once all of so many exchanges are either delivered or left out.
func counted(t *testing.T, m *Monitor, exchanges uint64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if e, err := m.Next(ctx); err != context.DeadlineExceeded {
			t.Fatal(e, err)
		}
		cancel()
		stats, err := m.Stats()
		must(t, err)
		if stats.Delivered+stats.Filtered == exchanges {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", stats)
		}
	}
}

func TestTargets(t *testing.T) {
	s := serve(t)
	other := filepath.Join(s.Cgroup, "other")
	must(t, os.Mkdir(other, 0o755))
	defer os.Remove(other)
	m, err := Open(Options{CaptureBytes: 4096})
	must(t, err)
	defer m.Close()
	if list, err := m.Targets(); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
	first, err := m.Attach(s.Cgroup, AttachOptions{Name: "shop", User: "mine", CaptureBytes: 8192})
	must(t, err)
	second, err := m.Attach(other, AttachOptions{})
	must(t, err)
	must(t, s.client().ask("GET", "/hello", ""))
	take(t, m, 1)
	list, err := m.Targets()
	must(t, err)
	below, err := os.Stat(other)
	must(t, err)
	want := []TargetInfo{
		{*first, "shop", s.Cgroup, s.ID, 8192, 1 << ProtocolHTTP1, false, "mine"},
		{*second, "other", other, below.Sys().(*syscall.Stat_t).Ino, 4096, 1 << ProtocolHTTP1, false, nil},
	}
	if !reflect.DeepEqual(list, want) {
		t.Fatalf("%+v is not %+v", list, want)
	}
	for i, delivered := range []uint64{1, 0} {
		if stats, err := list[i].Stats(); err != nil || stats.Delivered != delivered {
			t.Error(list[i].Name, stats, err)
		}
	}
	must(t, os.Remove(other))
	for deadline := time.Now().Add(10 * time.Second); !list[1].Removed; {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		m.Next(ctx)
		cancel()
		list, err = m.Targets()
		must(t, err)
		if time.Now().After(deadline) {
			t.Fatalf("%+v", list)
		}
	}
	must(t, list[0].Detach())
	if list, err = m.Targets(); len(list) != 1 || list[0].ID != second.ID || err != nil {
		t.Errorf("%+v %v", list, err)
	}
	must(t, m.Close())
	if _, err := m.Targets(); err != ErrClosed {
		t.Error(err)
	}
	if err := m.SetFilter(Filter{}); err != ErrClosed {
		t.Error(err)
	}
}

func TestARecordingEndsAtItsMostBytes(t *testing.T) {
	const most, count = 4096, 100
	s := serve(t)
	file, err := os.Create(filepath.Join(t.TempDir(), "recording"))
	must(t, err)
	defer file.Close()
	var warnings []string
	m, err := Open(Options{RecordMaxBytes: most, LogLevel: LogLevelWarn, Log: func(level LogLevel, line string) {
		if level == LogLevelWarn {
			warnings = append(warnings, line)
		}
	}})
	must(t, err)
	defer m.Close()
	must(t, m.Record(file))
	_, err = m.Attach(s.Cgroup, AttachOptions{Name: "shop"})
	must(t, err)
	if stats, err := m.Stats(); err != nil || stats.Flags != 0 {
		t.Error(stats.Flags, err)
	}
	c := s.client()
	for i := 0; i < count; i++ {
		must(t, c.ask("GET", fmt.Sprintf("/hello?%d", i), ""))
	}
	live := take(t, m, count)
	stats, err := m.Stats()
	must(t, err)
	info, err := file.Stat()
	must(t, err)
	if info.Size() > most || info.Size() < most/2 || stats.Flags != StatsFlagRecordEnded || len(warnings) != 1 {
		t.Errorf("%d bytes, %v, %q", info.Size(), stats.Flags, warnings)
	}
	var again []string
	replay(t, file, func(e *Event) { again = append(again, e.RequestTarget) })
	if len(again) == 0 || len(again) >= count {
		t.Fatal(again)
	}
	for i, target := range again {
		if target != live[i].RequestTarget {
			t.Error(i, target, live[i].RequestTarget)
		}
	}
	must(t, m.Record(nil))
	if stats, err := m.Stats(); err != nil || stats.Flags != 0 {
		t.Error(stats.Flags, err)
	}
}

func TestErrors(t *testing.T) {
	for words, options := range map[string]Options{
		"ring_bytes is 5, it must be 4096 to": {RingBytes: 5},
		"is not a header name":                {Headers: []string{"no header"}},
		"log_level is 9":                      {LogLevel: 9},
		"a NUL byte is inside":                {Headers: []string{"x\x00y"}},
	} {
		_, err := Open(options)
		var e *Error
		if !errors.As(err, &e) || !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), words) {
			t.Errorf("%q is not %q", err, words)
		}
	}
	s := serve(t)
	m, target := watch(t, s, Options{}, AttachOptions{})
	if _, err := m.Attach("/nonexistent", AttachOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := m.Attach(s.Cgroup+"\x00", AttachOptions{}); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	dir, err := os.Open(s.Cgroup)
	must(t, err)
	defer dir.Close()
	if _, err := m.AttachDir(dir, AttachOptions{}); !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	must(t, target.Detach())
	if err := target.Detach(); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	_, err = m.AttachDir(dir, AttachOptions{})
	must(t, err)
	must(t, s.client().ask("GET", "/hello", ""))
	take(t, m, 1)
}

// panics tells what f panicked with, or that it ended its goroutine.
func panics(f func()) (value any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if value = recover(); value == nil && !returned {
				value = "Goexit"
			}
		}()
		f()
		returned = true
	}()
	<-done
	return value
}

func TestAPanicOfTheLogFunctionComesOutOfTheCall(t *testing.T) {
	s := serve(t)
	lines, exit := 0, false
	m, _ := watch(t, s, Options{Log: func(level LogLevel, line string) {
		lines++
		if level != LogLevelError {
			t.Error(level, line)
		}
		if exit {
			runtime.Goexit()
		}
		panic(line)
	}}, AttachOptions{})
	attach := func() { m.Attach("/dev/null", AttachOptions{}) }
	for i := 0; i < 100; i++ {
		if value := fmt.Sprint(panics(attach)); !strings.Contains(value, "/dev/null") {
			t.Fatal(value)
		}
	}
	exit = true
	if value := panics(attach); value != "Goexit" {
		t.Error(value)
	}
	if lines != 101 {
		t.Error(lines)
	}
	// Nothing is broken.
	must(t, s.client().ask("GET", "/hello", ""))
	take(t, m, 1)
	open := func() { Open(Options{RingBytes: 5, Log: func(_ LogLevel, line string) { panic(line) }}) }
	if value := fmt.Sprint(panics(open)); !strings.Contains(value, "ring_bytes is 5") {
		t.Error(value)
	}
}

// Collections all the time, several readers with short patience, others that ask and attach: each event
// comes once, and is what the server logged.
func TestUnderPressure(t *testing.T) {
	const clients, each = 4, 500
	s := serve(t)
	m, target := watch(t, s, Options{}, AttachOptions{User: t})
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	var wg, asking sync.WaitGroup
	for i := 0; i < clients; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			c := s.client()
			for n := 0; n < each; n++ {
				if err := c.ask("GET", fmt.Sprintf("/hello?%d-%d", i, n), ""); err != nil {
					t.Error(err)
					return
				}
			}
		}(i)
	}
	over := make(chan struct{})
	asking.Add(1)
	go func() {
		defer asking.Done()
		for {
			select {
			case <-over:
				return
			case <-time.After(time.Millisecond):
			}
			if _, err := target.Stats(); err != nil {
				t.Error(err)
			}
			m.Attach("/nonexistent", AttachOptions{User: over})
			runtime.GC()
		}
	}()
	var mu sync.Mutex
	var events []*Event
	var readers sync.WaitGroup
	deadline := time.Now().Add(60 * time.Second)
	for i := 0; i < 3; i++ {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for {
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Millisecond)
				e, err := m.Next(ctx)
				cancel()
				mu.Lock()
				if e != nil {
					events = append(events, e)
				}
				done := len(events) >= clients*each || time.Now().After(deadline)
				mu.Unlock()
				if done {
					return
				}
				if err != nil && err != context.DeadlineExceeded {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	readers.Wait()
	close(over)
	asking.Wait()
	stats, err := m.Stats()
	must(t, err)
	must(t, m.Close())
	runtime.GC()
	var seen, logged []string
	for _, e := range events {
		seen = append(seen, fmt.Sprint(e.RequestTarget, e.Remote.Port(), e.Status, e.Operation, e.TargetUser == any(t)))
	}
	for _, l := range s.lines(t, clients*each) {
		logged = append(logged, fmt.Sprint(l.Target, l.Port, l.Status, l.Method, true))
	}
	sort.Strings(seen)
	sort.Strings(logged)
	if !reflect.DeepEqual(seen, logged) {
		t.Errorf("%d events, %d lines in the log; %+v", len(seen), len(logged), stats)
	}
	if stats.Delivered != clients*each || stats.ExchangesSeen != clients*each {
		t.Errorf("%+v", stats)
	}
}

func TestNoGoroutineIsLeft(t *testing.T) {
	s := serve(t)
	before := runtime.NumGoroutine()
	for i := 0; i < 3; i++ {
		m, _ := watch(t, s, Options{Log: func(LogLevel, string) {}}, AttachOptions{})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		m.Next(ctx)
		m.Events(ctx)(func(*Event, error) bool { return false })
		must(t, m.Close())
		cancel()
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestAMonitorThatIsForgottenIsClosed(t *testing.T) {
	s := serve(t)
	descriptors := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(entries)
	}
	before := descriptors()
	for i := 0; i < 3; i++ {
		m, err := Open(Options{Log: func(LogLevel, string) {}})
		must(t, err)
		_, err = m.Attach(s.Cgroup, AttachOptions{})
		must(t, err)
	}
	for deadline := time.Now().Add(10 * time.Second); descriptors() > before; {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors, %d before", descriptors(), before)
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}
