"""What the tests of the control plane share: its operations on a store of their own, without a process that serves."""

from __future__ import annotations

import asyncio
import json
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from sm_magics import service_model
from sm_magics.local import lifecycle
from sm_magics.local.api import Account, Resources
from sm_magics.local.artifacts import Artifacts
from sm_magics.local.awsjson import Json
from sm_magics.local.endpoints import Endpoints
from sm_magics.local.lifecycle import Refused
from sm_magics.local.store import Store

IMAGE = "linear-learner:1"
ROLE = "arn:aws:iam::123456789012:role/Serving"
NOW = 1_800_000_000.0
ACCOUNT = Account()


@dataclass
class Control:
    """The operations on models, endpoint configs and endpoints; whom they tell of what is noted, and does nothing."""

    store: Store
    artifacts: Artifacts
    now: float = NOW
    followed: list = field(default_factory=list)
    growth: list = field(default_factory=list)  # what the quota was asked for
    alarms: set = field(default_factory=set)
    captures: bool = True
    missing: dict = field(default_factory=dict)

    def __post_init__(self):
        resources = Resources(self.store, self.artifacts, ACCOUNT, lambda: self.now)
        endpoints = Endpoints(
            self.store,
            resources,
            ACCOUNT,
            follow=self.followed.append,
            is_alarm=self.alarms.__contains__,
            captures=lambda _: self.captures,
            missing=lambda _: self.missing,
            check_quota=lambda *asked: self.growth.append((*asked[:2], [(v.name, n) for v, n in asked[2]])),
            now=lambda: self.now,
        )
        self.operations = {**resources.operations(), **endpoints.operations()}
        self.model_of_calls = service_model.load("sagemaker", tuple(self.operations))

    def call(self, operation, **request):
        """Return what a call answers, which is what the service model says of it: no more, and all that must be."""
        answer = asyncio.run(self.operations[operation](request))
        shape = self.model_of_calls.output(operation)
        told = json.loads(Json().answer(answer, self.model_of_calls, shape).body or "{}")
        broken = [f"{each.path}: {each.rule}" for each in self.model_of_calls.check(shape, told)] if shape else []
        assert not broken
        return answer

    def refused(self, operation, **request):
        """Return the message with which a call is refused."""
        with pytest.raises(Refused) as caught:
            self.call(operation, **request)
        return caught.value.message

    def model(self, name="m", **container):
        self.call("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE, **container})
        return name

    def config(self, name="c1", variants=None, **more):
        """Make an endpoint config, of one variant A of model m unless others are given."""
        rows = [variant("A")] if variants is None else variants
        self.call("CreateEndpointConfig", EndpointConfigName=name, ProductionVariants=rows, **more)
        return name

    def create(self, name="boston", config="c1", **more):
        return self.call("CreateEndpoint", EndpointName=name, EndpointConfigName=config, **more)

    def describe(self, name="boston"):
        return self.call("DescribeEndpoint", EndpointName=name)

    def settle(self, name="boston"):
        """Let what is under way on an endpoint end well."""
        asyncio.run(self.store.put(lifecycle.settle(self.store.endpoint(name), self.now)))

    def fail(self, name="boston"):
        asyncio.run(self.store.put(lifecycle.fail(self.store.endpoint(name), "it could not", self.now)))


def variant(name, model="m", **more):
    """Return a variant as CreateEndpointConfig takes it."""
    row = {"VariantName": name, "ModelName": model, "InstanceType": "ml.m5.large", "InitialInstanceCount": 1, **more}
    return {key: value for key, value in row.items() if value is not None}


@contextmanager
def controlling(state):
    """Run the operations on a store in `state`."""
    store = Store(state / "state.sqlite")
    yield Control(store, Artifacts(state, {}))
    store.close()
