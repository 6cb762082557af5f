from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from harness.cli.explanations import explained
from harness.cli.main import main
from harness.load.comparing import share
from harness.load.sampling import sampling

if TYPE_CHECKING:
    from pathlib import Path

HERE = ["--gateway", "http://127.0.0.1:9/v1", "--direct", "http://127.0.0.1:9/v1", "--model", "m"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--gateway", "http://127.0.0.1:9/v1"], "give --gateway and --direct, or neither"),
        (["--direct", "http://127.0.0.1:9/v1"], "give --gateway and --direct, or neither"),
        (HERE[:4], "name the --model to ask for"),
        (["--limit", "p95 ttft < 9ms"], "write 'ttft < 20ms'"),
        (["--limit", "nonsense"], "is no objective"),
        (["--blocks", "2"], "3<=x"),
        ([*HERE[:2], "--direct", "https://api.example.com/v1", *HERE[4:]], "Say --live to load it"),
        (["--gateway", "http://10.0.0.1/v1", *HERE[2:]], "load.target-not-live"),
        ([*HERE, "--key-env", "NO_SUCH_VARIABLE_HERE"], "NO_SUCH_VARIABLE_HERE is not set"),
        ([*HERE, "--direct-key-env", "NO_SUCH_KEY_OF_IT"], "NO_SUCH_KEY_OF_IT is not set"),
        (HERE, "load.target-down"),
    ],
)
def test_what_cannot_be_measured_is_a_clear_usage_error(
    words: list[str], said: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["load", "share", "--out", str(tmp_path), *words])

    assert result.exit_code == 2
    assert said in result.output.replace("\n", " ")


def test_a_load_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "run.json").write_text("{}")

    result = CliRunner().invoke(main, ["load", "share", "--out", str(tmp_path), *HERE])

    assert result.exit_code == 2
    assert "holds a journal: one is written once" in " ".join(result.output.split())


def test_a_target_that_is_down_leaves_nothing_in_the_way_of_a_second_try(tmp_path: Path) -> None:
    words = ["load", "share", "--out", str(tmp_path), *HERE]

    tries = [CliRunner().invoke(main, words) for _ in range(2)]

    assert ["load.target-down" in each.output for each in tries] == [True, True]
    assert list(tmp_path.iterdir()) == []


def test_every_id_is_explained() -> None:
    for name in (*share.EXPLAINED, *sampling.EXPLAINED):
        found = explained(name)
        assert found is not None
        assert found.remedy
