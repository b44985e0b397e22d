// SPDX-License-Identifier: BSD-2-Clause

// Watch prints every request of a cgroup: watch CGROUP-DIRECTORY
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	appmon "github.com/libappmon/libappmon/bindings/go"
)

func watch(ctx context.Context, directory string) error {
	monitor, err := appmon.Open(appmon.Options{Headers: []string{"x-request-id"}})
	if err != nil {
		return err
	}
	defer monitor.Close()
	if _, err := monitor.Attach(directory, appmon.AttachOptions{}); err != nil {
		return err
	}
	for {
		event, err := monitor.Next(ctx)
		if errors.Is(err, context.Canceled) {
			stats, err := monitor.Stats()
			fmt.Printf("%d requests seen, %d told\n", stats.ExchangesSeen, stats.Delivered)
			return err
		}
		if err != nil {
			return err
		}
		fmt.Printf("%s %s %q %q %d %s\n", monitor.Time(event.RequestStart).Format("15:04:05.000"),
			event.Remote, event.Operation, event.Path, event.Status, event.Duration)
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: watch CGROUP-DIRECTORY")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := watch(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
