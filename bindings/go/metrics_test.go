// SPDX-License-Identifier: BSD-2-Clause

package appmon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// What is asked, and the route that it has.
var routes = []struct{ target, route string }{
	{"/hello", "/hello"}, {"/bytes/100", "/bytes/{id}"}, {"/bytes/2000?a=b", "/bytes/{id}"},
	{"/status/404", "/status/{id}"}, {"/status/500", "/status/{id}"},
}

// recorded asks for the first route once, for the second twice and so on, and returns a recording of it.
func recorded(t *testing.T, s *server) (*os.File, []line) {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "recording"))
	must(t, err)
	t.Cleanup(func() { file.Close() })
	m, err := Open(Options{})
	must(t, err)
	defer m.Close()
	must(t, m.Record(file))
	_, err = m.Attach(s.Cgroup, AttachOptions{Name: "shop"})
	must(t, err)
	c := s.client()
	count := 0
	for i, r := range routes {
		for n := 0; n <= i; n++ {
			must(t, c.ask("GET", r.target, ""))
			count++
		}
	}
	take(t, m, count)
	return file, s.lines(t, count)
}

// replay calls f with each event.
func replay(t *testing.T, file *os.File, f func(*Event)) {
	t.Helper()
	_, err := file.Seek(0, io.SeekStart)
	must(t, err)
	m, err := Replay(file, Options{})
	must(t, err)
	defer m.Close()
	m.Events(context.Background())(func(event *Event, err error) bool {
		must(t, err)
		f(event)
		return true
	})
}

