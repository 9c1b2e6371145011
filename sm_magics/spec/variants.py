"""The variants of an endpoint cell, and the models that it names for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sm_magics.spec.defaults import variant_defaults
from sm_magics.spec.fields import Form, Found, Site
from sm_magics.spec.keys import VARIANT, VARIANTS
from sm_magics.spec.model import UNTOLD, read_source
from sm_magics.spec.nodes import UNKNOWN, Entry, MappingNode, ScalarNode, opened
from sm_magics.spec.problems import clipped
from sm_magics.spec.syntax import missing_space
from sm_magics.spec.types import ModelSource, VariantSpec

if TYPE_CHECKING:
    from sm_magics.service_model import Steps

__all__ = ["HOW", "Models", "read_variants"]

HOW = "write variants: {NAME: $model}"
_EXCLUDES = {
    "ServerlessConfig": ("InstanceType", "InitialInstanceCount", "InstancePools"),
    "InstancePools": ("InstanceType",),
}


class Models:
    """The models that a cell names under `models:`, and which of them its variants serve."""

    def __init__(self, entry: Entry | None, form: Form) -> None:
        self._form = form
        self._entries = _names(entry, "write NAME: {image: ..., data: ...}", form)
        self._sources = {
            each.key: read_source(each, form, ("models", each.key), f"model '{clipped(each.key)}'")
            for each in self._entries
        }
        self._used: set[str] = set()

    def source(self, entry: Entry, path: Steps, label: str) -> ModelSource:
        """Return the model that a variant's `entry` says, by itself or by a name under `models:`."""
        node = entry.value
        if isinstance(node, ScalarNode) and node.expression is None and node.value in self._sources:
            self._used.add(node.value)
            return self._sources[node.value]
        return read_source(entry, self._form, path, label)

    def say_unused(self) -> None:
        """Add the models that no variant serves to the problems."""
        for entry in self._entries:
            if entry.key not in self._used:
                hint = f"remove it, or write model: {clipped(entry.key)} in a variant"
                self._form.say(f"model '{clipped(entry.key)}' is not used by any variant", hint, entry.place)


def read_variants(entry: Entry | None, section: str, models: Models, form: Form) -> tuple[VariantSpec, ...]:
    """Return the variants under `entry`; `section` is where their fields lie in the form."""
    if entry is not None:
        form.locate((section,), Site(entry.key, entry.place, entry.place))
    return tuple(
        _variant(each, (section, each.key), models, form)
        for each in _names(entry, HOW.replace(VARIANTS, section), form)
    )


def _names(entry: Entry | None, hint: str, form: Form) -> tuple[Entry, ...]:
    """Return what stands under names that the reader chooses."""
    node = opened(entry.value) if entry else None
    if isinstance(node, MappingNode) and node.entries:
        return node.entries
    if entry and not (isinstance(node, ScalarNode) and node.value is UNKNOWN):
        spaced = missing_space(node.text) if isinstance(node, ScalarNode) else None
        place = node.place if node and spaced else entry.place
        form.say(f"'{entry.key}' holds no names", spaced or hint, place)
    return ()


def _variant(entry: Entry, path: Steps, models: Models, form: Form) -> VariantSpec:
    node, label = entry.value, f"variant '{clipped(entry.key)}'"
    form.locate(path, Site(label, entry.place, entry.place))
    form.locate((*path, "VariantName"), Site("variant name", entry.place, entry.place))
    found: Found = {}
    if isinstance(node, MappingNode):
        found = form.entries(node, VARIANT, path)
        model = _model(found, path, label, models, form)
    else:
        model = models.source(entry, (*path, "model"), label)
    _say_excluded(found, form)
    fields = form.fill_all(found, VARIANT, path)
    fields = variant_defaults(fields) | fields
    form.check("ProductionVariant", {"VariantName": entry.key, **fields}, path)
    return VariantSpec(entry.key, model, fields)


def _model(found: Found, path: Steps, label: str, models: Models, form: Form) -> ModelSource:
    """Take the model out of a variant's keys."""
    path = (*path, "model")
    entry = found.pop("model", None)
    if entry is not None:
        return models.source(entry, path, f"the model of {label}")
    if not form.is_settled(path):
        form.say(f"{label} needs 'model'", None, form.site(path).key)
    return UNTOLD


def _say_excluded(found: Found, form: Form) -> None:
    for member, others in _EXCLUDES.items():
        for other in others:
            if member in found and other in found:
                message = f"'{found[other].key}' has no place beside '{found[member].key}'"
                form.say(message, "remove one of the two", found[other].place)
