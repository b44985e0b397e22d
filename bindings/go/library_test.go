// SPDX-License-Identifier: BSD-2-Clause

package appmon

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/libappmon/libappmon/bindings/go/internal/layout"
)

func TestLayoutIsWhatTheCCompilerSays(t *testing.T) {
	if ^uint(0)>>32 == 0 {
		t.Skip("layout.txt is of machines with 64-bit pointers")
	}
	text, err := os.ReadFile("../layout.txt")
	must(t, err)
	if want, got := strings.TrimSpace(string(text)), strings.Join(layout.Lines(), "\n"); want != got {
		t.Errorf("C:\n%s\n\ncgo:\n%s", want, got)
	}
}

// As a child of TestALibraryThatDoesNotFitIsRefused this says what Open says of the library that the parent
// named.
func TestMain(m *testing.M) {
	if os.Getenv("APPMON_TEST_SAY") != "" {
		_, err := Open(Options{RingBytes: 5})
		fmt.Println("Open:", err)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestALibraryThatDoesNotFitIsRefused(t *testing.T) {
	event := 0
	for _, s := range structs {
		if s.name == "appmon_event" {
			event = int(s.size)
		}
	}
	now := Version()
	for _, c := range []struct{ version, size, want string }{
		{"0.0.9", "", "libappmon 0.0.9 was loaded; this program was compiled for " + now},
		{"1.0.0", "", "libappmon 1.0.0 was loaded; this program was compiled for " + now},
		{now, fmt.Sprintf("appmon_event=%d", event-8),
			fmt.Sprintf("struct appmon_event has %d bytes in the libappmon that was loaded and %d in", event-8, event)},
		{now, "appmon_str=24", "struct appmon_str has 24 bytes"},
		{now, "appmon_stats=0", "struct appmon_stats has 0 bytes"},
		// Taken: the stub has no errors of its own, so there is no text.
		{"0.99.0", fmt.Sprintf("appmon_event=%d", event+64), ""},
	} {
		dir := t.TempDir()
		arguments := []string{"../stub.py", dir, c.version}
		if c.size != "" {
			arguments = append(arguments, c.size)
		}
		must(t, exec.Command("/usr/bin/python3", arguments...).Run())
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "APPMON_TEST_SAY=1", "LD_LIBRARY_PATH="+dir)
		out, _ := child.CombinedOutput()
		refused := strings.Contains(string(out), "Open: appmon: ")
		if (c.want != "") != refused || !strings.Contains(string(out), c.want) {
			t.Errorf("%s %s: wanted %q, got\n%s", c.version, c.size, c.want, out)
		}
	}
}
