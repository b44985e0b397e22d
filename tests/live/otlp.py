# SPDX-License-Identifier: BSD-2-Clause
"""Reads OTLP's protobuf with OpenTelemetry's own classes (PyPI opentelemetry-proto)."""
import base64
import os
import subprocess
import sys

import pytest

from programs import building

# The latest one for Debian bookworm's python3-protobuf.
PACKAGE = "opentelemetry-proto==1.27.0"


def _load():
    pytest.importorskip("google.protobuf", reason="python3-protobuf is not installed")
    directory = os.path.join(os.path.abspath(os.environ["APPMON_BUILD"]), "live", "otlp-proto")
    with building(directory):
        if not os.path.exists(f"{directory}/opentelemetry"):
            done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps",
                                   "--target", directory, PACKAGE], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
            if done.returncode:
                pytest.skip(f"pip cannot install {PACKAGE}: {done.stdout[-500:]}")
    if directory not in sys.path:
        sys.path.append(directory)


def decoder():
    """decode(path, body): what was sent to a path, as OTLP has it in JSON."""
    _load()
    from google.protobuf.json_format import MessageToDict
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    requests = {"/v1/metrics": ExportMetricsServiceRequest, "/v1/traces": ExportTraceServiceRequest}

    def decode(path, body):
        message = requests[path].FromString(body)
        # A field of a wrong number or type would be among the unknown ones.
        known = requests[path].FromString(body)
        known.DiscardUnknownFields()
        assert known.SerializeToString() == message.SerializeToString()
        return _ids_as_hex(MessageToDict(message, use_integers_for_enums=True))
    return decode


def _ids_as_hex(value):
    """Bytes are base64 in protobuf's JSON, but OTLP's ids are hexadecimal."""
    if isinstance(value, list):
        return [_ids_as_hex(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {key: base64.b64decode(item).hex() if key in ("traceId", "spanId", "parentSpanId")
            else _ids_as_hex(item) for key, item in value.items()}
