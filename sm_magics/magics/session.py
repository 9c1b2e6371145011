"""What the magics of one shell share: the connection, the settings, the declared models, and how results are shown."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sm_magics.clock import Clock
from sm_magics.errors import CellError, Detached
from sm_magics.magics.options import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from sm_magics.compare.load import Load
    from sm_magics.connection import Connection
    from sm_magics.live.poller import Poller

__all__ = ["DISPLAYS", "Session", "Settings"]

DISPLAYS = ("auto", "live", "static", "text")


@dataclass(frozen=True, slots=True)
class Settings:
    """What `%sm_config` sets: how progress is shown, and whether and how long cells wait (seconds)."""

    display: str = "auto"
    wait: bool = True
    timeout: float = 3600.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Return the settings that a new shell begins with.

        Raises
        ------
        CellError
            When `SM_MAGICS_DISPLAY` is none of the displays.
        """
        display = environment.get("SM_MAGICS_DISPLAY")
        try:
            return cls() if display is None else cls().changed("display", display)
        except CellError as error:
            raise CellError(f"SM_MAGICS_DISPLAY: {error.message}", hint=error.hint) from None

    def changed(self, name: str, text: str) -> Settings:
        """Return the settings with one changed.

        Raises
        ------
        CellError
            When the value is none that the setting takes.
        """
        if name == "display" and text in DISPLAYS:
            return replace(self, display=text)
        if name == "wait" and text in {"true", "false"}:
            return replace(self, wait=text == "true")
        if name == "timeout":
            try:
                return replace(self, timeout=duration(text))
            except argparse.ArgumentTypeError as error:
                raise CellError(f"timeout: {error}") from None
        takes = {"display": ", ".join(DISPLAYS), "wait": "true or false"}[name]
        raise CellError(f"{name} cannot be '{text}'", hint=f"it takes {takes}")


@dataclass
class Session:
    """One shell's state.

    The connection is made on first use: to the embedded engine, unless `%sm_connect` said otherwise.
    """

    shell: Any
    settings: Settings = field(default_factory=lambda: Settings.from_environment(os.environ))
    declared: dict[str, str] = field(default_factory=dict)
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    loads: dict[str, Load] = field(default_factory=dict)  # the last on each endpoint
    connect: Callable[[], Connection] | None = None
    clock: Clock = field(default_factory=Clock)
    _connection: Connection | None = None
    _pollers: dict[int, Poller] = field(default_factory=dict)
    _shown: dict[object, tuple[object, list[Any]]] = field(default_factory=dict)  # by cell: its last run, what is live

    @property
    def variables(self) -> Mapping[str, Any]:
        """The notebook's variables, without what IPython itself put there."""
        hidden = self.shell.user_ns_hidden
        return {name: value for name, value in self.shell.user_ns.items() if hidden.get(name, hidden) is not value}

    @property
    def connected(self) -> Connection | None:
        """The connection that was made, None before the first use."""
        return self._connection

    def connection(self) -> Connection:
        """Return the connection; the engine is started again should it have stopped."""
        if self.connect is None:
            from sm_magics.connection import connect_local

            self.connect = connect_local
        if self._connection is None or not self._connection.alive():
            self._connection = self.connect()
        return self._connection

    def use(self, connect: Callable[[], Connection]) -> Connection:
        """Make the connection that all later cells use."""
        connection = connect()
        self.connect, self._connection = connect, connection
        self.declared.clear()
        return connection

    def close(self) -> None:
        """End what goes on in the background."""
        for load in self.loads.values():
            load.stop()
        for poller in self._pollers.values():
            poller.close()

    @property
    def in_kernel(self) -> bool:
        """Whether the shell is a kernel's, so that there may be a front end with widgets."""
        return hasattr(self.shell, "kernel")

    def poller(self) -> Poller:
        """Return who looks at the endpoints of the connection, for all that is live."""
        from sm_magics.live.poller import Poller

        connection = self.connection()
        return self._pollers.setdefault(id(connection), Poller(connection, self.clock))

    def live(self, make: Callable[[], Any]) -> Callable[[Mapping[str, str]], None] | None:
        """Return what shows a record's bundle and below it what `make` makes; None where records are all that is shown.

        Those are two outputs, as one that holds both would be an error where it is opened again. A cell that is run
        again ends what it showed before.
        """
        if not self.in_kernel or self.settings.display not in {"auto", "live"} or find_spec("ipywidgets") is None:
            return None

        @cache
        def made() -> Any:
            asked = self.shell.get_parent()
            run = (asked.get("header") or {}).get("msg_id")
            cell = (asked.get("metadata") or {}).get("cellId") or run
            before, shown = self._shown.get(cell, (run, []))
            if before != run:
                for each in shown:
                    each.close()
                shown = []
            shown.append(make())
            self._shown[cell] = run, shown
            return shown[-1]

        def show(bundle: Mapping[str, str]) -> None:
            from IPython.display import display

            from sm_magics.live.widgets import live_bundle

            display(bundle, raw=True)
            display(live_bundle(made().widget), raw=True)

        return show

    def follow(self, events: Iterable[Any], given: argparse.Namespace, *, calm: bool = False) -> list[Any]:
        """Show events while they happen, and return them; of looks that follow each other only the last.

        Parameters
        ----------
        calm
            Whether an interrupt only ends the looking, where nothing was asked of the service.

        Raises
        ------
        Detached
            When the user interrupts: it says what was asked for, which goes on by itself, and what was not.
        """
        from sm_magics.events import Loading, Progress, Seen, interrupted
        from sm_magics.live.display import Nothing, choose
        from sm_magics.logs import Printed

        display = Nothing() if given.quiet else choose(self.settings.display, self.shell, sys.stdout.write)
        happened: list[Any] = []
        try:
            for event in events:
                display.show(event)
                looks = isinstance(event, Seen | Printed | Progress | Loading)
                if happened and looks and type(event) is type(happened[-1]):
                    happened.pop()
                happened.append(event)
        except Detached:
            raise  # which says already what it leaves
        except KeyboardInterrupt:
            if not calm:
                raise Detached("\n  ".join([*interrupted(happened), *_last_seen(happened)])) from None
        finally:
            display.close()
        return happened

    @property
    def prints(self) -> bool:
        """Whether what happens is told in lines, which stay, and not by a card, which goes."""
        from sm_magics.live.display import Lines, choose

        return isinstance(choose(self.settings.display, self.shell, sys.stdout.write), Lines)

    def waits(self, given: argparse.Namespace) -> bool:
        """Whether this call waits: as the line says, else as the settings say."""
        return self.settings.wait if given.wait is None else bool(given.wait)

    def timeout(self, given: argparse.Namespace) -> float:
        """How long this call waits at most, in seconds."""
        return self.settings.timeout if given.timeout is None else float(given.timeout)

    def keep(self, name: str | None, value: Any) -> None:
        """Put a result into the variable that `-o` names."""
        if name is not None:
            self.shell.user_ns[name] = value


def _last_seen(happened: Sequence[Any]) -> list[str]:
    """Return where the endpoint was at the last look, as the card told it that goes away with an interrupt."""
    from sm_magics.events import Seen
    from sm_magics.render.watching import summary

    last = happened[-1] if happened else None
    if not isinstance(last, Seen):
        return []
    told = summary(last.snapshot)
    return [f"last seen: {last.snapshot.status}" + (f", {told}" if told else "")]
