// SPDX-License-Identifier: BSD-2-Clause

// go.go HOST PORT LOG: the contract of ../README.md on Go's net/http.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const text = "HTTP/1.1 500 No\r\n\r\nGET / HTTP/1.1\r\n\r\n"

func pattern(n int) []byte {
	return []byte(strings.Repeat(text, n/len(text)+1)[:n])
}

type line struct {
	Method string `json:"method"`
	Target string `json:"target"`
	Status int    `json:"status"`
	Sent   int    `json:"sent"`
	Read   int64  `json:"read"`
	Port   int    `json:"port"`
	Pid    int    `json:"pid"`
	Tid    int    `json:"tid"`
}

type server struct {
	mu  sync.Mutex
	log *json.Encoder
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	runtime.LockOSThread() // as long as the connection lives: so there is one thread to tell
	read, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		return
	}
	_, port, _ := net.SplitHostPort(r.RemoteAddr)
	l := line{Method: r.Method, Target: r.RequestURI, Status: 200, Read: read,
		Pid: os.Getpid(), Tid: syscall.Gettid()}
	l.Port, _ = strconv.Atoi(port)
	part := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 2)
	n := 0
	if len(part) == 2 {
		n, _ = strconv.Atoi(part[1])
	}
	finish := func(status int, body []byte) {
		l.Status = status
		if status != 204 && status != 304 {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		w.WriteHeader(status)
		if r.Method != "HEAD" && status != 204 && status != 304 {
			l.Sent, _ = w.Write(body)
		}
	}
	switch part[0] {
	case "hello":
		finish(200, []byte("hello\n"))
	case "bytes":
		finish(200, pattern(n))
	case "chunked":
		w.Header().Set("Transfer-Encoding", "chunked")
		body, step := pattern(n), n/4+1
		for i := 0; i < n && r.Method != "HEAD"; i += step {
			end := i + step
			if end > n {
				end = n
			}
			sent, _ := w.Write(body[i:end])
			l.Sent += sent
			w.(http.Flusher).Flush()
		}
	case "echo":
		finish(200, []byte(strconv.FormatInt(read, 10)))
	case "status":
		finish(n, []byte("status\n"))
	case "slow":
		time.Sleep(time.Duration(n) * time.Millisecond)
		finish(200, []byte("slow\n"))
	default:
		finish(404, []byte("no\n"))
	}
	s.mu.Lock()
	s.log.Encode(l)
	s.mu.Unlock()
}

func main() {
	f, err := os.OpenFile(os.Args[3], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0644)
	if err != nil {
		log.Fatal(err)
	}
	enc := json.NewEncoder(f)
	enc.SetEscapeHTML(false)
	log.Fatal(http.ListenAndServe(net.JoinHostPort(os.Args[1], os.Args[2]), &server{log: enc}))
}
