"""Where cells act: a boto3 session with its clients, a role, and a place for model artifacts.

The embedded engine and AWS differ in how a connection is made and in nothing else: whoever holds a `Connection` makes
the same boto3 calls and need not know which it is.
"""

from __future__ import annotations

from sm_magics.connection.calls import call, is_forbidden, is_missing, refused, unreached
from sm_magics.connection.connect import connect_aws, connect_local, connect_running
from sm_magics.connection.connection import Connection
from sm_magics.connection.stores import ArtifactStore

__all__ = [
    "ArtifactStore",
    "Connection",
    "call",
    "connect_aws",
    "connect_local",
    "connect_running",
    "is_forbidden",
    "is_missing",
    "refused",
    "unreached",
]
