"""How what is asked for and what is there differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_magics.target import AMOUNTS, ENDPOINT_TAG, Share, content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.target import Live, Target

__all__ = ["after_update", "difference", "same_content"]


_FIELD_WORDS = {
    "ModelName": "another model",
    "InstanceType": "another instance type",
    "ShadowProductionVariants": "shadow",
    "DataCaptureConfig": "capture",
}


def same_content(target: Target, live: Live) -> bool:
    if ENDPOINT_TAG in live.tags and _hash_in(live.config_name) == target.content_hash:
        return True
    if live.config is None or dropped(target, live):
        return False
    return _within(content(target.config), content(live.config)) and target.shares.keys() == live.shares.keys()


def after_update(target: Target, live: Live) -> Mapping[str, Share]:
    """Return the shares after UpdateEndpoint, which keeps the live ones when it is told to."""
    if not target.deployment.get("RetainAllVariantProperties"):
        return target.shares
    excluded = {each["VariantPropertyType"] for each in target.deployment.get("ExcludeRetainedVariantProperties") or ()}

    def kept(name: str, share: Share) -> Share:
        now = live.shares.get(name, share)
        return Share(
            share.weight if "DesiredWeight" in excluded else now.weight,
            share.count if "DesiredInstanceCount" in excluded else now.count,
        )

    return {name: kept(name, share) for name, share in target.shares.items()}


def difference(target: Target, live: Live) -> str:
    """Say in words what differs between the live config and the target."""
    old = {each["VariantName"]: each for each in (live.config or {}).get("ProductionVariants", ())}
    new = {each["VariantName"]: each for each in target.config["ProductionVariants"]}
    reasons = [f"without {name}" for name in old if name not in new]
    reasons += [f"with {name}" for name in new if name not in old]
    for name, wanted in new.items():
        had = old.get(name, wanted)
        changed = [key for key in {**wanted, **had} if key not in AMOUNTS and wanted.get(key) != had.get(key)]
        reasons += [f"{name}: {_FIELD_WORDS.get(key, key)}" for key in changed]
    reasons += [f"without {_FIELD_WORDS.get(key, key)}" for key in dropped(target, live)]
    return ", ".join(reasons) or "the endpoint config differs"


def dropped(target: Target, live: Live) -> list[str]:
    """Return what the live config has and the cell leaves out: a shadow, capture. The service adds none by itself."""
    return sorted(key for key, value in content(live.config or {}).items() if value and key not in target.config)


def _within(wanted: Any, found: Any) -> bool:
    """Whether all that is wanted is found; what the service filled in by itself does not count."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and _within(wanted[key], found[key]) for key in wanted)
    if isinstance(wanted, list):
        return len(wanted) == len(found) and all(map(_within, wanted, found))
    return bool(wanted == found)


def _hash_in(config_name: str) -> str:
    parts = config_name.rsplit("-", 2)
    return parts[1] if len(parts) == 3 else ""  # noqa: PLR2004 - name, content, amounts
