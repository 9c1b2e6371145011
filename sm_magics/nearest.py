"""The name that was meant by one that is none."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]

LONGEST = 100  # characters: nobody mistypes a longer word, and comparing takes long
LIKE = 0.6


def nearest(word: str, words: Iterable[str], like: float = LIKE) -> str | None:
    """Return the one of `words` that is most like `word`, None when none is like it.

    Where none is as it is written, the case of letters does not count. One less like than 0.6 has to begin with `word`:
    half of a short word is in many others.

    Parameters
    ----------
    like
        How like at least: from 0 for any to 1 for the same, as `difflib.SequenceMatcher.ratio` has it.
    """
    if len(word) > LONGEST:
        return None
    known = list(words)
    by_lower = {each.lower(): each for each in known}
    if word.lower() in by_lower:
        return by_lower[word.lower()]
    if found := difflib.get_close_matches(word, known, n=1, cutoff=max(like, LIKE)):
        return found[0]
    lower = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=max(like, LIKE))
    begun = [each for each in by_lower if each.startswith(word.lower())]
    lower = lower or difflib.get_close_matches(word.lower(), begun, n=1, cutoff=like)
    return by_lower[lower[0]] if lower else None


def did_you_mean(word: str, words: Iterable[str], like: float = LIKE) -> str | None:
    """Return the question that suggests the nearest of `words`, None when none is near."""
    found = nearest(word, words, like)
    return f"did you mean '{found}'?" if found else None
