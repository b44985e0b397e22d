// SPDX-License-Identifier: BSD-2-Clause

// Package told has what the clients print for the test: a line for each statement.
package told

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

var out sync.Mutex

// Check ends the program for what is no answer of the server's.
func Check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Statement says what was sent, and what its client was told: rows, or the number of an error.
func Statement(text string, rows any, code string) {
	line, _ := json.Marshal(map[string]any{"text": text, "rows": rows, "error": code})
	out.Lock()
	fmt.Println(string(line))
	out.Unlock()
}
