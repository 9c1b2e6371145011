"""The instances of one endpoint config on one endpoint: started together, kept alive, scaled, drained and stopped."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sm_magics.local.host import StartFailed
from sm_magics.local.router import Lane
from sm_magics.local.tap import Shadow, Tap, shadow_share

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
    from fractions import Fraction

    from sm_magics.local.capture import Capture
    from sm_magics.local.host import Host
    from sm_magics.local.instance import Serving
    from sm_magics.local.lifecycle import Variant
    from sm_magics.local.logs import LogStream

__all__ = ["Fleet"]

_LOG = logging.getLogger(__name__)
FIRST_PAUSE = 0.05  # seconds before a dead instance is started again; doubled each time, while it keeps dying
LONGEST_PAUSE = 10.0
MISSED_SECONDS, SLOW_SECONDS = 3.0, 20.0  # after which one that cannot start, or does not come up, counts as missing
STABLE_SECONDS = 30.0  # after which an instance's death counts as its first
DRAIN_SECONDS = 70.0  # a model may take 60 s to answer
SHADOW_SECONDS = 1.0  # nobody waits for the answers of a shadow variant


@dataclass(slots=True)
class _Absence:
    """An instance that died and is not back: since when, where that is told, and whether it counts as missing yet."""

    variant: Variant
    since: float
    log: LogStream
    missed: bool = False


def _unheard(_: Mapping[str, int]) -> None:
    """Take what nobody wants to know."""


class Fleet:
    """The running instances of one endpoint config on an endpoint; requests reach them by the lanes of its variants.

    Parameters
    ----------
    endpoint, config_name
        Names of the endpoint and of the config.
    variants
        What to run and how many instances of it.
    host
        What instances are run on.
    rng
        Chooses the requests that a shadow variant gets a copy of.
    capture
        What keeps the requests and answers, if anything does.
    """

    def __init__(  # noqa: PLR0913 - a fleet is its parts
        self,
        endpoint: str,
        config_name: str,
        variants: Sequence[Variant],
        host: Host,
        *,
        rng: random.Random,
        capture: Capture | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._variants = {each.name: each for each in variants}
        self._host = host
        self._wanted = dict.fromkeys(self._variants, 0)
        self._born: dict[Serving, tuple[float, float]] = {}  # of replacements: when, and the pause before it
        self._replacing: set[asyncio.Task[None]] = set()
        self._retiring: dict[Serving, asyncio.Task[None]] = {}
        self._stopping = False
        self._absent: Counter[str] = Counter()  # instances by variant that died and are not back
        self.missing: Counter[str] = Counter()  # those that do not come back soon
        self._capture = capture
        self.lanes = {
            each.name: Lane(each.name, config_name, host.meter(endpoint, each.name, config_name), host.parking)
            for each in variants
        }
        for lane in self.lanes.values():
            host.faults.join(endpoint, lane)
        self._shadow: Shadow | None = None  # there is at most one, beside one production variant
        for name in self._variants.keys() - self.weights.keys():
            log = partial(host.logs.stream, endpoint, name)
            self._shadow = Shadow(self.lanes[name], self._shadow_share(name), rng, log)
        if capture or self._shadow:
            for name in self.weights:
                self.lanes[name].tap = Tap(name, capture, self._shadow)

    async def start(self, progress: Callable[[Mapping[str, int]], None] = _unheard) -> None:
        """Start every instance and return when all answer their health check; see `scale`."""
        try:
            await self.scale(self.full, progress)
        except BaseException:
            await self.stop()
            raise

    @property
    def counts(self) -> dict[str, int]:
        """How many instances of each variant are ready."""
        return {name: len(lane.instances) for name, lane in self.lanes.items()}

    @property
    def weights(self) -> dict[str, float]:
        """The weights by production variant."""
        return {name: each.desired_weight for name, each in self._variants.items() if not each.shadow}

    @property
    def full(self) -> dict[str, int]:
        """How many instances of each variant the whole fleet has."""
        return {name: variant.desired_count for name, variant in self._variants.items()}

    def change(self, variants: Sequence[Variant]) -> None:
        """Take other weights and counts of the same variants; `scale` makes the counts true."""
        self._variants = {each.name: each for each in variants}
        if self._shadow:
            self._shadow.share(self._shadow_share(self._shadow.lane.variant))

    def _shadow_share(self, name: str) -> Fraction:
        (production,) = self.weights.values()
        return shadow_share(production, self._variants[name].desired_weight)

    async def scale(self, counts: Mapping[str, int], progress: Callable[[Mapping[str, int]], None] = _unheard) -> None:
        """Start or drain instances until each variant has as many as `counts` says, and all answer their health check.

        One that died by itself comes back by itself, and is not waited for.
        A shadow variant comes whole with the first instance of a fleet, unless `counts` says otherwise.
        `progress` is told how many instances of each variant are ready, whenever one more is.

        Raises
        ------
        StartFailed
            When a new one cannot start.
        """
        counts = {name: each.desired_count for name, each in self._variants.items() if each.shadow} | dict(counts)
        self._wanted.update(counts)
        # One that died is not started here, too: whoever stops this fleet must not fail for want of it.
        missing = {name: count - len(self.lanes[name].instances) - self._absent[name] for name, count in counts.items()}
        await _all(self._add(self._variants[name], progress) for name, number in missing.items() for _ in range(number))
        surplus = [each for name, count in counts.items() for each in self.lanes[name].instances[count:]]
        for instance in surplus:
            self.lanes[instance.variant].instances.remove(instance)
        await self._retire(surplus)

    async def stop(self) -> None:
        """Answer what is under way, then end every instance."""
        for lane in self.lanes.values() if not self._stopping else ():
            lane.meter.users -= 1
        self._stopping = True
        for task in self._replacing:
            task.cancel()
        if self._shadow:
            self._shadow.close()
        await self._retire([*self._retiring, *(each for lane in self.lanes.values() for each in lane.instances)])
        for lane in self.lanes.values():
            lane.instances.clear()
            lane.abandon()
        if self._capture:
            await self._capture.close()

    async def _add(self, variant: Variant, progress: Callable[[Mapping[str, int]], None]) -> None:
        instance = await self._started(variant)
        self._join(instance)
        progress(self.counts)

    async def _started(self, variant: Variant) -> Serving:
        return await self._host.start(self._endpoint, variant, self.lanes[variant.name], self._ended)

    def _join(self, instance: Serving) -> None:
        lane = self.lanes[instance.variant]
        lane.instances.append(instance)
        lane.down = False
        lane.release()

    async def _retire(self, instances: Iterable[Serving]) -> None:
        """Have instances take no more requests, answer those under way, and end.

        Whoever waits for that may give up, as an update does that runs out of time: the answers are given all the same.
        """
        for each in instances:
            if each not in self._retiring:
                self._retiring[each] = asyncio.get_running_loop().create_task(self._drain(each))
        await asyncio.shield(asyncio.gather(*(self._retiring[each] for each in instances)))

    async def _drain(self, instance: Serving) -> None:
        instance.ready = False
        try:
            async with asyncio.timeout(SHADOW_SECONDS if self._variants[instance.variant].shadow else DRAIN_SECONDS):
                await instance.drained()
        except TimeoutError:
            _LOG.warning("%s of %s did not answer in time and is stopped", instance.name, self._endpoint)
            self._host.abort(instance)
        finally:
            instance.close()
            del self._retiring[instance]

    def _ended(self, instance: Serving) -> None:
        """Start an instance anew that died by itself."""
        group = self.lanes[instance.variant].instances
        if self._stopping or instance not in group:
            return  # it was retired, or it died while it started, which who waits for its health check learns
        group.remove(instance)
        log = self._host.logs.stream(self._endpoint, instance.variant, instance.name)
        fault = self.lanes[instance.variant].fault
        unhealthy = fault is not None and fault.unhealthy
        what = "failed its health check and was stopped" if unhealthy else "ended by itself"
        log.write(f"ERROR the container {what}; a new instance is started")
        pause = self._pause(*self._born.pop(instance, (0.0, 0.0)))
        loop = asyncio.get_running_loop()
        self._absent[instance.variant] += 1
        absence = _Absence(self._variants[instance.variant], loop.time(), log)
        task = loop.create_task(self._replace(absence, pause))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _replace(self, absence: _Absence, pause: float) -> None:
        loop, variant = asyncio.get_running_loop(), absence.variant
        late = loop.call_later(SLOW_SECONDS, self._miss, absence, f"none was healthy after {SLOW_SECONDS:g} s")
        try:
            while not self._stopping:
                await asyncio.sleep(pause)
                instance = await self._tried(absence)
                if instance is not None:
                    break
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return
        finally:
            late.cancel()
            self.missing[variant.name] -= absence.missed
            self._absent[variant.name] -= 1
        if len(self.lanes[variant.name].instances) >= self._wanted[variant.name]:
            await self._retire([instance])  # scaled in meanwhile
        else:
            self._born[instance] = loop.time(), pause
            self._join(instance)

    async def _tried(self, absence: _Absence) -> Serving | None:
        """Return a new instance in the place of one that died, None when it cannot be started."""
        try:
            return await self._started(absence.variant)
        except StartFailed as failure:
            _LOG.warning("%s: %s", self._endpoint, failure)
            why = str(failure)
        except Exception as error:  # noqa: BLE001 - whatever it is, an instance must come back
            _LOG.exception("%s: an instance cannot be started again", self._endpoint)
            why = repr(error)
        if asyncio.get_running_loop().time() - absence.since >= MISSED_SECONDS:
            self._miss(absence, why)
        return None

    def _miss(self, absence: _Absence, why: str) -> None:
        """Count an instance as missing; when all of a variant are, what waits and what comes is turned away at once."""
        name = absence.variant.name
        if absence.missed:
            return
        absence.missed = True
        self.missing[name] += 1
        absence.log.write(f"ERROR there is no new instance yet, which goes on being tried: {why}")
        lane = self.lanes[name]
        if not lane.instances and self.missing[name] >= self._wanted[name]:
            absence.log.write(f"ERROR no instance of variant {name} is left: requests to it are answered with 503")
            lane.down = True
            lane.abandon()

    def _pause(self, born: float, pause: float) -> float:
        """Return the seconds before an instance is replaced: longer each time, while its replacements die too."""
        stable = asyncio.get_running_loop().time() - born > STABLE_SECONDS
        return FIRST_PAUSE if stable or not pause else min(2 * pause, LONGEST_PAUSE)


async def _all(starts: Iterable[Coroutine[None, None, None]]) -> None:
    """Await all; when one fails, cancel the others and raise its error."""
    try:
        async with asyncio.TaskGroup() as group:
            for each in starts:
                group.create_task(each)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
