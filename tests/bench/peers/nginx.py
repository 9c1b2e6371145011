"""The config of nginx for the peers that run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["written"]

CONFIG = """
{user}worker_processes auto;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 2048; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  {upstream}
  server {{ listen 127.0.0.1:{port}; location / {{ {location} }} }}
}}
"""


def written(folder: Path, port: str, location: str, *, upstream: str = "", user: str = "") -> list[str]:
    """Write the config into a folder, and return the command that runs nginx with it."""
    told = CONFIG.format(folder=folder, port=port, location=location, upstream=upstream, user=user)
    (folder / "nginx.conf").write_text(told)
    return ["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "nginx.log")]
