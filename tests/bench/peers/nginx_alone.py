"""The limit: nginx that answers a fixed 200."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nginx import written

if __name__ == "__main__":
    port, folder = sys.argv[1], Path(sys.argv[2])
    command = written(folder, port, 'return 200 "ok";')
    os.execvp(command[0], command)
