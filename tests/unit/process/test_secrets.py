from __future__ import annotations

import pytest

from harness.process.secrets import hide, show_command


def test_the_value_of_a_secret_variable_becomes_its_name() -> None:
    assert hide("Bearer abcdef-1", {"API_KEY": "abcdef-1"}) == "Bearer <API_KEY>"


def test_a_plain_setting_stays_readable() -> None:
    env = {"HOME": "/home/somebody", "TELEMETRY_TOKEN": "1"}
    assert hide("/home/somebody has 1 file", env) == "/home/somebody has 1 file"


def test_a_secret_inside_a_longer_one_leaves_nothing_behind() -> None:
    env = {"A_TOKEN": "secret", "B_TOKEN": "secret-and-more"}
    assert hide("x secret-and-more y secret", env) == "x <B_TOKEN> y <A_TOKEN>"


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["serve", "--api-key", "s3cret", "--port", "1"], "serve --api-key <hidden> --port 1"),
        (["serve", "--api-key=s3cret"], "serve --api-key=<hidden>"),
        (["say", "two words"], "say 'two words'"),
    ],
)
def test_a_command_is_shown_without_the_secrets_on_it(command: list[str], shown: str) -> None:
    assert show_command(command) == shown
