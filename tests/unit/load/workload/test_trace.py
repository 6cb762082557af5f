from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.load.workload.trace import MOONCAKE_BLOCK, Traced, TraceError, azure, mooncake, window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = Path(__file__).parents[4] / "loadtests" / "data"
HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def test_the_samples_can_be_replayed() -> None:
    first, second = (
        list(azure(DATA / "azure-sample.csv")),
        list(mooncake(DATA / "mooncake-sample.jsonl")),
    )
    assert (len(first), len(second)) == (48, 40)
    assert first[0].at_s == second[0].at_s == 0
    for one in second:
        assert 0 < one.prompt_tokens <= len(one.blocks) * MOONCAKE_BLOCK
    assert any(a.blocks[0] == b.blocks[0] for a in second for b in second if a is not b)


@pytest.mark.parametrize(
    "stamps",
    [
        ("2023-11-16 18:15:46.6805900", "2023-11-16 18:15:47.1805900"),
        ("2024-05-10 00:00:00.009930+00:00", "2024-05-10 00:00:00.509930+00:00"),
        ("2024-05-10 01:59:59.75+02:00", "2024-05-10 00:00:00.25+00:00"),
        ("2024-05-10T00:00:00Z", "2024-05-10T00:00:00.5Z"),
    ],
)
def test_azure_stamps_of_each_year_are_read(tmp_path: Path, stamps: tuple[str, str]) -> None:
    path = tmp_path / "trace.csv"
    path.write_text(HEADER + f"{stamps[0]},374,44\n\n{stamps[1]},396,109\n")
    first, second = azure(path)
    assert first == Traced(at_s=0, prompt_tokens=374, answer_tokens=44)
    assert second.at_s == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1: the header is ''"),
        ("a,b,c\n", ":1: the header is 'a,b,c'"),
        (HEADER + "yesterday,1,2\n", ":2: cannot be read"),
        (HEADER + "2024-05-10 00:00:00,1\n", ":2: cannot be read"),
        (HEADER + "2024-05-10 00:00:00,1,x\n", ":2: cannot be read"),
        (HEADER + "2024-05-10 00:00:00,1,-2\n", ":2: a length below 0"),
        (
            HEADER + "2024-05-10 00:00:01,1,2\n2024-05-10 00:00:00,1,2\n",
            ":3: comes 1 s before the line above it",
        ),
    ],
)
def test_a_bad_azure_trace_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    refused(azure, tmp_path, text, said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", ":1: cannot be read"),
        ("3", ":1: cannot be read"),
        ('{"timestamp": 0, "input_length": 5}', ":1: cannot be read: KeyError('output_length')"),
        ('{"timestamp": NaN, "input_length": 5, "output_length": 5}', ":1: a length below 0, or"),
        (
            "\n".join(
                f'{{"timestamp": {at}, "input_length": 5, "output_length": 5}}' for at in (9, 8)
            ),
            ":2: comes",
        ),
    ],
)
def test_a_bad_mooncake_trace_is_refused_with_its_line(
    tmp_path: Path, text: str, said: str
) -> None:
    refused(mooncake, tmp_path, text, said)


def refused(read: Callable[[Path], Iterator[Traced]], tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "trace"
    path.write_text(text)
    with pytest.raises(TraceError) as caught:
        list(read(path))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_window_is_cut_out_and_played_faster() -> None:
    trace = [Traced(at_s=float(at), prompt_tokens=at, answer_tokens=1) for at in range(10)]
    played = list(window(trace, from_s=2, to_s=6, faster=2))
    assert [(one.at_s, one.prompt_tokens) for one in played] == [(0, 2), (0.5, 3), (1, 4), (1.5, 5)]
    assert list(window(trace)) == trace
    with pytest.raises(ValueError, match="nothing to do"):
        list(window(trace, faster=0))
