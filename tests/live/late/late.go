// SPDX-License-Identifier: BSD-2-Clause

// late URL: GET of each path that a line of standard input names, one after the other, on one
// connection of HTTP/2. Prints the status of each.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
)

func main() {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := http.Client{Transport: &http.Transport{Protocols: &protocols}}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		response, err := client.Get(os.Args[1] + lines.Text())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
		fmt.Println(response.StatusCode)
	}
}
