// SPDX-License-Identifier: BSD-2-Clause

// catalog DIR NAME [PORT]: the shop's products. Listens on a free port unless it is told one, and
// writes which to DIR/NAME.port. Where DIR/slow-catalog exists, it takes its time.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

const products = 40

func main() {
	dir, name, port := os.Args[1], os.Args[2], "0"
	if len(os.Args) > 3 {
		port = os.Args[3]
	}
	slow := func() {
		if _, err := os.Stat(dir + "/slow-catalog"); err == nil {
			time.Sleep(400 * time.Millisecond)
		}
	}
	http.HandleFunc("/products", func(w http.ResponseWriter, r *http.Request) {
		slow()
		for id := 1; id <= products; id++ {
			fmt.Fprintf(w, "%d product %d\n", id, id)
		}
	})
	http.HandleFunc("/products/", func(w http.ResponseWriter, r *http.Request) {
		var id int
		slow()
		if _, err := fmt.Sscanf(r.URL.Path, "/products/%d", &id); err != nil || id < 1 || id > products {
			http.Error(w, "no such product", http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, "%d product %d, %d.99\n", id, id, id)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		log.Fatal(err)
	}
	text := fmt.Sprintln(listener.Addr().(*net.TCPAddr).Port)
	if err := os.WriteFile(dir+"/"+name+".port.new", []byte(text), 0644); err != nil {
		log.Fatal(err)
	}
	if err := os.Rename(dir+"/"+name+".port.new", dir+"/"+name+".port"); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, nil))
}
