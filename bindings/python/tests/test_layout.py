# SPDX-License-Identifier: BSD-2-Clause
"""The structs agree with C's, and a library that they do not fit is refused with the reason."""
import ctypes
import os
import pathlib
import subprocess
import sys

import pytest

import stub
from appmon import _abi, _data, _library, _memory
from conftest import PYTHON

pytestmark = pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8,
                                reason="layout.txt is of machines with 64-bit pointers")


def ours():
    for structure in _abi.STRUCTS:
        yield f"{structure.__name__} {ctypes.sizeof(structure)}"
        for name, *_ in structure._fields_:
            member = getattr(structure, name)
            yield f"{structure.__name__}.{name} {member.offset} {member.size}"


def test_layout_is_what_the_c_compiler_says():
    assert list(ours()) == (PYTHON.parent / "layout.txt").read_text().splitlines()


def test_sizes_are_what_the_library_says():
    for name, size in stub.sizes().items():
        assert _library.lib.appmon_struct_size(name.encode()) == size, name


def test_formats_take_a_struct_whole():
    assert _data._EVENT.size == ctypes.sizeof(_abi.appmon_event)
    assert _memory._HEADER.size == ctypes.sizeof(_abi.appmon_header)


def load(path):
    """What importing the package with this library says: exit status and last line."""
    done = subprocess.run([sys.executable, "-c", "import appmon; print(appmon.version())"],
                          env={**os.environ, "APPMON_LIBRARY": str(path), "PYTHONPATH": str(PYTHON / "src")},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout.splitlines()[-1]


NOW = ".".join(map(str, _abi.VERSION))
EVENT = ctypes.sizeof(_abi.appmon_event)


@pytest.mark.parametrize("version, sizes, words", [
    ("0.0.9", {}, f"is libappmon 0.0.9; this package needs {NOW} or later, below 1.0.0"),
    ("1.0.0", {}, f"is libappmon 1.0.0; this package needs {NOW} or later, below 1.0.0"),
    (NOW, {"appmon_event": EVENT - 8}, f"struct appmon_event has {EVENT - 8} bytes in"),
    (NOW, {"appmon_str": 24}, "struct appmon_str has 24 bytes in"),
    (NOW, {"appmon_opts": 0}, "struct appmon_opts has 0 bytes in"),
])
def test_a_library_that_does_not_fit_is_refused(tmp_path, version, sizes, words):
    path = stub.build(tmp_path, version, **sizes)
    status, said = load(path)
    assert status == 1
    assert "LibraryError: " in said and words in said and str(path) in said


@pytest.mark.parametrize("version, sizes", [(NOW, {}), ("0.99.0", {"appmon_event": EVENT + 64})])
def test_a_newer_library_is_taken(tmp_path, version, sizes):
    assert load(stub.build(tmp_path, version, **sizes)) == \
        (0, str(tuple(map(int, version.split(".")))))


def test_no_library():
    status, said = load("/nonexistent/libappmon.so.0")
    assert status == 1 and "LibraryError: libappmon is not installed" in said


def test_another_library():
    status, said = load("libc.so.6")
    assert status == 1 and "LibraryError: libc.so.6 is not a libappmon" in said


def test_every_function_of_the_map_has_a_prototype():
    text = (pathlib.Path(stub.HERE).parent / "libappmon" / "libappmon.map").read_text()
    assert {w.rstrip(";") for w in text.split() if w.startswith("appmon_")} == set(_abi.FUNCTIONS)
