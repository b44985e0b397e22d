// SPDX-License-Identifier: BSD-2-Clause

// HOST PORT BACKEND-PORT: GET /x/ID is GET /y/ID at the backend, with the request's trace.
package main

import (
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	host, port, backend := os.Args[1], os.Args[2], os.Args[3]
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		ask, _ := http.NewRequest("GET", "http://127.0.0.1:"+backend+"/y/"+id, nil)
		if trace := r.Header.Get("traceparent"); trace != "" {
			ask.Header.Set("traceparent", trace[:36]+"00000000000000ff-01")
		}
		answer, err := client.Do(ask)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		defer answer.Body.Close()
		io.Copy(w, answer.Body)
	})
	panic(http.ListenAndServe(host+":"+port, nil))
}
