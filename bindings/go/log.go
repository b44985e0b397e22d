// SPDX-License-Identifier: BSD-2-Clause

package appmon

/*
#include <stdint.h>
*/
import "C"

import (
	"runtime"
	"runtime/cgo"
)

// logger is what C knows of Options.Log.
type logger struct {
	fn       func(level LogLevel, line string)
	panicked bool
	value    any // of the panic; nil: the function ended its goroutine
}

// goLog is called by C. The function runs on a goroutine of its own: neither a panic nor
// runtime.Goexit (which is what testing's FailNow does) can unwind C's frames.
//
//export goLog
func goLog(handle C.uintptr_t, level C.int, line *C.char) {
	l := cgo.Handle(handle).Value().(*logger)
	text := C.GoString(line)
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() {
			if value := recover(); value != nil || !returned {
				l.panicked, l.value = true, value
			}
		}()
		l.fn(LogLevel(level), text)
		returned = true
	}()
	<-done
}

// rethrow goes on with what goLog held back, on the goroutine that called C.
func (l *logger) rethrow() {
	if l == nil || !l.panicked {
		return
	}
	value := l.value
	l.panicked, l.value = false, nil
	if value == nil {
		runtime.Goexit()
	}
	panic(value)
}
