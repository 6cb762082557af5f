"""What stands where a key belongs: a key, a reference in some form, or a filler."""

from __future__ import annotations

import pytest

from harness.gateway.litellm_lint.check import judge
from harness.gateway.litellm_lint.examples import complete
from harness.gateway.litellm_lint.reader import read_yaml
from harness.gateway.litellm_lint.rules.secrets import given, is_filler

TEMPLATE = ("your-api-key-here", "sk-...", "<OPENAI_API_KEY>", "changeme", "sk-xxxxxxxx", "my_key")
NO_KEY = ("EMPTY", "none", "not-needed", "no-key-required", "dummy", "sk-fake-key")
OWN = ("http://127.0.0.1:8001/v1", "http://vllm:8000/v1", "http://10.0.0.7/v1", "http://a.local/v1")


def found(text: str) -> list[str]:
    return [each.rule for each in judge(read_yaml("config.yaml", complete(text)))]


def deployed(key: str, base: str = "") -> str:
    address = f'api_base: "{base}", ' if base else ""
    return f"""
model_list:
  - model_name: chat
    litellm_params: {{model: openai/gpt-4o, {address}api_key: "{key}"}}
    model_info: {{mode: chat}}
"""


@pytest.mark.parametrize("key", [*TEMPLATE, *NO_KEY])
def test_a_filler_is_no_key_for_the_cloud(key: str) -> None:
    assert found(deployed(key)) == ["GW265"]


@pytest.mark.parametrize("base", OWN)
@pytest.mark.parametrize("key", [*TEMPLATE, *NO_KEY])
def test_any_word_does_for_a_server_of_one_s_own(key: str, base: str) -> None:
    assert found(deployed(key, base)) == []


@pytest.mark.parametrize("key", NO_KEY)
def test_a_server_elsewhere_may_want_no_key(key: str) -> None:
    assert found(deployed(key, "https://llm.example.org/v1")) == []


@pytest.mark.parametrize("key", TEMPLATE)
def test_a_template_was_never_meant_to_stay(key: str) -> None:
    assert found(deployed(key, "https://llm.example.org/v1")) == ["GW265"]


@pytest.mark.parametrize(
    "text",
    [
        *("${OPENAI_API_KEY}", "${env:OPENAI_API_KEY}", "${env.OPENAI_API_KEY}", "$OPENAI_API_KEY"),
        *("$env:OPENAI_API_KEY", "%OPENAI_API_KEY%", "$(OPENAI_API_KEY)", "env/OPENAI_API_KEY"),
        *("{{ .Values.key }}", "{{ env 'OPENAI_API_KEY' }}", "${{ secrets.OPENAI_API_KEY }}"),
        *("os.environ['OPENAI_API_KEY']", "os.getenv(KEY)", "process.env.OPENAI_API_KEY"),
        "Bearer os.environ/OPENAI_API_KEY",
    ],
)
def test_a_reference_in_another_form_is_told_from_a_key(text: str) -> None:
    assert given(text)
    assert found(deployed(text)) == ["GW263"]


@pytest.mark.parametrize(
    "key", ["sk-proj-0123456789abcdefABCDEF", "gsk_0123456789abcdef", "yourkit", "my-own-word"]
)
def test_a_key_is_no_filler(key: str) -> None:
    assert not is_filler(key)


def test_a_header_that_is_passed_through_may_hold_a_reference_at_its_end() -> None:
    text = """
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  pass_through_endpoints:
    - path: /rerank
      target: https://api.cohere.com/v1/rerank
      headers: {Authorization: "Bearer os.environ/COHERE_API_KEY%s"}
"""
    assert found(text % "") == []
    assert found(text % " again") == ["GW263"]


def test_no_finding_repeats_what_may_be_a_key() -> None:
    text = deployed("sk-proj-0123456789abcdefABCDEF")
    (finding,) = judge(read_yaml("config.yaml", complete(text)))
    assert "0123456789" not in f"{finding}"


def test_a_file_without_general_settings_leaves_the_master_key_to_the_environment() -> None:
    text = "router_settings: {num_retries: 0}\nlitellm_settings: {request_timeout: 60}\n"
    models = "model_list: []\ngeneral_settings: {store_model_in_db: true}\n"
    assert found(text + models) == ["GW260"]
    alone = read_yaml("config.yaml", (text + "include: [models.yaml]\n").encode())
    assert [each.rule for each in judge(alone)] == []
