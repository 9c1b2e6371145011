"""Changed models of xgboost, each loaded in a process of its own, as a worker does: it may only end in time.

Started as a program it reads scripts in hexadecimal, a line for each, and writes how the process of each ended. It has
one thread, so that forking it is safe whatever the tests' own process has loaded.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import traceback
from array import array
from functools import cache
from pathlib import Path

from sm_magics.local.containers import LoadError
from sm_magics.local.containers.tables import Dense
from sm_magics.local.containers.xgboost_artifact import load_model
from sm_magics.local.containers.xgboost_dialect import dialect
from sm_magics.local.containers.xgboost_library import LibraryError, library

SECONDS, MEMORY = 20, 8 << 30  # what loading one model may take
LOADED, WRONG, REFUSED = 0, 1, 3
SIGNALS = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
ABORTED = frozenset(-each for each in SIGNALS)  # libxgboost's own crash, which ends the worker and nothing else
NUMBERS = (b"-1", b"0", b"2147483647", b"-2147483648", b"1e308", b"99999999999999999999", b"NaN", b"[]", b"{}", b"null")
EXTREMES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0", b"\0\x01\0\0")
PARAMETERS = (
    {"max_depth": 2},
    {"booster": "gblinear"},
    {"booster": "dart", "max_depth": 1},
    {"objective": "multi:softprob", "num_class": 3, "max_depth": 1},
)
TRAIN = f"""
import sys, numpy as np, xgboost as xgb
rows = np.random.default_rng(0).normal(size=(40, 3))
for parameters in {PARAMETERS}:
    booster = xgb.train({{"nthread": 1, **parameters}}, xgb.DMatrix(rows, np.arange(40) % 3), 2)
    for kind in ("json", "ubj"):
        print(bytes(booster.save_raw(kind)).hex())
"""


@cache
def models():
    """Return small models of each kind, trained by another process, and the beginnings of the dropped binary format."""
    told = subprocess.run([sys.executable, "-c", TRAIN], check=True, capture_output=True)
    names = (b"reg:squarederror", b"gbtree")
    header = struct.pack("<fIiIIII", 0.5, 3, 0, 1, 0, 1, 7) + bytes(27 * 4)
    binary = header + b"".join(struct.pack("<Q", len(name)) + name for name in names) + bytes(200)
    return [*(bytes.fromhex(line.decode()) for line in told.stdout.split()), b"binf" + binary, binary]


def script(chance):
    """Return a random script of few changes: a model with hundreds is only rubbish."""
    return chance.randbytes(1 + 4 * chance.randint(1, 6))


def changed(script):
    """Return a model as the bytes say: which one, then changes of four bytes each - the kind, the place, a value."""
    if not script:
        return b""
    model = bytearray(models()[script[0] % len(models())])
    for step in range(1, len(script) - 3, 4):
        place = int.from_bytes(script[step + 1 : step + 3], "big") * len(model) >> 16
        _change(model, script[step], place, script[step + 3])
    return bytes(model)


def _change(model, kind, place, value):
    match kind % 8:
        case 0 | 1:
            model[place : place + 1] = bytes([value])
        case 2 | 3:
            model[place : place + 4] = EXTREMES[value % len(EXTREMES)]
        case 4:
            model[place:place] = model[place : place + value]
        case 5 if value % 4 == 0:
            del model[max(place, 1) :]
        case _:  # a number of JSON, wherever the next one is
            found = re.search(rb"-?\d[\d.E-]*", model[place:])
            if found:
                model[place + found.start() : place + found.end()] = NUMBERS[value % len(NUMBERS)]


def load_apart(data):
    """Load a model and predict a row in a process of its own; return how that ended."""
    library()  # once, before the forks
    pid = os.fork()
    if pid == 0:
        _load_and_leave(data)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _load_and_leave(data):
    status = WRONG
    try:
        for each in (signal.SIGALRM, *SIGNALS):
            signal.signal(each, signal.SIG_DFL)
        signal.alarm(SECONDS)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "xgboost-model").write_bytes(data)
            try:
                model = load_model(Path(folder), dialect("3.2-0"), {})
            except LoadError as refused:
                status = REFUSED if str(refused).startswith("Unable to load model: ") else WRONG
            else:
                columns = min(model.columns, 1000)
                (answer,) = model.predict([Dense(array("f", [1.0] * columns), 1, columns)])
                assert isinstance(answer, LibraryError) or answer.values is not None
                status = LOADED
    except BaseException:  # noqa: BLE001 - a forked child must not go on as its parent
        traceback.print_exc()
    finally:
        os._exit(status)


def main():
    for line in sys.stdin:
        sys.stdout.write(f"{load_apart(changed(bytes.fromhex(line)))}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
