// SPDX-License-Identifier: BSD-2-Clause

package appmon

/*
#include <stdlib.h>
#include <appmon/appmon.h>
*/
import "C"

import (
	"fmt"
	"sync"
	"unsafe"
)

// Version is that of the libappmon that runs, for example "0.1.0".
func Version() string { return version(C.appmon_version()).String() }

var (
	checkOnce sync.Once
	checkErr  error
)

// checkLibrary tells whether the library that was loaded fits the headers that this was compiled with.
func checkLibrary() error {
	checkOnce.Do(func() {
		checkErr = check(version(C.APPMON_VERSION_NUM), version(C.appmon_version()), func(name string) uintptr {
			c := C.CString(name)
			defer C.free(unsafe.Pointer(c))
			return uintptr(C.appmon_struct_size(c))
		})
	})
	return checkErr
}

func check(compiled, loaded version, sizeOf func(name string) uintptr) error {
	if loaded>>16 != compiled>>16 || loaded < compiled {
		return fmt.Errorf("appmon: libappmon %s was loaded; this program was compiled for %s and needs that or later, below %d.0.0",
			loaded, compiled, compiled>>16+1)
	}
	for _, s := range structs {
		if size := sizeOf(s.name); size < s.size || size > s.size && !s.grows {
			return fmt.Errorf("appmon: struct %s has %d bytes in the libappmon that was loaded and %d in the headers that this program was compiled with: compile it again",
				s.name, size, s.size)
		}
	}
	return nil
}
