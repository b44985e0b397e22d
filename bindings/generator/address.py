# SPDX-License-Identifier: BSD-2-Clause
"""Where the repository is, in all that has to name it, and the licence in all that is published alone."""
import re

from .header import TOP, project_version

# The one place; a placeholder until the repository is public. bindings/generate puts it everywhere.
REPOSITORY = "github.com/libappmon/libappmon"

GO_MODULE = re.compile(r"(?<![\w./-])[\w./-]+/bindings/go(?=[\s\"/`@]|$)", re.M)
CARGO_FIELD = re.compile(r'^(repository|homepage) = ".*"$', re.M)
CARGO_VERSION = re.compile(r'(^version = |path = "\.\./libappmon-sys", version = )"[^"]*"', re.M)
GO_FILES = ("go.mod", "README.md", "library_test.go", "examples/watch/main.go", "examples/prometheus/go.mod",
            "examples/prometheus/main.go", "examples/prometheus/collector.go",
            "examples/prometheus/collector_test.go")
PUBLISHED = ("go", "rust/appmon", "rust/libappmon-sys")


def _here(name):
    return (TOP / "bindings" / name).read_text()


def files(_api):
    out = {}
    for name in GO_FILES:
        out[f"go/{name}"] = GO_MODULE.sub(f"{REPOSITORY}/bindings/go", _here(f"go/{name}"))
    version = ".".join(map(str, project_version()))
    for name in ("appmon", "libappmon-sys"):
        text = CARGO_FIELD.sub(rf'\1 = "https://{REPOSITORY}"', _here(f"rust/{name}/Cargo.toml"))
        out[f"rust/{name}/Cargo.toml"] = CARGO_VERSION.sub(rf'\1"{version}"', text)
    licence = (TOP / "LICENSE").read_text()
    return out | {f"{directory}/LICENSE": licence for directory in PUBLISHED}
