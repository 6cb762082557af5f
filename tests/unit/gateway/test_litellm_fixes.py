from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.gateway.litellm_fixes import check_litellm, mend_file, mend_litellm
from harness.gateway.litellm_lint import LITELLM_RULES
from harness.gateway.litellm_lint.examples import complete
from harness.registry.examples import sources
from harness.registry.fixers import FIXERS
from harness.registry.fixes import Mended, mend

if TYPE_CHECKING:
    from pathlib import Path


def mended(example: str) -> Mended:
    return mend({"config.yaml": complete(example).decode()}, check_litellm)


def after(example: str) -> str:
    return mended(example).after["config.yaml"]


def test_every_fixer_belongs_to_a_rule() -> None:
    assert not {id_ for id_ in FIXERS if id_ >= "GW200"} - set(LITELLM_RULES)


@pytest.mark.parametrize(
    "form",
    [
        *("${UPSTREAM_KEY}", "$UPSTREAM_KEY", '"${UPSTREAM_KEY}"', "$env:UPSTREAM_KEY"),
        *("'%UPSTREAM_KEY%'", "'os.environ[\"UPSTREAM_KEY\"]'", "os.getenv('UPSTREAM_KEY')"),
        *("os.environ.UPSTREAM_KEY", "env:UPSTREAM_KEY", "os.environ.get('UPSTREAM_KEY')"),
    ],
)
def test_a_reference_is_written_as_litellm_reads_it(form: str) -> None:
    text = f"""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-4o
      api_key: {form}  # kept
    model_info: {{mode: chat}}
  - model_name: backup
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_key: os.environ/OTHER_KEY}}
    model_info: {{mode: chat}}
"""
    params = yaml.safe_load(after(text))["model_list"][0]["litellm_params"]
    assert params["api_key"] == "os.environ/UPSTREAM_KEY"
    assert "# kept" in after(text)


@pytest.mark.parametrize("form", ["Bearer ${KEY_A}", "${KEY_A}${KEY_B}", "${KEY_A:-x}"])
def test_a_value_that_is_more_than_a_reference_is_left_to_a_person(form: str) -> None:
    text = f"""
model_list:
  - model_name: chat
    litellm_params: {{model: openai/gpt-4o, api_key: "{form}"}}
    model_info: {{mode: chat}}
  - model_name: backup
    litellm_params: {{model: anthropic/claude-sonnet-4-5, api_key: os.environ/OTHER_KEY}}
    model_info: {{mode: chat}}
"""
    assert not mended(text).changed


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        ("ollama/nomic-embed-text", "embedding"),
        ("openai/my-reranker", "rerank"),
        ("openai/faster-whisper-x", "audio_transcription"),
    ],
)
@pytest.mark.parametrize(
    "info", ["", "    model_info: {id: dep}\n", "    model_info:\n      id: dep\n"]
)
def test_the_mode_a_name_tells_is_added(model: str, mode: str, info: str) -> None:
    text = f"""
model_list:
  - model_name: other  # kept
    litellm_params: {{model: {model}, api_base: "http://localhost:11434/v1"}}
{info}  - model_name: chat
    litellm_params: {{model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}}
    model_info: {{mode: chat}}
"""
    result = mended(text)
    entry = yaml.safe_load(result.after["config.yaml"])["model_list"][0]
    assert entry["model_info"] == {**({"id": "dep"} if info else {}), "mode": mode}
    assert "# kept" in result.after["config.yaml"]


@pytest.mark.parametrize(
    ("wrong", "right"), [('"3"', 3), ("'2.5'", 2.5), ('"5s"', "5s"), ("three", "three")]
)
def test_a_quoted_number_loses_its_quotes(wrong: str, right: object) -> None:
    text = f"router_settings: {{num_retries: 0, allowed_fails: 1, cooldown_time: {wrong}}}"
    assert yaml.safe_load(after(text))["router_settings"]["cooldown_time"] == right


def test_a_group_named_twice_is_named_once() -> None:
    text = """
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  fallbacks:
    - chat: [backup, backup]
"""
    assert "- chat: [backup]\n" in after(text)


def test_an_alias_of_an_alias_goes_one_step() -> None:
    text = """
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
  model_group_alias:
    first: chat
    second: first
    third: chta
"""
    aliases = yaml.safe_load(after(text))["router_settings"]["model_group_alias"]
    assert aliases == {"first": "chat", "second": "chat", "third": "chat"}


def test_a_misspelt_key_is_corrected_and_anchors_are_kept() -> None:
    text = """
x-shared: &shared {api_key: os.environ/OPENAI_API_KEY}
model_list:
  - model_name: chat
    litellm_params:
      <<: *shared
      model: openai/gpt-4o
      api_bas: http://127.0.0.1:8001/v1  # ours
    model_info: {mode: chat}
  - model_name: backup
    litellm_params: {<<: *shared, model: anthropic/claude-sonnet-4-5}
    model_info: {mode: chat}
"""
    assert after(text) == complete(text).decode().replace("api_bas:", "api_base:")


def test_a_key_nobody_reads_is_left_to_a_person() -> None:
    assert not mended("cache: {type: redis}\nqueue_config: {max_size: 100}").changed


@pytest.mark.parametrize("rule", LITELLM_RULES.values(), ids=list(LITELLM_RULES))
def test_the_example_of_every_rule_is_mended_once_and_for_all(rule: object) -> None:
    text = complete(rule.failing).decode()  # type: ignore[attr-defined]
    once = mend({"config.yaml": text}, check_litellm)
    assert not mend(once.after, check_litellm).changed
    assert bool(once.changed) == bool(once.fixed)


@given(
    st.lists(
        st.sampled_from(
            [
                *("  api_bas: http://x/v1\n", "  api_key: ${KEY_A}\n", "  timeout: '5'\n"),
                *("  api_key: $KEY_B # b\n", "  mdoel: x\n", "  stream_timeout: 5 # c\n", "# d\n"),
            ]
        ),
        max_size=5,
    )
)
@settings(deadline=None, max_examples=40)
def test_mending_twice_is_mending_once_and_keeps_comments(lines: list[str]) -> None:
    own = "".join(f"    {line}" for line in lines)
    text = f"""model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-4o
{own}"""
    once = mend({"a": text}, check_litellm)
    assert not mend(once.after, check_litellm).changed
    assert once.after["a"].count("#") == text.count("#")


def test_a_file_on_disk_is_read_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(
        complete("router_settings: {num_retires: 0, allowed_fails: 1, cooldown_time: 5}")
    )
    before = path.read_bytes()
    assert mend_litellm(path).changed == (str(path),)
    assert path.read_bytes() == before


def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.yaml"
    path.write_text("services: {}\n")
    assert not mend_litellm(path).found
    assert not mend_litellm(tmp_path / "none.yaml").found


def test_a_source_file_is_mended_with_its_folder(tmp_path: Path) -> None:
    broken = "model-mappings.yaml: {routes: {exact: {tiny: {model: tinny}}}}"
    for name, data in sources(broken).items():
        (tmp_path / name).write_bytes(data)
    for path in (tmp_path, tmp_path / "ports.yaml"):
        assert mend_file(path).changed == (str(tmp_path / "model-mappings.yaml"),)
    other = tmp_path / "config.yaml"
    other.write_bytes(complete("cache: {type: redis}"))
    assert mend_file(other).found
