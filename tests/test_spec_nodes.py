from __future__ import annotations

import subprocess
import sys

import pytest

from sm_magics.errors import CellError
from sm_magics.spec.nodes import UNKNOWN, ListNode, MappingNode, ScalarNode, opened, plain_value, read
from sm_magics.spec.problems import Place, Source


def scalar(text: str, variables=None) -> ScalarNode:
    return read(Source(f"k: {text}"), variables or {}, []).entries[0].value


def test_an_expression_gives_the_object_itself():
    frame = object()
    node = scalar("$frame", {"frame": frame})
    assert (node.value, node.expression, node.place) == (frame, "$frame", Place(0, 3))


@pytest.mark.parametrize("text", ["'$x'", '"${x}"', "[$x]", "{a: $x}"])
def test_expressions_count_in_quotes_lists_and_mappings(text):
    node = scalar(text, {"x": 5})
    inner = (
        node.items[0]
        if isinstance(node, ListNode)
        else node.entries[0].value
        if isinstance(node, MappingNode)
        else node
    )
    assert inner.value == 5


@pytest.mark.parametrize(
    ("text", "value"), [("a$x", "a$x"), ("$$x", "$x"), ("$$", "$"), ("$$$x", "$$x"), ("'a ${x}'", "a ${x}")]
)
def test_a_dollar_that_is_doubled_or_inside_a_text_stays(text, value):
    node = scalar(text, {"x": 5})
    assert (node.value, node.text, node.expression) == (value, value, None)


def test_keys_are_never_expressions():
    assert read(Source("$x: 1"), {"x": "y"}, []).entries[0].key == "$x"


def test_all_expressions_that_lead_nowhere_are_told():
    problems = []
    node = read(Source("a: $xx\nb: [$y, $x]\nc: $5"), {"x": 1}, problems)
    assert [(each.message, each.hint, each.place) for each in problems] == [
        ("$xx is not defined", "did you mean '$x'?", Place(0, 3)),
        ("$y is not defined", "run the cell that defines it first", Place(1, 4)),
        ("cannot read '$5'", "write $name or ${name.attr[0]}; a text that starts with $ is written $$", Place(2, 3)),
    ]
    assert node.entries[0].value.value is UNKNOWN


def test_a_mapping_of_the_notebook_opens_into_nodes_with_an_expression_each():
    node = opened(scalar("$cfg", {"cfg": {"a": [1, {"b": 2}], 3: "x"}}))
    assert [entry.key for entry in node.entries] == ["a", "3"]
    inner = node.entries[0].value.items[1].entries[0].value
    assert (inner.value, inner.expression) == (2, "${cfg['a'][1]['b']}")


def test_what_is_written_in_the_cell_stays_closed():
    node = scalar("text")
    assert opened(node) is node


def test_a_mapping_that_holds_itself_opens_only_so_deep():
    cfg = {}
    cfg["me"] = cfg
    node, depth = opened(scalar("$cfg", {"cfg": cfg})), 0
    while isinstance(node, MappingNode):
        node, depth = node.entries[0].value, depth + 1
    assert (node.value is cfg, depth) == (True, 30)


def test_a_syntax_error_stands_alone():
    with pytest.raises(CellError) as caught:
        read(Source("a: $nope\nb: [1"), {}, [])
    assert "nope is not defined" not in str(caught.value)


def test_plain_values_of_python_text():
    assert [plain_value(text) for text in ("1", "x", "", "$x")] == [1, "x", None, "$x"]


def test_the_package_loads_nothing_heavy():
    script = "import sys, sm_magics.spec; print({'yaml', 'boto3', 'botocore', 'IPython', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
