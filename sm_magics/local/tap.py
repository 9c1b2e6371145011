"""What happens to a production variant's requests on the side, without the client noticing: they are captured."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.local.capture import Capture
    from sm_magics.local.instance import Answer

__all__ = ["Tap"]


class Tap:
    """Taps the requests of one variant of one fleet."""

    def __init__(self, variant: str, capture: Capture | None) -> None:
        self._variant = variant
        self._capture = capture

    def request(self, headers: Mapping[bytes, bytes], body: bytes) -> Callable[[Answer], None] | None:
        """Learn of a request that is about to be sent; return who wants its answer, if it is a success.

        Requests that fail are not captured: what the service does with them is not documented.
        """
        capture = self._capture
        if capture is None or not capture.wanted():
            return None
        variant = self._variant
        return lambda answer: capture.take(variant, headers, body, answer)
