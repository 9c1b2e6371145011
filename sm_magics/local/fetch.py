"""Fetches one S3 object with the user's AWS credentials: `python -m sm_magics.local.fetch URL TARGET`.

A process of its own, so that the engine needs neither boto3 nor credentials in its memory. A target of `-` only looks
whether the object is there. What was fetched before is kept while the object's ETag is the same.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["fetch"]


def fetch(url: str, target: Path | None) -> None:
    """Bring the object at `url` to `target`, or only look for it.

    Raises
    ------
    botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError
        When the object cannot be had.
    """
    import boto3  # noqa: PLC0415 - costs a third of a second

    bucket = urlsplit(url).netloc
    key = url.removeprefix(f"s3://{bucket}/")
    client = boto3.client("s3")
    etag = client.head_object(Bucket=bucket, Key=key)["ETag"]
    if target is None:
        return
    noted = target.with_suffix(".etag")
    if target.is_file() and noted.is_file() and noted.read_text() == etag:
        return
    partial = target.with_suffix(".partial")
    client.download_file(bucket, key, str(partial))
    partial.replace(target)
    noted.write_text(etag)


def main() -> int:
    url, target = sys.argv[1:]
    try:
        fetch(url, None if target == "-" else Path(target))
    except Exception as error:  # noqa: BLE001 - whatever it is, its text is the answer
        sys.stderr.write(f"{error}\n".replace(os.linesep, " ") + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
