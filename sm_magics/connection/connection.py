"""A boto3 session and what goes with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sm_magics.connection.calls import call, is_missing
from sm_magics.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sm_magics.connection.stores import ArtifactStore

__all__ = ["Connection"]

_NO_NAME = "failed to satisfy constraint"  # of a name that nothing can have


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
    writes_files
        Whether the service writes to directories of this machine.
    user
        Who we are to the service, in a word; empty where that is not known.
    counts_every
        Seconds of the steps in which the service counts how endpoints are used.
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
    writes_files: bool = False
    user: str = ""
    counts_every: int = 60
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

    def tags(self, arn: str) -> dict[str, str]:
        """Return the tags of something, none where it was deleted meanwhile.

        Raises
        ------
        ServiceError
            When the service does not answer, or does not let us read them.
        """
        try:
            answer = self.call("ListTags", ResourceArn=arn)
        except ServiceError as error:
            if error.code in {"ValidationException", "ResourceNotFound"}:
                return {}
            raise
        return {each["Key"]: each["Value"] for each in answer["Tags"]}

    def pages(self, operation: str, **request: Any) -> Iterator[Any]:
        """Yield the pages of a List operation of `sagemaker`."""
        token: Mapping[str, str] = {}
        while True:
            answer = self.call(operation, **request, **token)
            yield answer
            if not answer.get("NextToken"):
                return
            token = {"NextToken": answer["NextToken"]}
