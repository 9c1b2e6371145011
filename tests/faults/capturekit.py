"""What the tests of data capture and of shadow variants share."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from enginekit import Wire

TYPES = {"CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}}
BOTH = [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}]


def config(to="s3://captured/here", percentage=100, options=BOTH, **others):
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": percentage,
        "DestinationS3Uri": to,
        "CaptureOptions": options,
        **others,
    }


def captured(root, name):
    """Return the lines captured of an endpoint, and check that every one is whole."""
    lines = []
    for file in sorted(Path(root, name).rglob("*.jsonl")):
        text = file.read_bytes()
        assert text.endswith(b"\n")
        lines += [json.loads(each) for each in text.splitlines()]
    return lines


def invoke_all(engine, name, rows):
    async def run():
        wire = await Wire.open(engine.about)
        got = [await wire.ask(engine.signer.invocation(name, row)) for row in rows]
        wire.close()
        return got

    return asyncio.run(run())
