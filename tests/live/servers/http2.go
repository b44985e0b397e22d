// SPDX-License-Identifier: BSD-2-Clause

// http2 PORT LOG: the contract of http2_servers.py on net/http.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

func main() {
	var mutex sync.Mutex
	var protocols http.Protocols

	log, err := os.OpenFile(os.Args[2], os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Addr: "127.0.0.1:" + os.Args[1], Protocols: &protocols}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, _ := io.Copy(io.Discard, r.Body)
		part := strings.Split(r.URL.Path, "/")
		status, body := 200, "hello\n"
		switch part[1] {
		case "bytes":
			n, _ := strconv.Atoi(part[2])
			body = strings.Repeat("z", n)
		case "echo":
			body = fmt.Sprint(read)
		case "status":
			status, _ = strconv.Atoi(part[2])
			body = "status\n"
		}
		mutex.Lock()
		json.NewEncoder(log).Encode([]any{r.Method, r.RequestURI, status})
		mutex.Unlock()
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	panic(server.ListenAndServe())
}
