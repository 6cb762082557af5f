"""docs/invariants.md and the tests hold the same invariants."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[2] / "docs" / "invariants.md"
ROW = re.compile(r"^\| (\d+) \| (.+) \| `(\w+)\.py` `(\w+)` \|$", re.MULTILINE)


def held_by_tests(folder: Path) -> set[tuple[str, str]]:
    """Module and name of every property test."""
    return {
        (path.stem, node.name)
        for path in folder.glob("test_*.py")
        if path.stem not in {"test_document", "test_strategies"}
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def rows(text: str) -> list[tuple[int, str, str, str]]:
    """Number, sentence, module and test of every invariant in the document."""
    return [(int(number), said, module, test) for number, said, module, test in ROW.findall(text)]


def test_every_invariant_names_the_test_that_holds_it() -> None:
    named = [(module, test) for _, _, module, test in rows(DOCUMENT.read_text())]
    assert sorted(named) == sorted(held_by_tests(HERE))


def test_there_are_at_least_25_and_they_are_numbered() -> None:
    numbers = [number for number, *_ in rows(DOCUMENT.read_text())]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= 25


def test_every_rule_of_the_comparison_with_litellm_is_explained() -> None:
    source = (HERE.parents[1] / "integration" / "test_differential.py").read_text()
    rules = set(re.findall(r'"""(L\d): ', source))
    assert rules
    assert rules <= set(re.findall(r"^### (L\d) ", DOCUMENT.read_text(), re.MULTILINE))


def test_a_row_that_names_no_test_is_seen() -> None:
    assert rows("| 1 | It holds. | `test_x.py` `test_it_holds` |") == [
        (1, "It holds.", "test_x", "test_it_holds")
    ]
    assert ("test_x", "test_it_holds") not in held_by_tests(HERE)
