from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.gateway.litellm_lint.promql import metric_names


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", ["up"]),
        ("rate(a_total[5m]) / rate(b_total[5m])", ["a_total", "b_total"]),
        ("sum by (c, d) (a)", ["a"]),
        ("sum(a) by (c) > 0", ["a"]),
        ("a * on (b) group_left (c) d", ["a", "d"]),
        ("a * ignoring(b) group_right() d", ["a", "d"]),
        ('a{b="c", d=~"e|f"} offset 5m', ["a"]),
        ('{__name__="a", b="c"}', ["a"]),
        ('{__name__=~"a.*"}', []),
        ("max_over_time(rate(a[5m])[1h:5m])", ["a"]),
        ("a # b\n + c", ["a", "c"]),
        ("a > 1e5 and b < 0x1f", ["a", "b"]),
        ("a:b:rate5m", ["a:b:rate5m"]),
        ("label_replace(a, 'b', '$1', 'c', '(.*)')", ["a"]),
        ('a{b="\\"}"} + c', ["a", "c"]),
        ("`raw(` + a", ["a"]),
        ("rate(a[$__rate_interval]) > ${limit}", ["a"]),
        ("a_$kind + b_${kind}_c + [[kind]]_d", []),
        ("label_values(a, b)", ["a"]),
        ("label_values(b)", []),
        ("label_values(a{c='d'}, b)", ["a"]),
        ("query_result(topk(5, a))", ["a"]),
        ("a + a", ["a"]),
        ("", []),
    ],
)
def test_the_names_of_metrics_are_found(expression: str, names: list[str]) -> None:
    assert metric_names(expression) == names


@given(st.text(alphabet="ab{}()[]\"',=~$ \n#:1`\\", max_size=60))
def test_no_text_is_too_strange(expression: str) -> None:
    for name in metric_names(expression):
        assert name == "" or name in expression
