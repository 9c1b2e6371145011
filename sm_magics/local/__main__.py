"""Runs an engine on its own: `python -m sm_magics.local --port 0 --state DIR`."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from sm_magics.errors import EngineError
from sm_magics.local.engine import Settings
from sm_magics.local.process import last_region, run

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run an engine until it is stopped; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sm_magics.local",
        description="Serves SageMaker endpoints on this machine. Prints one JSON line when it is ready.",
    )
    parser.add_argument("--state", type=Path, required=True, help="directory that keeps what the engine knows")
    parser.add_argument("--port", type=int, default=0, help="port of 127.0.0.1; 0, the default, takes a free one")
    parser.add_argument("--region", help="AWS region that the engine plays; as before, else us-east-1")
    parser.add_argument("--account", default="123456789012", help="AWS account that the engine plays")
    parser.add_argument(
        "--idle-stop", type=float, default=0, metavar="SECONDS", help="stop when idle and empty so long"
    )
    parser.add_argument("--seed", type=int, default=0, help="makes the order of the traffic repeatable")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    state = given.state.resolve()
    region = given.region or last_region(state) or "us-east-1"
    settings = Settings(state, given.port, region, given.account, idle_seconds=given.idle_stop, seed=given.seed)
    try:
        run(settings, sys.stdout)
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
