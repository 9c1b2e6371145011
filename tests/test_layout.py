"""The layout is kept: imports point down, modules stay small, and the top level holds nothing else."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sm_magics"
LONGEST_MODULE, LONGEST_MAGIC = 350, 40  # lines

# From the ground up. A module imports from the lines above its own, and from its own package; nothing else, neither
# inside a function nor for type checking only.
LAYERS = (
    "errors          what goes wrong",
    "amounts         durations and shares, as people write them",
    "nearest         the name that was meant",
    "clock           time, for whoever waits",
    "advice          what to do about what the service says",
    "service_model   what AWS says of its own calls",
    "local           the embedded engine, a program of its own",
    "spec            the cell",
    "models          what a `model:` may be, and its packaging",
    "target          what a cell asks for and what is there, made comparable",
    "traffic         shares of it, and the steps from one to another",
    "alarms          what rolls an update back, as CloudWatch has it",
    "plan            the difference, as calls",
    "connection      where the cells act",
    "watch           an endpoint, one look after another",
    "logs            what its instances print",
    "metrics         how it was used",
    "explain         why it failed",
    "events          what happens while a plan is carried out",
    "settle          waiting, and verifying",
    "deploy          carrying out a plan",
    "shifting        moving traffic",
    "versions        from one config to another, and back",
    "inventory       what is ours, and deleting it",
    "faults          what fails on purpose",
    "resolve         from a spec to a target",
    "rows            rows out of frames and arrays",
    "compare         many requests, and what is learnt from the answers",
    "guard           whether a newcomer is worse",
    "invoke          rows to an endpoint",
    "sticky          whose requests go to which variant",
    "columns         the order in which models take them",
    "render          data into cards",
    "results         what magics return",
    "live            what is seen meanwhile",
    "magics          glue: the line, the call, the card",
    "__init__        the extension",
)
ORDER = [each.split()[0] for each in LAYERS]
THE_ENGINE_NEEDS = {"errors", "service_model", "__init__", "local"}  # of the package itself only its version

MODULES = sorted(PACKAGE.rglob("*.py"))
READ = {path: ast.parse(path.read_text()) for path in MODULES}


def layer(path):
    """Return the layer of a module: the first name under the package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path):
    """Return the layers that a module imports from, with the line of each."""
    for node in ast.walk(READ[path]):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            if node.module == "sm_magics":
                for each in node.names:
                    yield (each.name if each.name in ORDER else "__init__"), node.lineno
            elif node.module.startswith("sm_magics."):
                yield node.module.split(".")[1], node.lineno
        elif isinstance(node, ast.Import):
            for each in node.names:
                if each.name.partition(".")[0] == "sm_magics":
                    yield [*each.name.split("."), "__init__"][1], node.lineno


def lines_of(node):
    """Return how many lines a function has below its docstring."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_every_module_has_its_layer():
    assert {layer(path) for path in MODULES} == set(ORDER)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = ORDER.index(layer(path))
    for name, line in imported(path):
        allowed = name in THE_ENGINE_NEEDS if layer(path) == "local" else ORDER.index(name) <= own
        assert allowed, f"{path.relative_to(ROOT)}:{line} imports {name}, which stands above it"


def test_nothing_above_the_connection_asks_whether_it_is_the_engine():
    above = ORDER[ORDER.index("connection") + 1 :]
    for path in MODULES:
        if layer(path) in above:
            assert "local" not in {name for name, _ in imported(path)}, path


@pytest.mark.parametrize(
    ("packages", "layers"),
    [
        ({"IPython", "ipywidgets"}, {"magics", "live"}),
        ({"boto3", "botocore"}, {"connection", "compare", "local"}),
        ({"jinja2", "matplotlib"}, {"render"}),
        ({"yaml"}, {"spec"}),
        ({"uvloop", "httptools"}, {"compare", "local"}),
        ({"aiohttp"}, {"compare"}),
    ],
)
def test_what_others_made_is_known_only_where_it_is_needed(packages, layers):
    for path, tree in READ.items():
        for node in ast.walk(tree):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if packages & {name.partition(".")[0] for name in names}:
                assert layer(path) in layers, f"{path}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE


def test_magics_are_short():
    for path, tree in READ.items():
        if layer(path) == "magics":
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef):
                    assert lines_of(node) <= LONGEST_MAGIC, f"{path}:{node.lineno} {node.name}"


def test_the_top_level_holds_what_it_is_to_hold_and_nothing_else():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no checkout of git")
    top = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    assert {name for name in top if not name.startswith(".")} == {
        "README.md",
        "notebooks",
        "pyproject.toml",
        "sm_magics",
        "tests",
    }
