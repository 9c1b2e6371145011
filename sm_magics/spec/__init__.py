"""The cell: YAML with positions and `$` variables, read into plain data by the keys that the service model knows.

Nothing here speaks to AWS or to the notebook.
"""

from __future__ import annotations

from sm_magics.spec.alarms import alarm_words
from sm_magics.spec.capture import CAPTURE, is_path
from sm_magics.spec.complete import Suggestion, Suggestions, suggest
from sm_magics.spec.deployment import policy_words
from sm_magics.spec.endpoint import parse_endpoint
from sm_magics.spec.explain import example, explain, explain_below, words
from sm_magics.spec.model import parse_model
from sm_magics.spec.options import parse_options
from sm_magics.spec.types import (
    AlarmSpec,
    EndpointSpec,
    ModelFields,
    ModelObject,
    ModelSource,
    ModelSpec,
    NamedModel,
    VariantSpec,
)
from sm_magics.spec.variables import resolve
from sm_magics.spec.yaml_out import to_yaml

__all__ = [
    "CAPTURE",
    "AlarmSpec",
    "EndpointSpec",
    "ModelFields",
    "ModelObject",
    "ModelSource",
    "ModelSpec",
    "NamedModel",
    "Suggestion",
    "Suggestions",
    "VariantSpec",
    "alarm_words",
    "example",
    "explain",
    "explain_below",
    "is_path",
    "parse_endpoint",
    "parse_model",
    "parse_options",
    "policy_words",
    "resolve",
    "suggest",
    "to_yaml",
    "words",
]
