"""Short names of prebuilt images, such as `xgboost@3.0-5`, and the registry URIs that they stand for.

`images.json` says which registry account publishes an image in a region. Frameworks share one account, and so do the
older algorithms; `xgboost:1` has accounts of its own. An account that is not listed does not publish the image there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from sm_magics.errors import PackagingError
from sm_magics.nearest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KNOWN", "Known", "image_uri", "recognise", "versions"]


@dataclass(frozen=True, slots=True)
class Known:
    """A prebuilt image by its short name and version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class _Image:
    """Which account publishes an image (a column of `images.json`), in which repository and with which tag."""

    publisher: str
    repository: str
    tag: str


def _framework(repository: str, *tags: str) -> dict[str, _Image]:
    return {tag.removesuffix("-cpu-py3"): _Image("framework", repository, tag) for tag in tags}


_IMAGES: Mapping[str, Mapping[str, _Image]] = {
    "linear-learner": {"1": _Image("algorithm", "linear-learner", "1")},
    "sklearn": _framework(
        "sagemaker-scikit-learn",
        "0.20.0-cpu-py3",
        "0.23-1-cpu-py3",
        "1.0-1-cpu-py3",
        "1.2-1-cpu-py3",
        "1.4-2-cpu-py3",
        "1.9-0-cpu-py3",
    ),
    "xgboost": {
        "1": _Image("xgboost:1", "xgboost", "1"),
        **_framework(
            "sagemaker-xgboost",
            "0.90-1-cpu-py3",
            "0.90-2-cpu-py3",
            "1.0-1-cpu-py3",
            "1.2-1",
            "1.2-2",
            "1.3-1",
            "1.5-1",
            "1.7-1",
            "3.0-5",
            "3.2-0",
        ),
    },
}
KNOWN: tuple[str, ...] = tuple(f"{name}@{version}" for name, images in _IMAGES.items() for version in images)

# The DNS suffixes of the partitions that are not plain AWS, by how the names of their regions begin.
_DNS_SUFFIXES = {
    "cn-": "amazonaws.com.cn",
    "us-iso-": "c2s.ic.gov",
    "us-isob-": "sc2s.sgov.gov",
    "us-isof-": "csp.hci.ic.gov",
}


def versions(name: str) -> tuple[str, ...]:
    """Return the versions of the image called `name`, oldest first."""
    return tuple(_IMAGES[name])


def image_uri(image: str, region: str) -> str:
    """Return the registry URI of an image in a region.

    Parameters
    ----------
    image
        A short name with its version (`xgboost@1.7-1`), without it where there is only one (`linear-learner`), or a
        URI, which is returned as it is.
    region
        The region whose registry to use, such as `eu-west-1`.

    Raises
    ------
    PackagingError
        When the name, the version or the region is not known.
    """
    if "/" in image:
        return image
    known = _parse(image)
    entry = _IMAGES[known.name][known.version]
    publishers = _accounts().get(region)
    if publishers is None:
        raise PackagingError(
            f"the registry of the prebuilt images in region '{region}' is not known",
            hint=did_you_mean(region, _accounts()) or "write the image's full URI",
        )
    if entry.publisher not in publishers:
        raise PackagingError(f"there is no {known} in {region}", hint="use a later version, or another region")
    suffix = next((dns for start, dns in _DNS_SUFFIXES.items() if region.startswith(start)), "amazonaws.com")
    return f"{publishers[entry.publisher]}.dkr.ecr.{region}.{suffix}/{entry.repository}:{entry.tag}"


def recognise(uri: str) -> Known | None:
    """Return which prebuilt image a URI names, by its repository and tag; None when it is none of them."""
    repository, _, tag = uri.rpartition("/")[2].partition("@")[0].partition(":")
    for name, images in _IMAGES.items():
        for version, image in images.items():
            if (repository, tag) == (image.repository, image.tag):
                return Known(name, version)
    for name, images in _IMAGES.items():
        if repository in {image.repository for image in images.values()}:
            return Known(name, tag)
    return None


def _parse(image: str) -> Known:
    name, _, version = image.partition("@")
    if name not in _IMAGES:
        meant = did_you_mean(image.replace(":", "@"), (*_IMAGES, *KNOWN))
        if Path(image).is_file():
            meant = f"for the program of this name write ./{image}"
        raise PackagingError(
            f"no prebuilt image is called '{image}'", hint=meant or f"known: {', '.join(KNOWN)}; or write a full URI"
        )
    known = versions(name)
    if not version and len(known) == 1:
        return Known(name, known[0])
    if version not in known:
        problem = f"has no version '{version}'" if version else "needs a version after an @"
        listed = f"known versions: {', '.join(known)}"
        raise PackagingError(
            f"the image '{name}' {problem}", hint=" ".join(filter(None, [did_you_mean(version, known), listed]))
        )
    return Known(name, version)


@cache
def _accounts() -> Mapping[str, Mapping[str, str]]:
    """Return, by region, the account of each publisher."""
    table = files("sm_magics.models").joinpath("images.json")
    accounts: Mapping[str, Mapping[str, str]] = json.loads(table.read_text("utf-8"))
    return accounts
