// SPDX-License-Identifier: BSD-2-Clause

// HOST PORT BACKEND-PORT: GET /HOW/ID asks the backend for /WHAT/ID, in a way that HOW names.
package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

var backend string

func ask(ctx context.Context, id, what string) error {
	request, err := http.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:"+backend+"/"+what+"/"+id, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

// Two goroutines, joined by a WaitGroup.
func fan(r *http.Request, id string) error {
	var wait sync.WaitGroup
	var errs [2]error
	for i, what := range []string{"left", "right"} {
		wait.Add(1)
		go func(i int, what string) {
			defer wait.Done()
			errs[i] = ask(context.Background(), id, what)
		}(i, what)
	}
	wait.Wait()
	if errs[0] != nil {
		return errs[0]
	}
	return errs[1]
}

// As errgroup does it: the first error ends the others; one of them starts another one.
func group(r *http.Request, id string) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	var wait sync.WaitGroup
	var once sync.Once
	var first error
	start := func(f func() error) {
		wait.Add(1)
		go func() {
			defer wait.Done()
			if err := f(); err != nil {
				once.Do(func() { first = err; cancel() })
			}
		}()
	}
	start(func() error { return ask(ctx, id, "one") })
	start(func() error {
		start(func() error { return ask(ctx, id, "below") })
		return ask(ctx, id, "two")
	})
	wait.Wait()
	return first
}

// After the answer, while the connection may serve the next request.
func late(r *http.Request, id string) error {
	go func() {
		time.Sleep(5 * time.Millisecond)
		ask(context.Background(), id, "late")
	}()
	return nil
}

// Workers that the first request starts, and all use.
var startPool sync.Once
var jobs = make(chan func())

func pool(r *http.Request, id string) error {
	startPool.Do(func() {
		for i := 0; i < 16; i++ {
			go func() {
				for job := range jobs {
					job()
				}
			}()
		}
	})
	done := make(chan error)
	jobs <- func() { done <- ask(context.Background(), id, "pooled") }
	return <-done
}

// One goroutine that the first request starts asks for nobody, over connections that others made.
var startOwn sync.Once

func own(r *http.Request, id string) error {
	startOwn.Do(func() {
		go func() {
			for i := 0; i < 200; i++ {
				ask(context.Background(), "own-"+strconv.Itoa(i), "own")
			}
		}()
	})
	return ask(r.Context(), id, "direct")
}

var ways = map[string]func(*http.Request, string) error{
	"direct": func(r *http.Request, id string) error { return ask(r.Context(), id, "direct") },
	"fan":    fan, "group": group, "late": late, "pool": pool, "own": own,
}

func main() {
	host, port := os.Args[1], os.Args[2]
	backend = os.Args[3]
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 256

	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, how, _ := strings.Cut(r.URL.Path, "/")
		how, id, _ := strings.Cut(how, "/")
		if way := ways[how]; way == nil || way(r, id) != nil {
			w.WriteHeader(502)
			return
		}
		w.Write([]byte("ok"))
	})
	panic(http.ListenAndServe(host+":"+port, nil))
}
