"""`rollback_on:`: the alarms that end an update, by name or described in the cell."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from sm_magics.amounts import duration, percentage, seconds
from sm_magics.nearest import did_you_mean
from sm_magics.spec.deployment import DEPLOYMENT, watched_seconds, watches
from sm_magics.spec.fields import Form, Found, Site
from sm_magics.spec.keys import ALARM, ERRORS, LATENCIES, STATISTICS, sagemaker
from sm_magics.spec.nodes import UNKNOWN, Entry, ListNode, MappingNode, ScalarNode, opened
from sm_magics.spec.problems import clipped
from sm_magics.spec.rules import shown
from sm_magics.spec.types import AlarmSpec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sm_magics.service_model import Steps
    from sm_magics.spec.problems import Place

__all__ = ["alarm_words", "check_alarms", "read_alarms"]

ROLLBACK = "rollback_on"
ALARMS: Steps = (DEPLOYMENT, "AutoRollbackConfiguration", "Alarms")
HOW = "write rollback_on: [NAME], or [{metric: Invocation5XXErrors, above: 1%, for: 1m}]"
MINUTE, DAY = 60, 86_400
SHORT_PERIODS = (10, 20, 30)  # seconds; CloudWatch takes these and multiples of a minute
_PERCENTILE = re.compile(r"p(\d{1,2}(\.\d{1,10})?|100)")


def read_alarms(
    entry: Entry | None, variants: Sequence[str], form: Form
) -> tuple[dict[str, Any], tuple[AlarmSpec, ...]]:
    """Return the AutoRollbackConfiguration of the alarms that are named, and those that are described."""
    if entry is None:
        return {}, ()
    node = opened(entry.value)
    site = Site(entry.key, entry.place, node.place, node.expression)
    form.locate((ROLLBACK,), site)
    form.locate(ALARMS, site)
    if not isinstance(node, ListNode) or not node.items:
        if not (isinstance(node, ScalarNode) and node.value is UNKNOWN):
            empty = isinstance(node, ListNode)
            form.say(f"{entry.key} {'is empty' if empty else 'must be a list of alarms'}", HOW, entry.place)
        return {}, ()
    names: list[str] = []
    alarms: list[AlarmSpec] = []
    for number, item in enumerate(map(opened, node.items)):
        label = f"{entry.key}[{number}]"
        if isinstance(item, MappingNode):
            alarms += filter(None, [_alarm(item, label, variants, form)])
        elif isinstance(item, ScalarNode) and isinstance(item.value, str):
            _name(item, label, names, form)
        elif not (isinstance(item, ScalarNode) and item.value is UNKNOWN):
            value = item.value if isinstance(item, ScalarNode) else []
            form.say(f"{label} must be the name of an alarm, not {shown(value, item.expression)}", HOW, item.place)
    named = {"Alarms": [{"AlarmName": each} for each in names]}
    return named if names else {}, tuple(dict.fromkeys(alarms))


def check_alarms(config: Mapping[str, Any], alarms: Sequence[AlarmSpec], variants: int, form: Form) -> None:
    """Add to `form` what is wrong with the alarms of a deployment as a whole; `variants` is how many there are."""
    site = form.site((ROLLBACK,))
    named = (config.get("AutoRollbackConfiguration") or {}).get("Alarms") or ()
    count = len(named) + sum(1 if each.variant else variants for each in alarms)
    most = sagemaker().shape("AlarmList").max or 0
    if alarms and count > most:
        each = f", one for each of the {variants} variants" if variants > 1 else ""
        form.say(f"{count} alarms{each}; a deployment takes at most {most:g}", "name a 'variant' in some", site.key)
    longest = max((each.seconds for each in alarms), default=0)
    watched = None if form.problems else watched_seconds(config)
    if watched is not None and watches(config) and longest > watched:
        told = f"an alarm that must be above for {duration(longest)} cannot go off: the new fleet is watched for"
        hint = f"make 'for' shorter, or 'wait' or 'bake' longer: {duration(2 * longest)} is safe"
        form.say(f"{told} {duration(watched)} in all", hint, site.key)
    if (alarms or named) and site.key and not watches(config) and not form.problems:
        hint = "write deploy: {canary: 10%, wait: 5m}, or deploy: {all-at-once: true, bake: 5m}"
        form.say(f"{ROLLBACK} watches nothing when all traffic moves at once and the old fleet goes", hint, site.key)


def alarm_words(alarm: AlarmSpec) -> dict[str, str]:
    """Return the keys that describe an alarm in a cell."""
    if alarm.metric in LATENCIES:
        above, stat = duration(alarm.threshold / 1e6), alarm.stat if alarm.stat != "Average" else ""
    elif alarm.stat == "Average":
        above, stat = f"{round(alarm.threshold * 100, 9):.12g}%", ""
    else:
        above, stat = f"{alarm.threshold:.15g}", alarm.stat if alarm.stat != "Sum" else ""
    words = {"metric": alarm.metric, "above": above, "for": duration(alarm.seconds)}
    return words | {key: text for key, text in (("stat", stat), ("variant", alarm.variant)) if text}


def _name(item: ScalarNode, label: str, names: list[str], form: Form) -> None:
    form.locate((*ALARMS, len(names)), Site(label, item.place, item.place, item.expression))
    if item.value in names:
        form.say(f"alarm '{clipped(item.value)}' is named twice", "keep one of the two", item.place)
    names.append(item.value)


def _alarm(node: MappingNode, label: str, variants: Sequence[str], form: Form) -> AlarmSpec | None:
    """Return the alarm that a mapping describes, None where that cannot be told."""
    before = len(form.problems)
    found = form.entries(node, ALARM, (ROLLBACK, label))
    for key in ("metric", "above"):
        if key not in found and not form.is_settled((ROLLBACK, label, key)):
            form.say(f"{label} needs '{key}'", HOW, node.place)
    metric = _word(found, "metric", (*ERRORS, *LATENCIES), form)
    stat = _stat(found, form)
    variant = _word(found, "variant", tuple(variants), form)
    length = _length(found, form)
    limit = _limit(found, metric, stat, form) if metric else None
    if len(form.problems) > before or metric is None or limit is None:
        return None
    threshold, of = limit
    return AlarmSpec(metric, of, threshold, length, variant)


def _text(found: Found, key: str, form: Form) -> tuple[Any, Place | None, str]:
    """Return the value under `key`, where it stands, and how messages show it; None where it has none."""
    if key not in found:
        return None, None, ""
    node = opened(found[key].value)
    value = node.value if isinstance(node, ScalarNode) else [] if isinstance(node, ListNode) else {}
    if value is UNKNOWN:
        form.settle((ROLLBACK,))
        return UNKNOWN, node.place, ""
    if value is None:
        form.say(f"{key} has no value", "give it one, or remove the key", found[key].place)
    return value, node.place, shown(value, node.expression) if value is not None else ""


def _word(found: Found, key: str, words: tuple[str, ...], form: Form) -> str | None:
    value, place, got = _text(found, key, form)
    if value is None or value is UNKNOWN or value in words:
        return value if isinstance(value, str) else None
    near = did_you_mean(value, words) if isinstance(value, str) else None
    hint = near or f"write {' or '.join(words)}"
    if key == "metric":
        hint = near or f"write one of {', '.join(words)}; for another, make the alarm yourself and name it"
    form.say(f"{key} cannot be {got}", hint, place)
    return None


def _stat(found: Found, form: Form) -> str | None:
    value, place, got = _text(found, "stat", form)
    if value is None or value is UNKNOWN:
        return None
    if isinstance(value, str) and (value in STATISTICS or _PERCENTILE.fullmatch(value)):
        return value
    near = did_you_mean(value, STATISTICS) if isinstance(value, str) else None
    form.say(f"stat cannot be {got}", near or "write Average, Sum, Minimum, Maximum, SampleCount, or p99", place)
    return None


def _length(found: Found, form: Form) -> int:
    value, place, got = _text(found, "for", form)
    if value is None or value is UNKNOWN:
        return MINUTE
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 31
    amount = float(value) if is_number else seconds(value)
    if amount is None:
        form.say(f"for must be a duration such as 1m, not {got}", None, place)
        return MINUTE
    if amount not in SHORT_PERIODS and (amount % MINUTE or not amount):
        form.say(f"for must be whole minutes, or 10s, 20s or 30s, not {got}", None, place)
    elif amount > DAY:
        form.say(f"for must be at most {duration(DAY)}, not {got}", None, place)
    return int(amount)


def _limit(found: Found, metric: str, stat: str | None, form: Form) -> tuple[float, str] | None:
    """Return the threshold in CloudWatch's unit, and the statistic that is held against it."""
    value, place, got = _text(found, "above", form)
    if value is None or value is UNKNOWN:
        return None
    if metric in LATENCIES:
        amount = seconds(value)
        if amount is not None:
            return round(amount * 1e6, 3), stat or "Average"  # CloudWatch has latencies in microseconds
        form.say(f"above must be a duration such as 200ms for {metric}, not {got}", None, place)
        return None
    share = percentage(value)
    if share is not None:
        # Of each invocation 1 or 0 is published: their average is the share of the invocations.
        if stat not in {None, "Average"}:
            form.say("'stat' has no place beside a percentage", "remove it", found["stat"].place)
        elif share >= 100:  # noqa: PLR2004 - percent
            form.say(f"above must be less than 100%, not {got}", "no share is above all", place)
        else:
            return round(share / 100, 9), "Average"
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0:
        return float(value), stat or "Sum"
    else:
        form.say(f"above must be a percentage such as 1%, or a number of invocations, not {got}", None, place)
    return None
