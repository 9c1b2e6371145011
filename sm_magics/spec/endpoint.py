"""The cell that declares an endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_magics.spec.alarms import check_alarms, read_alarms
from sm_magics.spec.capture import CAPTURE, filled_capture
from sm_magics.spec.deployment import DEPLOYMENT, check_deployment, read_deployment
from sm_magics.spec.fields import Form, Found
from sm_magics.spec.keys import ENDPOINT, sagemaker
from sm_magics.spec.limits import SHADOW, VARIANTS, check_together
from sm_magics.spec.nodes import UNKNOWN, Entry, MappingNode, Node, ScalarNode, opened, read
from sm_magics.spec.problems import Source
from sm_magics.spec.rules import shown
from sm_magics.spec.syntax import missing_space
from sm_magics.spec.tags import read_tags
from sm_magics.spec.types import AlarmSpec, EndpointSpec
from sm_magics.spec.variants import HOW, Models, read_variants

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["parse_endpoint"]


def parse_endpoint(text: str, name: str, variables: Mapping[str, Any], *, first_line: int = 1) -> EndpointSpec:
    """Read the body of an endpoint cell.

    Parameters
    ----------
    text
        The cell without its first line, the magic's.
    name
        The endpoint's name, from the magic's line.
    variables
        What `$` expressions may name.
    first_line
        The number that the first line of `text` has for the reader.

    Raises
    ------
    CellError
        With all that is wrong with the cell.
    """
    source, form = Source(text, first_line), Form()
    form.check_name("EndpointName", name, "endpoint name")
    node = read(source, variables, form.problems)
    spec = _endpoint(_found(node, form), name, form)
    if form.problems:
        raise source.error(form.problems)
    return spec


def _found(root: Node | None, form: Form) -> Found:
    """Return the keys at the top of the cell."""
    node = opened(root) if root else None
    if isinstance(node, MappingNode):
        found = form.entries(node, ENDPOINT, ())
        if VARIANTS not in found and not form.is_settled((VARIANTS,)):
            form.say("the cell has no 'variants'", HOW, node.place)
        return found
    if node is None:
        form.say("the cell names no variants", HOW)
    elif not isinstance(node, ScalarNode):
        form.say("an endpoint cell holds keys and values, not a list", HOW, node.place)
    elif node.value is not UNKNOWN:
        hint = missing_space(node.text) or HOW
        form.say(f"an endpoint cell holds keys and values, not {shown(node.value, node.expression)}", hint, node.place)
    return {}


def _endpoint(found: Found, name: str, form: Form) -> EndpointSpec:
    models = Models(found.pop("models", None), form)
    variants = read_variants(found.pop(VARIANTS, None), VARIANTS, models, form)
    shadow = read_variants(found.pop(SHADOW, None), SHADOW, models, form)
    models.say_unused()
    tags = read_tags(found.pop("Tags", None), form)
    role = _role(found.pop("role", None), form)
    policy, alarms = _guardrails(found, [each.name for each in variants], form)
    config, deployment = _requests(found, policy, form)
    fields = {each.name: each.fields for each in variants}
    check_together(fields, {each.name: each.fields for each in shadow}, config, form)
    if policy:
        check_deployment(policy, len(variants), form)
    check_alarms(policy, alarms, len(variants), form)
    return EndpointSpec(name, variants, shadow, config, deployment, tags, role, alarms)


def _role(entry: Entry | None, form: Form) -> str | None:
    if entry is None:
        return None
    path = ("role",)
    role: str | None = form.fill(entry, "RoleArn", path)
    form.check("RoleArn", role, path)
    return role


def _guardrails(found: Found, variants: list[str], form: Form) -> tuple[dict[str, Any], tuple[AlarmSpec, ...]]:
    """Return the DeploymentConfig with the alarms it names, and the alarms that the cell describes."""
    entry = found.pop("rollback_on", None)
    policy = read_deployment(found.pop(DEPLOYMENT, None), form)
    named, alarms = read_alarms(entry, variants, form)
    if entry and "AutoRollbackConfiguration" in policy:
        form.say(f"'{entry.key}' and 'auto_rollback_configuration' are the same", "keep one of the two", entry.place)
    return policy | ({"AutoRollbackConfiguration": named} if named else {}), alarms


def _requests(found: Found, policy: dict[str, Any], form: Form) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the members of the endpoint config, and those of the deployment."""
    values = form.fill_all(found, ENDPOINT, ()) | ({DEPLOYMENT: policy} if policy else {})
    if CAPTURE in values:
        values[CAPTURE] = filled_capture(values[CAPTURE], form)
    members = sagemaker().shape("CreateEndpointConfigInput").members
    config = {member: value for member, value in values.items() if member in members}
    deployment = {member: value for member, value in values.items() if member not in members}
    form.check_all("CreateEndpointConfigInput", config, ())
    form.check_all("UpdateEndpointInput", deployment, ())
    return config, deployment
