"""What the engine's tests share: a real engine, one for all tests of a process."""

from __future__ import annotations

import itertools

import pytest
from enginekit import running

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """Yield an engine in a process of its own."""
    with running(tmp_path_factory.mktemp("engine-of-engine-tests")) as made:
        yield made


@pytest.fixture
def endpoint(engine):
    """Yield the name of an endpoint in service that echoes, of the test's own."""
    name = f"own{next(_NUMBERS)}"
    yield engine.serve(name)
    if engine.settled(name):
        engine.call("DeleteEndpoint", EndpointName=name)
        engine.settled(name)
