# SPDX-License-Identifier: Apache-2.0
"""Bodies schemathesis cannot write by itself. Loaded by it (SCHEMATHESIS_HOOKS), see test_bad_input.py."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def ndjson(ctx, value):
    return json.dumps(value).encode() + b"\n"


@schemathesis.serializer("application/x-git-receive-pack-request")
def pack(ctx, value):
    return value if isinstance(value, bytes) else json.dumps(value, default=str).encode()
