"""How a connection is made: to the embedded engine, or to AWS."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from sm_magics import service_model
from sm_magics.connection.calls import call
from sm_magics.connection.connection import Connection
from sm_magics.connection.stores import DirectoryStore, S3Store
from sm_magics.errors import ConnectError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["connect_aws", "connect_local", "connect_running"]

LOCAL_ROLE = "sm-magics-local"


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
        writes_files=True,
        user=_tag_value(_local_user()),
        counts_every=10,
        alive=lambda: find(engine.state) == engine,
    )


def connect_running() -> Connection | None:
    """Return a connection to the embedded engine of the default state directory, None where it does not run."""
    from sm_magics.local.start import default_state, find

    return None if find(default_state()) is None else connect_local()


def _unconfigured() -> Any:
    """Return a botocore session that heeds nothing of `~/.aws` and `AWS_PROFILE`: they are not meant for the engine."""
    from botocore.session import Session

    class Unconfigured(Session):  # type: ignore[misc]  # botocore is not typed
        full_config: ClassVar[Mapping[str, Any]] = {"profiles": {}}

        def get_scoped_config(self) -> dict[str, Any]:
            return {}

    return Unconfigured()


def _local_user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name
        return ""


def _tag_value(text: str) -> str:
    """Return a text with only such characters as a tag's value may have."""
    return re.sub(r"[^\w .:/=+@-]", "_", text)[:256]


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
        user=_tag_value(identity.get("Arn", "").rpartition("/")[2]),
    )
