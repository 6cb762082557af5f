from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from harness.engines.installs import KNOWN, InstallError
from harness.engines.installs.__main__ import main
from harness.engines.installs.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path


def test_the_known_ones_are_in_the_order_of_the_listing() -> None:
    assert [*KNOWN] == ["llama-cpp", "vllm", "valkey", "prometheus"]


@pytest.mark.parametrize("words", [[], ["list"]])
def test_the_list_says_what_is_there_and_what_to_type(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in KNOWN)
    assert "absent" in said
    assert "remove:  nox -s engines -- remove NAME" in said


def test_the_list_is_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--json"]) == 0
    facts = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert [*facts] == [*KNOWN]
    assert facts["vllm"]["state"] == "absent"
    assert facts["llama-cpp"]["install"] == "nox -s engines -- llama-cpp"
    assert "llama-server" in facts["llama-cpp"]["programs"]


@pytest.mark.parametrize("words", [["llama"], ["remove"], ["remove", "ollama"], ["--nonsense"]])
def test_a_word_that_means_nothing_ends_with_2(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_one_that_fails_does_not_keep_the_others_from_being_tried(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tried: list[str] = []

    def install(self: Installation, _: object) -> Path:
        tried.append(self.name)
        if self.name == "vllm":
            raise InstallError("install.disk", "no room for it. Free some.")
        return tmp_path

    monkeypatch.setattr(Installation, "install", install)
    assert main(["all"]) == 1
    assert tried == [*KNOWN]
    said = capsys.readouterr().err
    assert "error install.disk: no room" in said
    assert "not done: vllm" in said


def test_an_interrupt_ends_with_130_and_says_that_one_can_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def install(*_: object) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Installation, "install", install)
    assert main(["valkey"]) == 130
    assert "goes on from here" in capsys.readouterr().err


def test_an_older_build_is_listed_and_removed(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = cache / "engines" / "valkey-0.1-old"
    old.mkdir(parents=True)
    (old / "file").write_text("x")
    main(["list"])
    assert str(old) in capsys.readouterr().out
    assert main(["remove", "valkey"]) == 0
    assert not old.exists()
