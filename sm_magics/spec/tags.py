"""The tags of a cell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sm_magics.spec.fields import Form, Site
from sm_magics.spec.keys import TEXTS, sagemaker
from sm_magics.spec.problems import clipped

if TYPE_CHECKING:
    from sm_magics.spec.nodes import Entry

__all__ = ["read_tags"]


def read_tags(entry: Entry | None, form: Form) -> dict[str, str]:
    """Return tags by key; numbers and booleans become text as they are written."""
    if entry is None:
        return {}
    tags = form.fill(entry, "EnvironmentMap", (TEXTS,))
    if not isinstance(tags, dict):
        form.check("EnvironmentMap", tags, (TEXTS,))  # says that it is no mapping
        return {}
    most = sagemaker().shape("TagList").max
    if most is not None and len(tags) > most:
        form.say(f"{len(tags)} tags; at most {most} can be given", None, entry.place)
    for key, value in tags.items():
        _check(key, value, form)
    return tags


def _check(key: str, value: object, form: Form) -> None:
    path = (TEXTS, key)
    site = form.site(path)
    place = site.key
    form.locate(path, replace(site, label=f"tag '{clipped(key)}'"))
    form.locate((*path, "Key"), Site("tag key", place, place))
    form.check("TagKey", key, (*path, "Key"))
    form.check("TagValue", value, path)
    if key.lower().startswith("aws:"):
        form.say(f"tag key '{clipped(key)}' cannot start with aws:", "AWS keeps such keys for itself", place)
