// SPDX-License-Identifier: BSD-2-Clause

package appmon

/*
#include <stdlib.h>
#include "glue.h"
*/
import "C"

import (
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Header is a header field that was asked for. Repeated fields appear repeatedly.
type Header struct {
	Name      string // lower case
	Value     string // without surrounding white space
	Response  bool   // of the response, else of the request
	Truncated bool   // the capture limit cut the value off
}

// Header returns the first value of a header of the request, "" if there is none. Name in lower case.
func (e *Event) Header(name string) string { return e.find(name, false) }

// ResponseHeader does the same for the response.
func (e *Event) ResponseHeader(name string) string { return e.find(name, true) }

func (e *Event) find(name string, response bool) string {
	for i := range e.Headers {
		if h := &e.Headers[i]; h.Response == response && h.Name == name {
			return h.Value
		}
	}
	return ""
}

// cut tells whether the capture limit cut a text off.
func (e *Event) cut(name string) bool {
	for _, truncated := range e.Truncated {
		if truncated == name {
			return true
		}
	}
	return false
}

func text(s *C.struct_appmon_str) string {
	return C.GoStringN(s.data, C.int(s.len))
}

func endpoint(ep *C.struct_appmon_endpoint) netip.AddrPort {
	addr := *(*[16]byte)(unsafe.Pointer(&ep.addr))
	switch ep.family {
	case 4:
		return netip.AddrPortFrom(netip.AddrFrom4(*(*[4]byte)(addr[:4])), uint16(ep.port))
	case 6:
		return netip.AddrPortFrom(netip.AddrFrom16(addr), uint16(ep.port))
	}
	return netip.AddrPort{}
}

func lendEndpoint(c *C.struct_appmon_endpoint, ep netip.AddrPort) {
	addr := (*[16]byte)(unsafe.Pointer(&c.addr))
	switch {
	case !ep.IsValid():
		return
	case ep.Addr().Is4():
		c.family = 4
		*(*[4]byte)(addr[:4]) = ep.Addr().As4()
	default:
		c.family = 6
		*addr = ep.Addr().As16()
	}
	c.port = C.uint16_t(ep.Port())
}

func headers(first *C.struct_appmon_header, count C.uint32_t) []Header {
	if count == 0 {
		return nil
	}
	list := make([]Header, count)
	for i, h := range unsafe.Slice(first, count) {
		list[i] = Header{text(&h.name), text(&h.value), h.response != 0, h.value.truncated != 0}
	}
	return list
}

// memory is what C is lent for one call.
type memory struct {
	blocks []unsafe.Pointer
	err    error // C would not see all of a string
}

func (m *memory) alloc(size uintptr) unsafe.Pointer {
	p := C.calloc(1, C.size_t(size))
	m.blocks = append(m.blocks, p)
	return p
}

func (m *memory) string(s string) *C.char {
	if strings.IndexByte(s, 0) >= 0 {
		m.err = &Error{syscall.EINVAL, "a NUL byte is inside " + strconv.Quote(s)}
	}
	p := C.CString(s)
	m.blocks = append(m.blocks, unsafe.Pointer(p))
	return p
}

func (m *memory) ports(list []PortHint) *C.struct_appmon_port_hint {
	if len(list) == 0 {
		return nil
	}
	first := (*C.struct_appmon_port_hint)(m.alloc(uintptr(len(list)) * C.sizeof_struct_appmon_port_hint))
	for i, c := 0, unsafe.Slice(first, len(list)); i < len(list); i++ {
		c[i].port, c[i].protocol = C.uint32_t(list[i].Port), C.uint32_t(list[i].Protocol)
	}
	return first
}

func (m *memory) strings(list []string) **C.char {
	if len(list) == 0 {
		return nil
	}
	array := (**C.char)(m.alloc(uintptr(len(list)) * unsafe.Sizeof((*C.char)(nil))))
	for i, p := 0, unsafe.Slice(array, len(list)); i < len(list); i++ {
		p[i] = m.string(list[i])
	}
	return array
}

func (m *memory) free() {
	for _, p := range m.blocks {
		C.free(p)
	}
}

// block is C memory that is used again each time: reserve empties it and makes room for all that follows.
// The zero value is an empty one; free gives it back.
type block struct {
	base       unsafe.Pointer
	size, used uintptr
}

func (b *block) reserve(size uintptr) {
	if size > b.size {
		C.free(b.base)
		b.size = (size + 4095) &^ 4095
		b.base = C.malloc(C.size_t(b.size))
	}
	b.used = 0
}

func (b *block) free() {
	C.free(b.base)
	*b = block{}
}

// roomOf is what so many bytes take: all in a block is aligned as C's pointers are.
func roomOf(size uintptr) uintptr { return (size + 7) &^ 7 }

func roomOfText(s string) uintptr {
	if s == "" {
		return 0
	}
	return roomOf(uintptr(len(s)) + 1)
}

func roomOfHeaders(list []Header) uintptr {
	size := roomOf(uintptr(len(list)) * C.sizeof_struct_appmon_header)
	for i := range list {
		size += roomOfText(list[i].Name) + roomOfText(list[i].Value)
	}
	return size
}

func (b *block) alloc(size uintptr) unsafe.Pointer {
	size = roomOf(size)
	if size > b.size-b.used { // another goroutine changed the event meanwhile
		panic("appmon: an event was changed while it was added")
	}
	p := unsafe.Add(b.base, b.used)
	b.used += size
	return p
}

// text lends bytes, any of them. C reads a NUL behind them.
func (b *block) text(s string, truncated bool) C.struct_appmon_str {
	data := &C.glue_empty[0]
	if s != "" {
		data = (*C.char)(b.alloc(uintptr(len(s)) + 1))
		to := unsafe.Slice((*byte)(unsafe.Pointer(data)), len(s)+1)
		to[copy(to, s)] = 0
	}
	return C.struct_appmon_str{data: data, len: C.uint32_t(len(s)), truncated: C.uint32_t(truth(truncated))}
}

func (b *block) headers(list []Header) (*C.struct_appmon_header, C.uint32_t) {
	if len(list) == 0 {
		return nil, 0
	}
	first := (*C.struct_appmon_header)(b.alloc(uintptr(len(list)) * C.sizeof_struct_appmon_header))
	for i, c := 0, unsafe.Slice(first, len(list)); i < len(list); i++ {
		h := &list[i]
		c[i] = C.struct_appmon_header{
			name:     b.text(h.Name, false),
			value:    b.text(h.Value, h.Truncated),
			response: C.uint32_t(truth(h.Response)),
		}
	}
	return first, C.uint32_t(len(list))
}

type structInfo struct {
	name  string
	size  uintptr
	grows bool
}

type version uint32

func (v version) String() string {
	return strconv.Itoa(int(v>>16)) + "." + strconv.Itoa(int(v>>8&0xff)) + "." + strconv.Itoa(int(v&0xff))
}

// lentAndCopied is what comes back of an event that C is lent: for a test, which cannot use cgo.
func lentAndCopied(e *Event) *Event {
	var to block
	defer to.free()
	to.reserve(e.lentSize())
	for i, used := 0, unsafe.Slice((*byte)(to.base), to.size); i < len(used); i++ {
		used[i] = 'x' // as if by the event before
	}
	c := e.lend(&to)
	if to.used != e.lentSize() {
		panic("lend does not take the room that lentSize says")
	}
	if C.GoString(c.path.data) != e.Path {
		panic("the NUL behind a text is missing")
	}
	return copyEvent(c, nil)
}
