// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"math"
	"strings"
	"testing"
	"time"

	appmon "github.com/libappmon/libappmon/bindings/go"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestAScrapeHasWhatWasAdded(t *testing.T) {
	// The events are from the machine's first second: they neither wait nor go.
	options := appmon.MetricsOptions{Flags: appmon.MetricsFlagNoJoin, IdleMS: math.MaxUint32}
	metrics, err := appmon.OpenMetrics(options)
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Close()
	outcomes := map[uint32]appmon.Outcome{200: appmon.OutcomeOk, 500: appmon.OutcomeServerError}
	for i, status := range []uint32{200, 200, 500} {
		event := &appmon.Event{TargetName: "shop", Role: appmon.RoleServer, Protocol: appmon.ProtocolHTTP1,
			Method: appmon.MethodGet, Operation: "GET", Path: "/orders/17", Status: status, Outcome: outcomes[status],
			RequestStart: 1, ResponseEnd: 2, Duration: time.Duration(i+1) * 20 * time.Millisecond}
		if err := metrics.Add(event); err != nil {
			t.Fatal(err)
		}
	}
	const want = `
# HELP http_edge_requests_total Requests between applications.
# TYPE http_edge_requests_total counter
http_edge_requests_total{client="",server="shop"} 3
# HELP http_request_errors_total Requests that failed.
# TYPE http_request_errors_total counter
http_request_errors_total{app="shop",method="GET",peer="",role="server",route="/orders/{id}",status="200"} 0
http_request_errors_total{app="shop",method="GET",peer="",role="server",route="/orders/{id}",status="500"} 1
`
	c := newCollector(metrics)
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "http_edge_requests_total",
		"http_request_errors_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(c, "http_request_duration_seconds"); n != 2 {
		t.Error(n)
	}
}
