"""What instances run on: how one is started, whatever it is, and how it is ended.

An instance counts as started once it has answered its health check. When it does not, why is told in the service's
words, and the details are in its log.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sm_magics.local import containers
from sm_magics.local.artifacts import Unpackable, Unreadable
from sm_magics.local.instance import Instance, Program
from sm_magics.local.router import Parking
from sm_magics.local.tcp_instance import TcpInstance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.local.artifacts import Artifacts
    from sm_magics.local.faults import Faults
    from sm_magics.local.instance import Answer, Launcher, Serving
    from sm_magics.local.lifecycle import Variant
    from sm_magics.local.logs import Logs, LogStream
    from sm_magics.local.router import Lane
    from sm_magics.local.tally import Meter

__all__ = ["Host", "StartFailed"]

HEALTHY = 200  # the contract's answer to /ping
FIRST_WORD = (
    5.0  # seconds after which the log of an instance that is not healthy says why, and again after twice as many
)


class StartFailed(Exception):  # noqa: N818 - named for what happened
    """A variant cannot be started; the text is the service's FailureReason."""


class Host:
    """What fleets need of the machine to run instances: one for the whole engine.

    `meter` returns what counts the invocations of a variant, given the names of the endpoint, variant and config.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what it stands for
        self,
        launcher: Launcher,
        artifacts: Artifacts,
        logs: Logs,
        faults: Faults,
        new_id: Callable[[], str],
        meter: Callable[[str, str, str], Meter],
    ) -> None:
        self._launcher = launcher
        self._artifacts = artifacts
        self._new_id = new_id
        self.faults = faults
        self.logs = logs
        self.meter = meter
        self.parking = Parking()
        self._directories: dict[Serving, Path] = {}

    @property
    def directories(self) -> set[Path]:
        """The models of all instances that start, serve, or answer their last requests."""
        return {*self._directories.values()}

    async def start(self, endpoint: str, variant: Variant, lane: Lane, ended: Callable[[Serving], None]) -> Serving:
        """Return a new instance that has answered its health check; `ended` is called when it ends.

        Raises
        ------
        StartFailed
            When it cannot be started.
        """
        name = self._new_id()
        log = self.logs.stream(endpoint, variant.name, name)
        await _check_program(variant, log)
        directory = await self._model_directory(variant, log)
        program = Program(variant.image, directory, _environment(variant, directory), log)
        instance: Serving
        own = containers.local_command(variant.image) is not None
        gone = partial(self._gone, ended)
        if own:
            instance = TcpInstance(name, variant.name, gone, self._artifacts.base(directory))
        else:
            instance = Instance(name, variant.name, gone)
        self._directories[instance] = directory
        late = False
        try:
            await _unstuck(lane)
            async with asyncio.timeout(variant.startup_seconds):
                await instance.launch(self._launcher, program)
                health = await _health(instance, log, variant.startup_seconds)
            if health is None and not own:  # a program's end is told where it is seen
                log.write("ERROR the container's process ended before it answered its health check")
        except OSError as error:  # TimeoutError is one too
            health, late = None, isinstance(error, TimeoutError)
            slow = f" did not pass its health check in {variant.startup_seconds:g} s: {instance.trouble}"
            log.write("ERROR the container" + (slow if late else f"'s process cannot be started: {error}"))
        except BaseException:
            self.abort(instance)
            raise
        fault = lane.fault
        if fault is not None and fault.unhealthy:
            log.write("ERROR GET /ping is answered with 500: a fault on purpose, ping=fail")
            health = None
        if health is None or health.status != HEALTHY:
            self.abort(instance)
            raise StartFailed(_why(variant, ended=health is None and not late and own))
        instance.ready = True
        return instance

    def abort(self, instance: Serving) -> None:
        """End an instance at once."""
        self._directories.pop(instance, None)
        instance.close()
        if instance.pid is not None:
            self._launcher.kill(instance.pid)

    def _gone(self, ended: Callable[[Serving], None], instance: Serving) -> None:
        self._directories.pop(instance, None)
        ended(instance)

    async def _model_directory(self, variant: Variant, log: LogStream) -> Path:
        url = variant.model_data_url
        try:
            if url is None:
                return self._artifacts.empty()
            return await self._artifacts.unpack(url)
        except Unreadable as error:
            log.write(f"ERROR the model data at {url} cannot be read: {error}")
            raise StartFailed(
                f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that '
                "there is an object located at the URL and that the role passed to CreateModel has permissions to "
                "download the object."
            ) from None
        except Unpackable as error:
            log.write(f"ERROR the model data at {url} cannot be unpacked: {error}")
            raise StartFailed(
                f'Failed to extract model data archive for container "container_1" from URL "{url}". Please ensure '
                "that the object located at the URL is a valid tar.gz archive."
            ) from None


async def _check_program(variant: Variant, log: LogStream) -> None:
    """Refuse to start another program than was deployed: an edited one must not go live by the death of an instance."""
    before = variant.deployed.get("ResolvedImage")
    what = await asyncio.to_thread(containers.whats_changed, variant.image, before)
    if what is not None:
        text = f"he program {containers.local_command(variant.image)} of model {variant.model} {what}"
        log.write(f"ERROR t{text}: it is not started")
        raise StartFailed(f"T{text}. To serve what it is now, make a new model of it: run the endpoint's cell again.")


async def _health(instance: Serving, log: LogStream, limit: float) -> Answer | None:
    """Return an instance's answer to its health check; as long as there is none, its log says why."""
    telling = asyncio.create_task(_tell_why_it_waits(instance, log, limit))
    try:
        return await instance.ping()
    finally:
        telling.cancel()


async def _tell_why_it_waits(instance: Serving, log: LogStream, limit: float) -> None:
    waited = FIRST_WORD
    await asyncio.sleep(waited)
    while True:
        log.write(f"WARNING the container is not healthy after {waited:g} s of {limit:g} s: {instance.trouble}")
        await asyncio.sleep(waited)
        waited *= 2


async def _unstuck(lane: Lane) -> None:
    """Wait for as long as a fault keeps a lane's instances from coming up."""
    while lane.fault is not None and lane.fault.stuck:
        await lane.fault.over.wait()


def _why(variant: Variant, *, ended: bool) -> str:
    if ended:
        return (
            f"CannotStartContainerError. Please ensure the model container for variant {variant.name} starts correctly "
            f"when invoked with '{containers.local_command(variant.image) or f'docker run {variant.image}'} serve'"
        )
    return (
        f"The primary container for production variant {variant.name} did not pass the ping health check. "
        "Please check CloudWatch logs for this endpoint."
    )


def _environment(variant: Variant, directory: Path) -> Mapping[str, str]:
    """Return the environment that the container contract names, and nothing of the user's."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": tempfile.gettempdir(),  # not the user's: there are credentials in it
        "LANG": "C.UTF-8",
        "SM_MODEL_DIR": str(directory),
        "SAGEMAKER_BIND_TO_PORT": "8080",
        **variant.environment,
    }
