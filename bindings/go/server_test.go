// SPDX-License-Identifier: BSD-2-Clause

package appmon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// server is what ../served.py runs: an HTTP server in a cgroup of its own, with its own log.
type server struct {
	Cgroup string
	ID     uint64
	PID    int
	Port   int
	Log    string
}

type line struct {
	Method, Target string
	Status, Port   int
	Sent, Read     uint64
}

func serve(t *testing.T) *server {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", "../served.py")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	out := bufio.NewReader(stdout)
	text, _ := out.ReadBytes('\n')
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	s := &server{}
	if json.Unmarshal(text, s) != nil {
		err := cmd.Wait()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 77 {
			t.Skip(strings.TrimSpace(stderr.String()))
		}
		t.Fatalf("served.py: %v: %s", err, stderr.String())
	}
	return s
}

// lines returns what the server logged, as soon as there are count lines.
func (s *server) lines(t *testing.T, count int) []line {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(s.Log)
		must(t, err)
		if bytes.Count(text, []byte("\n")) >= count {
			lines := make([]line, 0, count)
			for decoder := json.NewDecoder(bytes.NewReader(text)); decoder.More(); {
				var l line
				must(t, decoder.Decode(&l))
				lines = append(lines, l)
			}
			return lines
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d lines expected in the log:\n%s", count, text)
		}
	}
}

// client makes requests over one connection.
type client struct {
	http.Client
	base string
}

func (s *server) client() *client {
	return &client{http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: 10 * time.Second},
		fmt.Sprintf("http://127.0.0.1:%d", s.Port)}
}

func (c *client) ask(method, target, body string) error {
	request, err := http.NewRequest(method, c.base+target, nil)
	if err != nil {
		return err
	}
	if body != "" {
		request.Body = io.NopCloser(strings.NewReader(body))
		request.ContentLength = int64(len(body))
	}
	request.Header.Set("X-Tenant", "t"+target)
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// raw sends bytes and reads until the server closes.
func (s *server) raw(t *testing.T, text string) {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port))
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(text))
	must(t, err)
	_, err = io.Copy(io.Discard, conn)
	must(t, err)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
