// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"strconv"

	appmon "github.com/libappmon/libappmon/bindings/go"
	"github.com/prometheus/client_golang/prometheus"
)

// The bounds that OpenTelemetry recommends for HTTP durations, in seconds.
var bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

// collector tells Prometheus what metrics hold at each scrape.
type collector struct {
	metrics                   *appmon.Metrics
	duration, errors, between *prometheus.Desc
}

func newCollector(metrics *appmon.Metrics) *collector {
	labels := []string{"app", "role", "peer", "method", "route", "status"}
	return &collector{metrics,
		prometheus.NewDesc("http_request_duration_seconds", "Time of requests by series.", labels, nil),
		prometheus.NewDesc("http_request_errors_total", "Requests that failed.", labels, nil),
		prometheus.NewDesc("http_edge_requests_total", "Requests between applications.",
			[]string{"client", "server"}, nil),
	}
}

func (c *collector) Describe(descriptions chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, descriptions)
}

func (c *collector) Collect(out chan<- prometheus.Metric) {
	if err := c.collect(out); err != nil {
		out <- prometheus.NewInvalidMetric(c.duration, err)
	}
}

func (c *collector) collect(out chan<- prometheus.Metric) error {
	now, err := c.metrics.Snapshot(appmon.SnapshotOptions{})
	if err != nil {
		return err
	}
	defer now.Close()
	series, err := now.Series()
	if err != nil {
		return err
	}
	times, err := appmon.NewHistogram()
	if err != nil {
		return err
	}
	for i, s := range series {
		figures, err := now.Figures(appmon.SnapshotKindSeries, i, nil)
		if err != nil {
			return err
		}
		if figures.Requests == 0 { // where what finds no room would be counted
			continue
		}
		times.Clear()
		if err := now.Durations(appmon.SnapshotKindSeries, i, nil, times); err != nil {
			return err
		}
		buckets := make(map[float64]uint64, len(bounds))
		for _, bound := range bounds {
			buckets[bound] = times.CountAtMost(uint64(bound * 1e9))
		}
		labels := []string{s.App, s.Role.String(), peer(s.PeerApp, s.Peer.IsValid(), s.Peer.String()), s.MethodName,
			s.Route, strconv.Itoa(int(s.Status))}
		out <- prometheus.MustNewConstHistogram(c.duration, figures.DurationCount, figures.DurationSum.Seconds(),
			buckets, labels...)
		out <- prometheus.MustNewConstMetric(c.errors, prometheus.CounterValue, float64(figures.Errors), labels...)
	}
	return c.collectEdges(now, out)
}

func (c *collector) collectEdges(now *appmon.Snapshot, out chan<- prometheus.Metric) error {
	edges, err := now.Edges()
	if err != nil {
		return err
	}
	for i, e := range edges {
		figures, err := now.Figures(appmon.SnapshotKindEdges, i, nil)
		if err != nil {
			return err
		}
		if figures.Requests == 0 {
			continue
		}
		out <- prometheus.MustNewConstMetric(c.between, prometheus.CounterValue, float64(figures.Requests),
			peer(e.ClientApp, e.Client.IsValid(), e.Client.String()),
			peer(e.ServerApp, e.Server.IsValid(), e.Server.String()))
	}
	return nil
}

// peer is the application at the other end, or what else is known of it.
func peer(app string, known bool, address string) string {
	if app == "" && known {
		return address
	}
	return app
}
