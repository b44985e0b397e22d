// SPDX-License-Identifier: BSD-2-Clause

//go:build go1.23

package appmon

import (
	"context"
	"iter"
	"testing"
)

func TestRange(t *testing.T) {
	s := serve(t)
	m, _ := watch(t, s, Options{}, AttachOptions{})
	must(t, s.client().ask("GET", "/hello", ""))
	var events iter.Seq2[*Event, error] = m.Events(context.Background())
	for event, err := range events {
		must(t, err)
		if event.Path != "/hello" {
			t.Error(event.Path)
		}
		m.Close()
	}
}
