"""`%sm_traffic`: which variant of an endpoint gets how much of its requests, at once or in steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.magic import magics_class

from sm_magics.amounts import duration as duration_of
from sm_magics.errors import CellError
from sm_magics.magics.base import magic
from sm_magics.magics.deploying import DeployingMagics
from sm_magics.magics.endpoint import find_endpoint, refuse
from sm_magics.magics.options import argument, duration, flag, name, output, quiet, waiting

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from sm_magics.connection import Connection
    from sm_magics.shifting import Course, Guard

__all__ = ["TrafficMagics"]

DEFAULT_EVERY, MOST_EVERY = 300.0, 7 * 86_400.0  # seconds; the cell runs all the while


@magics_class
class TrafficMagics(DeployingMagics):
    """The magic that moves traffic."""

    @magic(
        "line",
        name("the endpoint"),
        argument("words", nargs="*", metavar="VARIANT=SHARE", help="the share of each variant; one alone with --steps"),
        argument("--steps", metavar="PERCENT", help="move a variant to these shares, one after another: 10,50,100"),
        argument(
            "--every",
            type=duration,
            metavar="TIME",
            help="hold each share so long, such as 30s; 5m by default, at most 7d",
        ),
        argument("--guard", metavar="WHAT", help="back again when it is worse by these: errors,latency,rmse"),
        argument("--data", metavar="$ROWS", help="rows to send to both in each step, for a guard of quality"),
        argument("--target", metavar="$VALUES", help="the true value of each of these rows"),
        flag("--dry-run", what="show what would be done, and do nothing"),
        waiting,
        quiet,
        output,
    )
    def sm_traffic(self, given: argparse.Namespace, _cell: str | None) -> Any:
        """Give each variant of an endpoint its share of the traffic, in place, without a new fleet.

        Shares are any numbers, as A=90 B=10. One variant may be left out: then they are percent, and it gets the rest.
        With --steps 10,50,100 one variant's share rises to so many percent, from no more than the first, and each is
        held for a while; the others divide the rest as they did. An interrupt ends that and leaves the traffic as it
        is. With --guard errors, latency or a metric of %%sm_compare, the newcomer is watched, and the traffic is moved
        back when it is worse.
        errors are answers of 5XX and failures of the model; 4XX are not counted, nor what came before the first step.
        On AWS a step counts from its next full minute on, for CloudWatch counts by minutes, one or two minutes late.
        """
        connection = self.session.connection()
        snapshot = find_endpoint(connection, given.name)
        names = [each.name for each in snapshot.variants]
        if not given.words:
            told = f"say what {' and '.join(names) or 'each variant'} should get"
            words = " ".join(f"{each}=1" for each in names)
            if given.steps is not None:
                told, words = "say which variant is to go these steps", f"{names[-1]} --steps {given.steps}"
            raise CellError(told, hint=f"%sm_traffic {snapshot.name} {words}")
        if given.steps is not None:
            return self._stepped(given, connection, snapshot.name, names)
        refuse(given, "it goes with --steps", every=None, guard=None, data=None, target=None)
        from sm_magics.deploy import observe_endpoint
        from sm_magics.plan import reweigh
        from sm_magics.results import Planned
        from sm_magics.shifting import shift
        from sm_magics.traffic import parse_weights

        weights = parse_weights(given.words, snapshot.name, names)
        if given.dry_run:
            return Planned(reweigh(snapshot.name, observe_endpoint(connection, snapshot.name), weights))
        wait, timeout = self.session.waits(given), self.session.timeout(given)
        events = shift(connection, snapshot.name, weights, self.session.clock, wait=wait, timeout=timeout)
        return self._follow(given, connection, events)

    def _stepped(self, given: argparse.Namespace, connection: Connection, endpoint: str, names: Sequence[str]) -> Any:
        from sm_magics.deploy import observe_endpoint
        from sm_magics.guard import parse_guards
        from sm_magics.results import Planned
        from sm_magics.shifting import Course, course_plan, step
        from sm_magics.traffic import check_spaces, check_variant, parse_steps

        if given.wait is False:
            raise CellError("--no-wait does not go with --steps", hint="steps are taken while the cell runs")
        apart = [each for each in given.words if each not in names]
        check_spaces("--steps", given.steps, [each for each in apart if each.strip(",")[:1].isdigit()])
        check_spaces("--guard", given.guard or "", [each for each in apart if not each.strip(",")[:1].isdigit()])
        if len(given.words) != 1 or "=" in given.words[0]:
            raise CellError(
                "--steps moves one variant's share", hint=f"%sm_traffic {endpoint} VARIANT --steps 10,50,100"
            )
        check_variant(endpoint, given.words[0], names)
        if len(names) == 1:
            raise CellError(f"'{names[0]}' is the only variant of endpoint '{endpoint}': it has all the traffic")
        every = DEFAULT_EVERY if given.every is None else given.every
        if every > MOST_EVERY:
            told = f"--every {duration_of(every)}: a share is held for {duration_of(MOST_EVERY)} at most"
            raise CellError(told, hint="the cell runs all the while; hold each share for less: --every 1d")
        course = Course(endpoint, given.words[0], parse_steps(given.steps), every)
        kinds = () if given.guard is None else parse_guards(given.guard)
        guard = self._guard(given, connection, course, kinds)
        if given.dry_run:
            return Planned(course_plan(observe_endpoint(connection, endpoint), course, kinds))
        events = step(connection, course, self.session.clock, guard=guard, timeout=self.session.timeout(given))
        return self._follow(given, connection, events)

    def _guard(
        self, given: argparse.Namespace, connection: Connection, course: Course, kinds: Sequence[str]
    ) -> Guard | None:
        from sm_magics.columns import check_columns
        from sm_magics.compare.exchange import Target
        from sm_magics.deploy import observe_endpoint
        from sm_magics.guard import check_every, check_steps, guards
        from sm_magics.shifting import LOOKS
        from sm_magics.spec import resolve

        if not kinds:
            refuse(given, "it goes with --guard", data=None, target=None)
            return None
        check_every(connection, course.every, kinds)
        check_steps(course.steps, kinds)
        shares = observe_endpoint(connection, course.endpoint).shares
        weights = {name: share.weight for name, share in shares.items()}
        data, target = (
            None if each is None else resolve(each, self.session.variables) for each in (given.data, given.target)
        )
        check_columns(connection, Target(course.endpoint), data, self.session.columns, compared=weights)
        looks = LOOKS * len(course.steps)
        return guards(
            connection, course.endpoint, course.newcomer, weights, kinds, looks=looks, data=data, target=target
        )
