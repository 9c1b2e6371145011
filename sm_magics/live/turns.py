"""One thing at a time: what buttons ask for, each in its turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Task", "Turns"]


@dataclass(frozen=True, slots=True)
class Task:
    """What a button asks for.

    Attributes
    ----------
    name
        Of the button.
    begin
        Does it, and gives what happens on the way.
    asked
        What for, in words.
    changes
        Whether it changes the endpoint; if not, it is over soon and nothing that follows depends on it.
    says
        The weights and the instances that the sliders said, where it is about them.
    leaves
        How it leaves the endpoint where it changes it and all goes well, as the log would say it.
    """

    name: str
    begin: Callable[[], Iterable[object]]
    asked: str = ""
    changes: bool = True
    says: tuple[Mapping[str, float], Mapping[str, int]] | None = None
    leaves: str = "InService"


class Turns:
    """What is done now, and the one thing that may come next. Its user holds a lock."""

    def __init__(self, start: Callable[[Task], None]) -> None:
        self._start = start
        self._now: Task | None = None
        self._next: Task | None = None

    @property
    def busy(self) -> bool:
        """Whether anything is done."""
        return self._now is not None

    @property
    def change(self) -> Task | None:
        """The change that is made or comes next; no other can be asked for before its end."""
        return next((each for each in (self._now, self._next) if each is not None and each.changes), None)

    def ask(self, task: Task) -> Task | None:
        """Begin with a task, at once or after one that changes nothing; return the change that is in its way."""
        if (other := self.change) is not None:
            return other
        if self._now is None:
            self._now = task
            self._start(task)
        else:
            self._next = task
        return None

    def over(self) -> None:
        """Begin with the next task, as the one of now has ended."""
        self._now, self._next = self._next, None
        if self._now is not None:
            self._start(self._now)
