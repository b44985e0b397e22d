// SPDX-License-Identifier: BSD-2-Clause

// Prometheus serves the figures of cgroups for a Prometheus server:
// prometheus ADDRESS CGROUP-DIRECTORY...
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"

	appmon "github.com/libappmon/libappmon/bindings/go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// count adds the events of cgroups to metrics until the context ends.
func count(ctx context.Context, metrics *appmon.Metrics, cgroups []string) error {
	monitor, err := appmon.Open(appmon.Options{})
	if err != nil {
		return err
	}
	defer monitor.Close()
	for _, cgroup := range cgroups {
		if _, err := monitor.Attach(cgroup, appmon.AttachOptions{}); err != nil {
			return err
		}
	}
	for {
		event, err := monitor.Next(ctx)
		if errors.Is(err, context.Canceled) {
			return nil
		}
		if err == nil {
			err = metrics.Add(event)
		}
		if err != nil {
			return err
		}
	}
}

func serve(ctx context.Context, address string, cgroups []string) error {
	metrics, err := appmon.OpenMetrics(appmon.MetricsOptions{})
	if err != nil {
		return err
	}
	defer metrics.Close()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(metrics))
	failed := make(chan error, 1)
	server := &http.Server{Addr: address, Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	go func() { failed <- server.ListenAndServe() }()
	defer server.Close()
	counted := make(chan error, 1)
	ctx, stop := context.WithCancel(ctx)
	go func() { counted <- count(ctx, metrics, cgroups) }()
	select {
	case err = <-failed:
		stop()
		<-counted
	case err = <-counted:
		stop()
	}
	return err
}

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: prometheus ADDRESS CGROUP-DIRECTORY...")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx, os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