func metrics(t *testing.T, options MetricsOptions) *Metrics {
	t.Helper()
	m, err := OpenMetrics(options)
	must(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

func snapshot(t *testing.T, m *Metrics, at Monotonic) *Snapshot {
	t.Helper()
	s, err := m.Snapshot(SnapshotOptions{Flags: TakeFlagWaiting, Now: at})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

type label struct {
	route  string
	status int
}

// Requests and errors against the server's log; the times, of which it knows none, against the events.
func TestFiguresAreTheServersLog(t *testing.T) {
	s := serve(t)
	file, lines := recorded(t, s)
	m := metrics(t, MetricsOptions{})
	var early *Snapshot
	var last Monotonic
	var bytes uint64
	times := map[label][]int{}
	seen := 0
	replay(t, file, func(e *Event) {
		must(t, m.Add(e))
		last = e.ResponseEnd
		bytes += e.ResponseHeadBytes + e.ResponseBodyBytes
		key := label{Route(e.Path), int(e.Status)}
		times[key] = append(times[key], int(e.Duration))
		if seen++; seen == 4 {
			early = snapshot(t, m, last)
		}
	})
	now := snapshot(t, m, last)
	want := map[label]int{}
	for _, l := range lines {
		for _, r := range routes {
			if r.target == l.Target {
				want[label{r.route, l.Status}]++
			}
		}
	}
	got := map[label]int{}
	series, err := now.Series()
	must(t, err)
	var sum, sumBytes, late uint64
	for i, e := range series {
		f, err := now.Figures(SnapshotKindSeries, i, nil)
		must(t, err)
		key := label{e.Route, int(e.Status)}
		got[key] = int(f.Requests)
		sum += f.Requests
		sumBytes += f.ResponseBytes
		errs := uint64(0)
		if key.status == 500 {
			errs = f.Requests
		}
		if e.App != "shop" || e.Role != RoleServer || e.Protocol != ProtocolHTTP1 || e.Method != MethodGet ||
			e.MethodName != "GET" || e.CgroupID != s.ID || e.Outcome != outcomeOf(key.status) || f.Errors != errs {
			t.Errorf("%+v %+v", e, f)
		}
		sort.Ints(times[key])
		total := 0
		for _, d := range times[key] {
			total += d
		}
		h, err := NewHistogram()
		must(t, err)
		must(t, now.Durations(SnapshotKindSeries, i, nil, h))
		n := len(times[key])
		max := times[key][n-1]
		if h.Count() != uint64(n) || f.DurationCount != h.Count() || f.DurationSum != time.Duration(total) ||
			int(f.DurationMax) != max {
			t.Errorf("%v: %+v, %d times, in all %d, at most %d", key, f, n, total, max)
		}
		if median := times[key][(n+1)/2-1]; !near(int(h.Quantile(0.5)), median) || !near(int(h.Quantile(1)), max) {
			t.Errorf("%v: %d %d are not %d %d", key, h.Quantile(0.5), h.Quantile(1), median, max)
		}
		must(t, now.Histogram(SnapshotKindSeries, i, nil, TimeKindDuration, h))
		if h.Count() != 2*uint64(n) {
			t.Errorf("%v: %d times are not twice %d", key, h.Count(), n)
		}
		since, err := now.Figures(SnapshotKindSeries, i, early)
		must(t, err)
		late += since.Requests
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("the server: %v, the series: %v", want, got)
	}
	if int(sum) != len(lines) || sumBytes != bytes || int(late) != len(lines)-4 {
		t.Errorf("%d requests, %d since the fourth, %d bytes of %d", sum, late, sumBytes, bytes)
	}
	edges, err := now.Edges()
	must(t, err)
	if len(edges) != 1 || edges[0].ServerApp != "shop" || edges[0].ClientApp != "" {
		t.Errorf("%+v", edges)
	}
	if f, err := now.Figures(SnapshotKindEdges, 0, nil); err != nil || f.Requests != sum {
		t.Error(f, err)
	}
	if stats, err := m.Stats(); err != nil || stats.Events != sum || stats.WithoutRequest != 0 {
		t.Errorf("%+v %v", stats, err)
	}
	if _, err := now.Exemplar(SnapshotKindSeries, 0); !errors.Is(err, syscall.ENODATA) {
		t.Error(err)
	}
	for _, err := range []error{second(now.Figures(SnapshotKindSeries, 99, nil)),
		second(now.Figures(SnapshotKindSeries, -1, nil))} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	if _, err := early.Figures(SnapshotKindSeries, 0, now); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	if now.Time() != last {
		t.Error(now.Time(), last)
	}
}

func second[T any](_ T, err error) error { return err }

func near(value, exact int) bool {
	return value-exact <= exact/64+1 && exact-value <= exact/64+1
}

func TestTheProgramsOwnFunctionsDecide(t *testing.T) {
	s := serve(t)
	file, lines := recorded(t, s)
	m := metrics(t, MetricsOptions{
		Route: func(e *Event) (string, bool) {
			if e.Path == "/hello" {
				return "", false
			}
			return "own " + e.Path[:3], true
		},
		IsError: func(e *Event) (bool, bool) {
			return e.Status == 404, e.Status != 500
		},
		Instance: func(e *Event) uint64 { return 7 },
	})
	var last Monotonic
	replay(t, file, func(e *Event) {
		must(t, m.Add(e))
		last = e.ResponseEnd
	})
	now := snapshot(t, m, last)
	series, err := now.Series()
	must(t, err)
	got := map[string]string{}
	for i, e := range series {
		f, err := now.Figures(SnapshotKindSeries, i, nil)
		must(t, err)
		got[fmt.Sprint(e.Route, " ", e.Status)] = fmt.Sprint(f.Requests, " ", f.Errors)
		if e.CgroupID != 7 {
			t.Errorf("%+v", e)
		}
	}
	want := map[string]string{"/hello 200": "1 0", "own /by 200": "5 0", "own /st 404": "4 4", "own /st 500": "5 5"}
	if !reflect.DeepEqual(got, want) || len(lines) != 15 {
		t.Error(got, len(lines))
	}
}

func TestAPanicOfTheProgramsFunctionComesOutOfAdd(t *testing.T) {
	angry := true
	m := metrics(t, MetricsOptions{Route: func(e *Event) (string, bool) {
		if angry {
			panic(e.Path)
		}
		return "calm", true
	}})
	event := &Event{Path: "/x", Method: MethodGet, Role: RoleServer, RequestStart: 1, TargetName: "shop"}
	if value := panics(func() { m.Add(event) }); value != "/x" {
		t.Error(value)
	}
	angry = false
	must(t, m.Add(event))
	if series, err := snapshot(t, m, 2).Series(); err != nil || len(series) != 1 || series[0].Route != "calm" {
		t.Error(series, err)
	}
}

// An event is lent to C as it came from there: each member that the figures do not show is looked at here.
func TestALentEventIsTheSame(t *testing.T) {
	s := serve(t)
	file, _ := recorded(t, s)
	replay(t, file, func(e *Event) {
		e.Truncated = []string{"Path"}
		e.Headers = append(e.Headers, Header{"x", "y\x00z", true, true})
		if again := lentAndCopied(e); !reflect.DeepEqual(e, again) {
			t.Errorf("%+v\n%+v", e, again)
		}
	})
}

// And the figures of one event after the other are still each one's own.
func TestAddUsesItsMemoryAgain(t *testing.T) {
	m := metrics(t, MetricsOptions{Flags: MetricsFlagRawRoutes})
	long := &Event{Path: "/" + strings.Repeat("long", 50), Method: MethodGet, Status: 200, Role: RoleServer, RequestStart: 1,
		TargetName: "shop", Headers: []Header{{"x", strings.Repeat("y", 20000), false, false}}}
	short := &Event{Path: "/", Method: MethodGet, Status: 404, Role: RoleServer, RequestStart: 1}
	must(t, m.Add(long)) // makes the room
	added := uint64(0)
	for _, e := range []*Event{long, short, &Event{Role: RoleServer, RequestStart: 1, Method: MethodPut}} {
		allocations := testing.AllocsPerRun(100, func() {
			if err := m.Add(e); err != nil {
				t.Error(err)
			}
			added++
		})
		t.Logf("%v allocations for a path of %d bytes", allocations, len(e.Path))
		if allocations > 1 { // Go 1.19 makes one to call C with a pointer to what only C knows
			t.Errorf("%v allocations", allocations)
		}
	}
	now := snapshot(t, m, 2)
	series, err := now.Series()
	must(t, err)
	got := map[string]uint64{}
	for i, e := range series {
		f, err := now.Figures(SnapshotKindSeries, i, nil)
		must(t, err)
		got[e.App+e.MethodName+e.Route] += f.Requests
	}
	each := added / 3
	want := map[string]uint64{"shopGET" + long.Path: each + 1, "GET/": each, "PUT": each}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v is not %v", got, want)
	}
}

func TestSeveralGoroutinesAdd(t *testing.T) {
	const each = 200
	m := metrics(t, MetricsOptions{Route: func(e *Event) (string, bool) { return "own " + e.Path, true }})
	var wg sync.WaitGroup
	paths := []string{"/a", "/" + strings.Repeat("b", 100), "/" + strings.Repeat("c", 5000)}
	for _, path := range paths {
		wg.Add(1)
		go func(e *Event) {
			defer wg.Done()
			for i := 0; i < each; i++ {
				if err := m.Add(e); err != nil {
					t.Error(err)
				}
			}
		}(&Event{Path: path, Method: MethodGet, Role: RoleServer, RequestStart: 1})
	}
	wg.Wait()
	now := snapshot(t, m, 2)
	series, err := now.Series()
	must(t, err)
	got := map[string]uint64{}
	for i, e := range series {
		f, err := now.Figures(SnapshotKindSeries, i, nil)
		must(t, err)
		got[e.Route] = f.Requests
	}
	want := map[string]uint64{}
	for _, path := range paths {
		route := "own " + path
		if len(route) > 255 {
			route = route[:255]
		}
		want[route] = each
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v is not %v", got, want)
	}
}

func TestWhatIsInProgress(t *testing.T) {
	s := serve(t)
	monitor, _ := watch(t, s, Options{}, AttachOptions{Name: "shop"})
	m := metrics(t, MetricsOptions{Flags: MetricsFlagActive})
	over := make(chan error)
	go func() { over <- s.client().ask("GET", "/slow/6000", "") }()
	var events []*Event
	for deadline := time.Now().Add(5 * time.Second); len(events) == 0 && time.Now().Before(deadline); {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		monitor.Next(ctx)
		cancel()
		var err error
		events, err = monitor.Active()
		must(t, err)
	}
	if len(events) != 1 || events[0].Path != "/slow/6000" || events[0].Status != 0 || events[0].ResponseEnd != 0 {
		t.Fatalf("%+v", events)
	}
	must(t, m.AddActive(events[0]))
	active, err := snapshot(t, m, 0).Active()
	must(t, err)
	if len(active) != 1 || active[0].App != "shop" || active[0].Requests != 1 || active[0].MethodName != "GET" ||
		active[0].Oldest != events[0].RequestStart {
		t.Errorf("%+v", active)
	}
	must(t, <-over)
	if e := take(t, monitor, 1)[0]; e.Status != 200 {
		t.Error(e.Status)
	}
	if events, err = monitor.Active(); len(events) != 0 || err != nil {
		t.Error(events, err)
	}
	if err := metrics(t, MetricsOptions{}).AddActive(&Event{}); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
}

func TestCaptureIsPausedAndSampled(t *testing.T) {
	s := serve(t)
	m, _ := watch(t, s, Options{}, AttachOptions{})
	must(t, m.Pause())
	must(t, s.client().ask("GET", "/hello?paused", ""))
	if stats, err := m.Stats(); err != nil || stats.SamplingPpm != 0 {
		t.Error(stats.SamplingPpm, err)
	}
	must(t, m.Resume())
	must(t, s.client().ask("GET", "/hello?resumed", ""))
	if e := take(t, m, 1)[0]; e.Query != "resumed" || e.SamplingPpm != SamplingAll {
		t.Error(e.Query, e.SamplingPpm)
	}
	must(t, m.SetSampling(1, 0))
	if stats, err := m.Stats(); err != nil || stats.SamplingPpm != 1 {
		t.Error(stats.SamplingPpm, err)
	}
	must(t, m.SetSampling(SamplingAll, 1000))
	if err := m.SetSampling(0, 0); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	file, _ := recorded(t, s)
	_, err := file.Seek(0, io.SeekStart)
	must(t, err)
	again, err := Replay(file, Options{})
	must(t, err)
	defer again.Close()
	for _, err := range []error{again.Pause(), again.Resume(), again.SetSampling(1, 0)} {
		if !errors.Is(err, syscall.EOPNOTSUPP) {
			t.Error(err)
		}
	}
}

func TestHistogram(t *testing.T) {
	h, err := NewHistogram()
	must(t, err)
	other, err := NewHistogram()
	must(t, err)
	sum := uint64(0)
	for i := uint64(1); i <= 1000; i++ {
		must(t, h.Add(i, 2))
		sum += 2 * i
	}
	must(t, other.Add(5000, 1))
	must(t, h.Merge(other))
	if h.Count() != 2001 || h.Sum() != sum+5000 || h.Max() != 5000 || h.CountAtMost(31) != 62 ||
		!near(int(h.Quantile(0.5)), 500) {
		t.Error(h.Count(), h.Sum(), h.Max(), h.CountAtMost(31), h.Quantile(0.5))
	}
	count, end := uint64(0), uint64(0)
	for _, b := range h.Buckets() {
		if b.Least > b.Greatest || b.Least <= end || b.Count == 0 {
			t.Error(b, end)
		}
		count, end = count+b.Count, b.Greatest
	}
	h.Clear()
	if count != 2001 || end < 5000 || h.Count() != 0 || h.Buckets() != nil {
		t.Error(count, end, h.Count())
	}
}

func TestAfterCloseAnErrorSaysSo(t *testing.T) {
	m := metrics(t, MetricsOptions{})
	now, err := m.Snapshot(SnapshotOptions{})
	must(t, err)
	must(t, m.Close())
	must(t, m.Close())
	_, statsErr := m.Stats()
	_, snapshotErr := m.Snapshot(SnapshotOptions{})
	if series, err := now.Series(); len(series) != 0 || err != nil || now.Time() == 0 {
		t.Error(series, err)
	}
	must(t, now.Close())
	must(t, now.Close())
	_, seriesErr := now.Series()
	_, figuresErr := now.Figures(SnapshotKindSeries, 0, now)
	for _, err := range []error{statsErr, snapshotErr, m.Add(&Event{}), seriesErr, figuresErr} {
		if err != ErrClosed {
			t.Error(err)
		}
	}
	if _, err := OpenMetrics(MetricsOptions{MaxSeries: 1}); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
	full, none := metrics(t, MetricsOptions{Dimensions: DimensionDefault}), metrics(t, MetricsOptions{})
	event := &Event{Path: "/x", Method: MethodGet, Status: 200, Outcome: OutcomeOk, Role: RoleServer, RequestStart: 1, CgroupID: 5}
	var got [2]string
	for i, m := range []*Metrics{full, none} {
		must(t, m.Add(event))
		series, err := snapshot(t, m, 2).Series()
		must(t, err)
		got[i] = fmt.Sprintf("%+v", series)
	}
	if got[0] != got[1] {
		t.Error(got)
	}
}

func TestHelpers(t *testing.T) {
	id := strings.Repeat("0123456789abcdef", 4)
	if c, err := ContainerOf("/system.slice/docker-" + id + ".scope"); err != nil || c != (Container{RuntimeDocker, id, ""}) {
		t.Error(c, err)
	}
	if _, err := ContainerOf("/system.slice/ssh.service"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for path, want := range map[string]string{
		"/orders/17": "/orders/{id}", "": "", "/a\xffb": "/{param}", strings.Repeat("/1", 10): strings.Repeat("/{id}", 10),
	} {
		if got := Route(path); got != want {
			t.Errorf("%q: %q, not %q", path, got, want)
		}
	}
	s := serve(t)
	if path, err := CgroupPath(s.ID); err != nil || path != s.Cgroup {
		t.Error(path, err, s.Cgroup)
	}
	if _, err := CgroupPath(1 << 60); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	before := cpuOf(t, s.Cgroup)
	r, err := ReadResources(s.Cgroup)
	must(t, err)
	if text, err := os.ReadFile(s.Cgroup + "/pids.current"); err == nil && !r.FromV1.Has(ResourceFlagPids) {
		if want, _ := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64); r.Pids != want || !r.Valid.Has(ResourceFlagPids) {
			t.Errorf("%+v, not %d", r, want)
		}
	}
	// Its parts are not compared with the whole: the kernel samples them, and they can exceed it by a tick.
	if r.Time == 0 || r.CPU == 0 || r.CPU < before || r.CPU > cpuOf(t, s.Cgroup) {
		t.Errorf("%+v", r)
	}
	for path, want := range map[string]error{"/nonexistent": fs.ErrNotExist, "/tmp\x00": syscall.EINVAL} {
		if _, err := ReadResources(path); !errors.Is(err, want) {
			t.Error(path, err)
		}
	}
}

// What the kernel says that the processes of a cgroup have used.
func cpuOf(t *testing.T, cgroup string) time.Duration {
	t.Helper()
	text, err := os.ReadFile(cgroup + "/cpu.stat")
	must(t, err)
	for _, line := range strings.Split(string(text), "\n") {
		if usec, found := strings.CutPrefix(line, "usage_usec "); found {
			n, err := strconv.ParseInt(usec, 10, 64)
			must(t, err)
			return time.Duration(n) * time.Microsecond
		}
	}
	t.Fatalf("%s: no usage_usec", text)
	return 0
}

func outcomeOf(status int) Outcome {
	switch {
	case status >= 500:
		return OutcomeServerError
	case status >= 400:
		return OutcomeClientError
	default:
		return OutcomeOk
	}
}
