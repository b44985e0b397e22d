# SPDX-License-Identifier: BSD-2-Clause
"""Finds the shared library and makes sure that it is the one that this package was made for."""
from __future__ import annotations

import ctypes
import os
import threading
from typing import Any

from . import _abi

SONAME = "libappmon.so.0"


class LibraryError(ImportError):
    """libappmon was not found, or is not one that this package can use."""


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def check(library: Any) -> None:
    """Raises LibraryError unless version and struct sizes fit."""
    path = library._name
    try:
        number = library.appmon_version()
        struct_size = library.appmon_struct_size
    except AttributeError as problem:
        raise LibraryError(f"{path} is not a libappmon that this package can use: it needs "
                           f"{_text(_abi.VERSION)} or later ({problem})") from None
    version = (number >> 16, number >> 8 & 0xff, number & 0xff)
    if version[0] != _abi.VERSION[0] or version < _abi.VERSION:
        raise LibraryError(f"{path} is libappmon {_text(version)}; this package needs "
                           f"{_text(_abi.VERSION)} or later, below {_abi.VERSION[0] + 1}.0.0")
    struct_size.restype, struct_size.argtypes = ctypes.c_uint32, (ctypes.c_char_p,)
    for structure, grows in _abi.STRUCTS.items():
        ours, theirs = ctypes.sizeof(structure), struct_size(structure.__name__.encode())
        if theirs < ours or theirs > ours and not grows:
            raise LibraryError(
                f"struct {structure.__name__} has {theirs} bytes in {path} and {ours} in this package, "
                f"which needs {_text(_abi.VERSION)} or later: install both from one release")


def load() -> Any:
    path = os.environ.get("APPMON_LIBRARY", SONAME)
    try:
        library = ctypes.CDLL(path)
    except OSError as problem:
        raise LibraryError(f"libappmon is not installed where the dynamic linker looks, and APPMON_LIBRARY "
                           f"does not name it: {problem}") from None
    check(library)
    for name, (result, parameters) in _abi.FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, parameters
    return library


class _Library:
    """Loaded by the first use of a function: the package can be imported where no library is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: Any = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._loaded is None:
                self._loaded = load()
        function = getattr(self._loaded, name)
        setattr(self, name, function)
        return function


lib: Any = _Library()


def version() -> tuple[int, int, int]:
    """The version of libappmon that runs."""
    number = lib.appmon_version()
    return number >> 16, number >> 8 & 0xff, number & 0xff
