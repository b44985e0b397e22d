# SPDX-License-Identifier: BSD-2-Clause
"""From the library's memory, which it will use again, to Python objects of their own."""
from __future__ import annotations

import ctypes
import dataclasses
import enum
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    def dataclass(kind: type) -> Any:
        """With slots, where this Python has them."""
        return dataclasses.dataclass(kind, **({"slots": True} if sys.version_info >= (3, 10) else {}))


class Number(enum.IntEnum):
    """An enumeration that a newer library may know more values of."""

    @classmethod
    def _missing_(cls, value: object) -> "Number":
        if not isinstance(value, int):
            raise TypeError(f"{value!r} is not an integer")
        unknown = int.__new__(cls, value)
        unknown._name_ = f"UNKNOWN_{value}"
        unknown._value_ = value
        return unknown


class Endpoint(NamedTuple):
    """One address and port; address is "" where it is not known."""

    address: str
    port: int

    def __str__(self) -> str:
        if not self.address:
            return "?"
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"


class Header(NamedTuple):
    """A header field that was asked for. Repeated fields appear repeatedly."""

    name: str  # lower case
    value: str  # without surrounding white space
    response: bool  # of the response, else of the request
    truncated: bool  # the capture limit cut the value off


class EventBase:
    """What Event can do."""

    __slots__ = ()
    headers: list[Header]

    def header(self, name: str, response: bool = False) -> str | None:
        """The first value of a header of the request, or of the response; name in lower case."""
        for header in self.headers:
            if header.name == name and header.response == response:
                return header.value
        return None


_HEADER = struct.Struct("@PIIPIIII")


def text(address: int, length: int) -> str:
    """Bytes from the network as text. Most are UTF-8; what is not comes as \\xNN."""
    if not length:
        return ""
    return ctypes.string_at(address, length).decode("utf-8", "backslashreplace")


def endpoint(family: int, port: int, address: bytes) -> Endpoint:
    if family == 4:
        return Endpoint(socket.inet_ntop(socket.AF_INET, address[:4]), port)
    if family == 6:
        return Endpoint(socket.inet_ntop(socket.AF_INET6, address), port)
    return Endpoint("", port)


def headers_from(address: int, count: int) -> list[Header]:
    if not count:
        return []
    memory = ctypes.string_at(address, count * _HEADER.size)
    return [Header(text(name, name_len), text(value, value_len), bool(response), bool(truncated))
            for name, name_len, _, value, value_len, truncated, response, _
            in _HEADER.iter_unpack(memory)]
