"""`%sm_connect` says where the cells act, `%sm_config` how they behave."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.amounts import duration
from sm_magics.errors import CellError
from sm_magics.magics.base import SmMagics, magic
from sm_magics.magics.options import argument, quiet
from sm_magics.nearest import nearest

if TYPE_CHECKING:
    import argparse

    from sm_magics.connection import Connection

__all__ = ["ConnectMagics"]

_OPTIONS = ("state", "profile", "region", "role", "bucket")


@magics_class
class ConnectMagics(SmMagics):
    """The magics about the session itself."""

    @magic(
        "line",
        argument("where", nargs="?", choices=("local", "aws"), help="the embedded engine, or AWS; without, show it"),
        argument("--state", metavar="DIR", help="local: the engine's state directory"),
        argument("--profile", metavar="NAME", help="aws: a profile of ~/.aws"),
        argument("--region", metavar="REGION", help="the AWS region, or the one that a new engine plays"),
        argument("--role", metavar="ARN", help="aws: the execution role of models"),
        argument("--bucket", metavar="NAME", help="aws: where artifacts go; SageMaker's default bucket without"),
        quiet,
    )
    def sm_connect(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Choose where all later cells act: the embedded engine, or an AWS account. Nothing else touches AWS."""
        from sm_magics.connection import connect_aws, connect_local

        if given.where is None:
            _refuse(given, "say where to connect first: %sm_connect local, or aws", *_OPTIONS)
            return _card(self.session.connection())
        if given.where == "local":
            _refuse(given, "it belongs to %sm_connect aws", "profile", "role", "bucket")
            state = Path(given.state).expanduser().absolute() if given.state else None
            return _card(self.session.use(lambda: connect_local(state, region=given.region)))
        _refuse(given, "it belongs to %sm_connect local", "state")
        if given.role is None:
            raise CellError("AWS needs an execution role for models", hint="add --role arn:aws:iam::ACCOUNT:role/NAME")
        connection = connect_aws(role=given.role, profile=given.profile, region=given.region, bucket=given.bucket)
        return _card(self.session.use(lambda: connection))

    @magic("line", argument("settings", nargs="*", metavar="NAME=VALUE", help="what to set; without, show all"), quiet)
    def sm_config(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Show or set how cells behave: display (auto, live, static, text), wait (true, false), timeout (30m)."""
        from sm_magics.render.views import facts
        from sm_magics.results import Card

        settings = self.session.settings
        for each in given.settings:
            name, equals, value = each.partition("=")
            known = list(asdict(settings))
            if not equals or name not in known:
                near = nearest(name, known, 0.5)
                hint = f"did you mean {near}={value or '...'}?" if near else f"there are {', '.join(known)}"
                raise CellError(f"'{each}' sets nothing", hint=hint)
            settings = settings.changed(name, value)
        self.session.settings = settings
        shown = {"display": settings.display, "wait": str(settings.wait).lower(), "timeout": duration(settings.timeout)}
        return Card(facts("Settings", shown))


def _refuse(given: argparse.Namespace, hint: str, *options: str) -> None:
    for option in options:
        if getattr(given, option) is not None:
            raise CellError(f"--{option} says nothing here", hint=hint)


def _card(connection: Connection) -> Any:
    from sm_magics.render.views import facts
    from sm_magics.results import Card

    shown = {
        "account": connection.account,
        "region": connection.region,
        "role": connection.role,
        "artifacts": connection.artifacts.prefix,
    }
    return Card(facts(f"Connected to {connection.label}", shown))
