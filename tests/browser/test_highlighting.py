"""Colours of what is typed, as JupyterLab and Notebook 7 show it: YAML where a cell has YAML, else Python's."""

from __future__ import annotations

import pytest
from frontend import MS, pictures
from playwright.sync_api import expect

YAML = """%%sm_endpoint boston --dry-run
variants:  # for all
  Linear-Model: {model: $linear, weight: 4}
  "B": {model: import, instances: 2}
capture: {to: 's3://bucket', sample: 20%}
note: |
  for 1 in it: # text

  "and on
retain: true
args:
- |
  weight: 1
- >-
    deeper: 2
     and: 3
- name: |
    under: 4
  import: 5
tags: 6
"""
PYTHON = "weight = 4  # of it\nfor each in [weight]: pass"
COLOURS = {  # what is written, and the theme's name for its colour; None: that of plain text
    "%%sm_endpoint": "meta",
    "--dry-run": "attribute",
    "variants": "property",
    "# for all": "comment",
    "Linear-Model": "property",
    "$linear": "variable-2",
    "weight": "property",
    "4": "number",
    '"B"': "property",
    "import": None,
    "2": "number",
    "'s3://bucket'": "string",
    "20%": "number",
    "for 1 in it: # text": "string",
    '"and on': "string",
    "true": "atom",
    "weight: 1": "string",  # the text of an item of a list stands right of its dash
    "deeper: 2": "string",
    "and: 3": "string",
    "name": "property",
    "under: 4": "string",
    "5": "number",  # after the text of a key that stands left of it
    "tags": "property",
    "6": "number",
}
PIECES = """cell => {
    const walk = document.createTreeWalker(cell.querySelector('.cm-content'), NodeFilter.SHOW_TEXT);
    const pieces = [];
    while (walk.nextNode()) {
        const text = walk.currentNode.data.trim();
        if (text) pieces.push([text, getComputedStyle(walk.currentNode.parentElement).color]);
    }
    return pieces;
}"""
NAMED = """(cell, name) => {
    const probe = document.createElement('span');
    probe.style.color = name ? `var(--jp-mirror-editor-${name}-color)` : '';
    cell.querySelector('.cm-editor').append(probe);
    const colour = getComputedStyle(probe).color;
    probe.remove();
    return colour;
}"""


def pieces(cell):
    """Return what a cell shows, piece by piece, each with its colour."""
    return [tuple(each) for each in cell.evaluate(PIECES)]


def named(cell, name):
    """Return a colour of the theme; without a name, that of plain text."""
    return cell.evaluate(NAMED, name)


def shows(cell, colours):
    expect(cell.locator(".cm-line span").first).to_be_visible(timeout=MS)
    shown = pieces(cell)
    assert [each for each in ((text, named(cell, name)) for text, name in colours.items()) if each not in shown] == []


def test_yaml_is_coloured_as_yaml_and_python_as_python(open_cells, front_end):
    opened = open_cells(YAML, PYTHON, f"%%sm_invoke boston\n{PYTHON}", front_end=front_end)
    opened.has_run(0)
    assert opened.page.evaluate("() => '_JUPYTERLAB' in window && 'sm-magics' in window._JUPYTERLAB")
    shows(opened.cell(1), COLOURS)
    if front_end == "lab":
        pictures(opened, "highlighting")
    shows(opened.cell(2), {"4": "number", "# of it": "comment", "for": "keyword", "pass": "keyword"})
    python = pieces(opened.cell(2))
    assert pieces(opened.cell(3))[-len(python) :] == python  # what is sent there is no YAML


@pytest.mark.parametrize("magic", ["%%sm_model linear", "%%sm_compare boston"])
def test_a_cell_is_yaml_while_its_first_line_says_so(open_cells, magic):
    opened = open_cells("variants:\n  weight: 4")
    opened.has_run(0)
    cell, keyboard = opened.cell(1), opened.page.keyboard
    expect(cell.locator(".cm-line span").first).to_be_visible(timeout=MS)
    python = pieces(cell)
    cell.locator(".cm-line").first.click()
    keyboard.press("Control+Home")
    keyboard.type(f"{magic}\n")
    shows(cell, {"variants": "property", "weight": "property", "4": "number"})
    keyboard.press("Control+End")
    keyboard.type("\nenv:\n- A:\nB: 1\n")  # a key without a value: one deeper, by two
    assert [each.rstrip() for each in cell.locator(".cm-line").all_inner_texts()] == [
        *[magic, "variants:", "  weight: 4", "  env:", "    - A:", "        B: 1", ""],
    ]
    keyboard.press("Control+Home")
    for _ in f"{magic}\n":
        keyboard.press("Delete")
    assert ("variants", named(cell, "property")) not in pieces(cell)
    assert pieces(cell)[: len(python)] == python


def test_enter_indents_a_block_of_text_by_two_and_then_as_the_line_before(open_cells):
    opened = open_cells("%%sm_endpoint boston")
    opened.has_run(0)
    cell, keyboard = opened.cell(1), opened.page.keyboard
    expect(cell.locator(".cm-line span").first).to_be_visible(timeout=MS)
    cell.locator(".cm-line").first.click()
    keyboard.press("Control+End")
    keyboard.type("\nargs:\n- |\none\n  deeper\nas deep\n")
    for _ in range(2):
        keyboard.press("Backspace")  # back to the dash
    keyboard.type("- k: >\ntext\nmore")
    assert [each.rstrip() for each in cell.locator(".cm-line").all_inner_texts()] == [
        *["%%sm_endpoint boston", "args:", "  - |", "    one", "      deeper", "      as deep"],
        *["  - k: >", "      text", "      more"],
    ]
