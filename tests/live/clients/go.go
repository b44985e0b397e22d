// SPDX-License-Identifier: BSD-2-Clause

// go.go HOST PORT PLAN LOG: the plan on net/http's default transport. See ../README.md.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

type line struct {
	Method string `json:"method"`
	Target string `json:"target"`
	Status int    `json:"status"`
	Body   int64  `json:"body"`
	Start  int64  `json:"start"`
	End    int64  `json:"end"`
}

// Go's time package does not give CLOCK_MONOTONIC's own value.
func monotonic() int64 {
	var ts syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&ts)), 0)
	return ts.Nano()
}

func main() {
	base := "http://" + net.JoinHostPort(os.Args[1], os.Args[2])
	plan, err := os.Open(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	out, err := os.Create(os.Args[4])
	if err != nil {
		log.Fatal(err)
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	for in := bufio.NewScanner(plan); in.Scan(); {
		var l line
		var length int
		var framing string
		fmt.Sscan(in.Text(), &l.Method, &l.Target, &length, &framing)
		var body io.Reader = strings.NewReader(strings.Repeat("x", length))
		if framing == "chunked" {
			body = io.MultiReader(body) // hides the length
		}
		l.Start = monotonic()
		req, err := http.NewRequest(l.Method, base+l.Target, body)
		if err != nil {
			log.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		l.Body, err = io.Copy(io.Discard, res.Body)
		if err != nil {
			log.Fatal(err)
		}
		l.End = monotonic()
		res.Body.Close()
		l.Status = res.StatusCode
		enc.Encode(l)
	}
}
