from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.registry.masking import masked


@pytest.mark.parametrize(
    ("line", "covered"),
    [
        ("api_key: hunter2", "api_key: *******"),
        ("  master_key: 'a b'  # c", "  master_key: '***'  # c"),
        ('"api-key": "x"', '"api-key": "*"'),
        ("{password: x, port: 1}", "{password: *, port: 1}"),
        ("- client_secret: abc", "- client_secret: ***"),
        ("auth_token: abc", "auth_token: ***"),
        ("DB_PASSWORD=abc", "DB_PASSWORD=***"),
        ("note: use sk-1234abcd here", "note: use *********** here"),
        ("url: http://ada:pw@host/x", "url: http://******@host/x"),
        ("x: Bearer abcdef", "x: Bearer ******"),
        ("# hf_abcdefghij", "# *************"),
    ],
)
def test_what_looks_like_a_secret_is_covered(line: str, covered: str) -> None:
    assert masked(line) == covered


@pytest.mark.parametrize(
    "line",
    [
        "api_key: os.environ/OPENAI_API_KEY",
        "api_key: ${OPENAI_API_KEY}",
        "api_key: {env: LITELLM_MASTER_KEY}",
        "api_key: not-needed",
        "api_key:",
        "max_tokens: 4096",
        "cache_key_pattern: x",
        "model: task-runner-large",
        "base_url: http://localhost:8000/v1",
        "timeout_s: 30  # the token comes late",
        "x: Bearer os.environ/KEY",
    ],
)
def test_a_reference_or_a_figure_is_not(line: str) -> None:
    assert masked(line) == line


@given(st.text() | st.text().map(lambda value: f"api_key: {value}"))
def test_columns_hold(line: str) -> None:
    assert len(masked(line)) == len(line)


def test_a_long_line_costs_no_more_than_its_length() -> None:
    for unit in ("api_key: ", "a_", "token", "x: 'y", "-----", "sk-"):
        line = unit * 20_000
        assert len(masked(line)) == len(line)
