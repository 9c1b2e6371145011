"""What a `model:` may be, turned into a CreateModel request and the artifact that it needs.

`package` reduces every way to write a model to the fields of one container, and packs what is not on S3 yet. The same
object or files always give the same bytes, hence the same request and the same name; nothing is uploaded here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sm_magics.errors import PackagingError
from sm_magics.models import archive, objects, written
from sm_magics.models.commands import command_uri, path_of
from sm_magics.models.images import KNOWN, image_uri
from sm_magics.models.types import Artifact, DesiredModel, Packed, Place, as_label, plain
from sm_magics.spec.capture import is_path
from sm_magics.spec.types import ModelFields, ModelObject

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KNOWN", "Artifact", "DesiredModel", "Place", "as_label", "image_uri", "package", "path_of"]


def package(label: str, source: ModelObject | ModelFields, place: Place) -> DesiredModel:
    """Return the model that `source` asks for.

    Parameters
    ----------
    label
        What the model's name begins with; see `as_label`.
    source
        An object of the notebook, or the fields of a mapping in the cell.
    place
        The region, role and S3 prefix to use where `source` does not say.

    Raises
    ------
    PackagingError
        When it cannot become a model that a container would load.
    """
    fields = written.fields(source)
    request = {"ExecutionRoleArn": place.role, **fields.request}
    members = {**request.pop("PrimaryContainer", {}), **fields.container}
    artifact = None
    if members or "Containers" not in request:
        request["PrimaryContainer"], artifact = _container(label, members, place)
    data = members.get("ModelDataUrl")
    columns = objects.columns(data.value) if isinstance(data, ModelObject) else ()
    return DesiredModel.of(label, plain(request), artifact, columns)


def _container(label: str, members: Mapping[str, Any], place: Place) -> tuple[dict[str, Any], Artifact | None]:
    """Return a ContainerDefinition with its image and data resolved, and the artifact that has to be uploaded."""
    image = _image(members, place)
    packed, artifact = _data(members.get("ModelDataUrl"), image, place.region)
    image = image or packed.image
    if image is None and "ModelPackageName" not in members:
        raise PackagingError(
            f"the model '{label}' has no image to serve it",
            hint=f"add one: image: {KNOWN[-1]}, another short name, a registry URI, or ./PROGRAM",
        )
    found = {
        "Image": image,
        "ModelDataUrl": place.uri(artifact) if artifact else packed.data_url,
        "Environment": {**packed.environment, **(members.get("Environment") or {})},
    }
    return {**members, **{name: value for name, value in found.items() if value}}, artifact


def _image(members: Mapping[str, Any], place: Place) -> str | None:
    image = members.get("Image")
    if image is None:
        return None
    if not isinstance(image, str):
        raise PackagingError(f"the image is a {type(image).__name__}, not a text", hint="write its name or its URI")
    return command_uri(image, runs=place.runs_programs) if is_path(image) else image_uri(image, place.region)


def _data(data: Any, image: str | None, region: str) -> tuple[Packed, Artifact | None]:
    """Resolve a model's data: nothing, a URI, a local path, or an object to pack."""
    if isinstance(data, ModelObject):
        if not isinstance(data.value, str | Path):
            packed = objects.pack(data.value, data.expression, image, region)
            return packed, Artifact.of_bytes(archive.pack(packed.files)) if packed.files else None
        data = data.value
    if data is None or (isinstance(data, str) and "://" in data):
        return Packed(image, data_url=data), None
    path = written.local_path(data)
    if archive.is_directory(path):
        return Packed(image), Artifact.of_bytes(archive.pack_directory(path))
    archive.check(path)
    return Packed(image), Artifact.of_file(path.absolute())
