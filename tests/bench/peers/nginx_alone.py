"""The limit: nginx that answers a fixed 200."""

from __future__ import annotations

import os
import sys
from pathlib import Path

NGINX = """
worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok"; }} }}
}}
"""

if __name__ == "__main__":
    port, folder = sys.argv[1], Path(sys.argv[2])
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    os.execvp("nginx", ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")])
