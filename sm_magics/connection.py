"""Where cells act: a boto3 session with its clients, a role, and a place for model artifacts.

The embedded engine and AWS differ in how a connection is made and in nothing else: whoever holds a `Connection` makes
the same boto3 calls and need not know which it is.
"""

from __future__ import annotations

import shutil
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import urlsplit

from sm_magics import service_model
from sm_magics.advice import advice
from sm_magics.errors import ConnectError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from sm_magics.models import Artifact

__all__ = ["ArtifactStore", "Connection", "call", "connect_aws", "connect_local", "is_forbidden", "is_missing"]

PREFIX = "sm_magics/models"
LOCAL_ROLE = "sm-magics-local"
_NO_NAME = "failed to satisfy constraint"  # of a name that nothing can have


class ArtifactStore(Protocol):
    """Where model artifacts lie, by `s3://` URI."""

    @property
    def prefix(self) -> str:
        """The URI under which our artifacts lie."""

    def holds(self, uri: str) -> bool:
        """Whether there is an object at `uri`."""

    def put(self, uri: str, artifact: Artifact) -> None:
        """Put an artifact at `uri`."""

    def below(self, uri: str) -> list[str]:
        """Return the objects under `uri`, by names that pandas reads, in their order."""


@dataclass(frozen=True)
class Connection:
    """A boto3 session and what goes with it.

    Parameters
    ----------
    session
        The boto3 session that every client is made of.
    account, region
        Whose endpoints these are.
    role
        ARN of the execution role that models get unless the cell names another.
    artifacts
        Where model artifacts are put.
    label
        How a card names the connection.
    endpoint_url
        Where the clients find the service; None for AWS itself.
    runs_programs
        Whether the service runs programs of this machine as images.
    alive
        Returns whether the service is still where the clients look for it.
    """

    session: Any
    account: str
    region: str
    role: str
    artifacts: ArtifactStore
    label: str
    endpoint_url: str | None = None
    runs_programs: bool = False
    alive: Callable[[], bool] = field(default=lambda: True, repr=False, compare=False)
    _clients: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def client(self, service: str) -> Any:
        """Return the boto3 client of a service, made once."""
        if service not in self._clients:
            from botocore.config import Config

            # A model may take 60 s to answer, which is botocore's own limit too: leave the service time to say so.
            config = Config(read_timeout=70, retries={"mode": "standard", "total_max_attempts": 4})
            if self.endpoint_url is not None:
                config = config.merge(Config(proxies={}))  # no proxy leads to this machine
            self._clients[service] = self.session.client(service, endpoint_url=self.endpoint_url, config=config)
        return self._clients[service]

    def offers(self, service: str) -> bool:
        """Whether there is such a service where this connection leads: some are the embedded engine's own."""
        return service in self.session.get_available_services()

    def call(self, operation: str, **request: Any) -> Any:
        """Make one call of the `sagemaker` service, by the operation's own name.

        Raises
        ------
        ServiceError
            When the service refuses it or cannot be reached.
        """
        return call(self.client("sagemaker"), operation, **request)

    def describe(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Return the Describe answer of an `Endpoint`, `EndpointConfig` or `Model`, None for none; raises as `told`."""
        answer = self.told(kind, name)
        return answer and {key: value for key, value in answer.items() if key != "ResponseMetadata"}

    def told(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """Return what `describe` does, with boto3's `ResponseMetadata`: the time at the service among it.

        Raises
        ------
        ServiceError
            When the service does not answer.
        """
        try:
            answer: Mapping[str, Any] = self.call(f"Describe{kind}", **{f"{kind}Name": name})
        except ServiceError as error:
            if is_missing(error) or _NO_NAME in error.message:
                return None
            raise
        return answer

    def pages(self, operation: str, **request: Any) -> Iterator[Any]:
        """Yield the pages of a List operation of `sagemaker`."""
        token: Mapping[str, str] = {}
        while True:
            answer = self.call(operation, **request, **token)
            yield answer
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}


def call(client: Any, operation: str, **request: Any) -> Any:
    """Make one call of a boto3 client, by the operation's own name.

    Raises
    ------
    ServiceError
        When the service refuses it or cannot be reached; `code` is the service's own.
    """
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(client, xform_name(operation))(**request)
    except ClientError as error:
        told = error.response.get("Error", {})
        code, text = told.get("Code", ""), told.get("Message", "")
        raise ServiceError(operation, code, text, error.response, hint=advice(text)) from error
    except BotoCoreError as error:
        raise ServiceError(operation, type(error).__name__, str(error), {}, hint=advice(str(error))) from error


def is_missing(error: ServiceError) -> bool:
    """Whether an error says that there is no such thing."""
    return error.code in {"ValidationException", "ResourceNotFound"} and "Could not find" in error.message


def is_forbidden(error: ServiceError) -> bool:
    """Whether an error says that we may not make the call."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == 403 or error.code.startswith("AccessDenied")  # noqa: PLR2004 - HTTP's Forbidden


def connect_local(state: Path | None = None, *, region: str | None = None) -> Connection:
    """Return a connection to the embedded engine of a state directory, started when it does not run.

    Raises
    ------
    EngineError
        When the engine cannot be started.
    ConnectError
        When it runs already, and plays another region than `region`.
    """
    import boto3

    from sm_magics.local.start import find, start

    engine = start(state, region=region)
    if region is not None and engine.region != region:
        raise ConnectError(
            f"the engine on {engine.state} plays region {engine.region}, not {region}",
            hint="leave --region out, or give it a state directory of its own: --state DIR",
        )
    key, secret = engine.access_key_id, engine.secret_access_key
    unconfigured = _unconfigured()
    unconfigured.get_component("data_loader").search_paths.append(str(service_model.OWN))
    session = boto3.Session(key, secret, region_name=engine.region, botocore_session=unconfigured)
    return Connection(
        session=session,
        account=engine.account,
        region=engine.region,
        role=f"arn:aws:iam::{engine.account}:role/{LOCAL_ROLE}",
        artifacts=DirectoryStore(engine.state / "artifacts", engine.bucket),
        label="local engine",
        endpoint_url=engine.url,
        runs_programs=True,
        alive=lambda: find(engine.state) == engine,
    )


def _unconfigured() -> Any:
    """Return a botocore session that heeds nothing of `~/.aws` and `AWS_PROFILE`: they are not meant for the engine."""
    from botocore.session import Session

    class Unconfigured(Session):  # type: ignore[misc]  # botocore is not typed
        full_config: ClassVar[Mapping[str, Any]] = {"profiles": {}}

        def get_scoped_config(self) -> dict[str, Any]:
            return {}

    return Unconfigured()


def connect_aws(
    *, role: str, profile: str | None = None, region: str | None = None, bucket: str | None = None
) -> Connection:
    """Return a connection to AWS.

    Parameters
    ----------
    role
        ARN of the execution role for models.
    profile, region
        As boto3 takes them; by default what the environment and `~/.aws` say.
    bucket
        Where artifacts are put; by default SageMaker's `sagemaker-<region>-<account>`.

    Raises
    ------
    ConnectError
        When there are no valid credentials, no region, or no such bucket.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        session = boto3.Session(profile_name=profile, region_name=region)
        if session.region_name is None:
            raise ConnectError("no AWS region is configured", hint="add --region, e.g. --region eu-west-1")
        identity = call(session.client("sts"), "GetCallerIdentity")
    except BotoCoreError as error:
        raise ConnectError(f"AWS cannot be used: {error}", hint="check --profile and ~/.aws") from error
    except ServiceError as error:
        hint = error.hint or "check --profile and your credentials"
        raise ConnectError(f"AWS does not accept us: {error.message}", hint=hint) from error
    artifacts = S3Store(session.client("s3"), bucket or f"sagemaker-{session.region_name}-{identity['Account']}")
    artifacts.check()
    return Connection(
        session=session,
        account=identity["Account"],
        region=session.region_name,
        role=role,
        artifacts=artifacts,
        label=f"AWS account {identity['Account']}, {session.region_name}",
    )


class DirectoryStore:
    """The engine's own artifact store: a folder for each bucket."""

    def __init__(self, root: Path, bucket: str) -> None:
        self._root = root
        self.prefix = f"s3://{bucket}/{PREFIX}"

    def holds(self, uri: str) -> bool:
        return self._path(uri).is_file()

    def put(self, uri: str, artifact: Artifact) -> None:
        path = self._path(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{uuid.uuid4().hex}")
        if artifact.path is not None:
            shutil.copyfile(artifact.path, scratch)
        else:
            scratch.write_bytes(artifact.data or b"")
        scratch.replace(path)

    def below(self, uri: str) -> list[str]:
        return sorted(str(each) for each in self._path(uri).rglob("[!.]*") if each.is_file())

    def _path(self, uri: str) -> Path:
        parts = urlsplit(uri)
        return self._root / parts.netloc / parts.path.lstrip("/")


class S3Store:
    """A bucket of S3."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        self.prefix = f"s3://{bucket}/{PREFIX}"

    def check(self) -> None:
        """Return when the bucket is there.

        Raises
        ------
        ConnectError
            When it is not, or not ours to use.
        """
        try:
            call(self._client, "HeadBucket", Bucket=self._bucket)
        except ServiceError as error:
            raise ConnectError(
                f"bucket '{self._bucket}' cannot be used: {error.message}",
                hint="make it, or name one that you may write to: --bucket NAME",
            ) from error

    def holds(self, uri: str) -> bool:
        try:
            call(self._client, "HeadObject", **_place(uri))
        except ServiceError as error:
            if error.code in {"404", "NoSuchKey", "NotFound"}:
                return False
            raise
        return True

    def put(self, uri: str, artifact: Artifact) -> None:
        if artifact.path is None:
            call(self._client, "PutObject", Body=artifact.data, **_place(uri))
            return
        with artifact.path.open("rb") as file:
            call(self._client, "UploadFileobj", Fileobj=file, **_place(uri))

    def below(self, uri: str) -> list[str]:
        place = _place(f"{uri.rstrip('/')}/")
        request: Mapping[str, str] | None = {"Bucket": place["Bucket"], "Prefix": place["Key"]}
        found: list[str] = []
        while request:  # in the order of their keys, a page at a time
            page = call(self._client, "ListObjectsV2", **request)
            found += [f"s3://{place['Bucket']}/{each['Key']}" for each in page.get("Contents", ())]
            token = page.get("NextContinuationToken")
            request = {**request, "ContinuationToken": token} if token else None
        return found


def _place(uri: str) -> Mapping[str, str]:
    parts = urlsplit(uri)
    return {"Bucket": parts.netloc, "Key": parts.path.lstrip("/")}
