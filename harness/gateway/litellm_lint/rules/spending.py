"""Rules about what is counted, kept and passed on besides the models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.config import ENVIRONMENT
from harness.gateway.litellm_lint.rule import rule
from harness.gateway.litellm_lint.rules.secrets import given
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config
    from harness.registry.rule import Path

_PRICE = re.compile(r"(input|output)_cost_per_token(_\w+)?|cache_\w+_input_token_cost(_\w+)?")
_DEAREST = 0.001
"""Dollars for one token; no list price is above a thousand dollars for a million."""
_DATABASE = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)


@rule(
    "GW277",
    severity=Severity.WARNING,
    title="A token costs more than a thousandth of a dollar",
    why="Price lists are per million tokens, LiteLLM counts per token. A price that is too high a "
    "million times uses up every budget with the first request.",
    remedy="Divide the price of a million tokens by 1000000.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      input_cost_per_token: 2.5  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params:
      {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, input_cost_per_token: 0.0000025}
    model_info: {mode: chat}
""",
)
def per_million(config: Config) -> Iterator[Hit]:
    """Prices of tokens in litellm_params and model_info."""
    for deployment in config.deployments:
        for part, settings in (
            ("litellm_params", deployment.params),
            ("model_info", deployment.info),
        ):
            for key, value in settings.items():
                if _PRICE.fullmatch(str(key)) and _number(value) > _DEAREST:
                    message = f"A million tokens would cost {_number(value) * 1e6:,.0f} dollars."
                    yield Hit((*deployment.path, part, key), message)


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return 0.0


@rule(
    "GW266",
    title="The database is not PostgreSQL",
    why="LiteLLM keeps keys, teams and spending by way of a schema that is written for PostgreSQL "
    "alone. With another database it does not start, or runs without one.",
    remedy="Write database_url: os.environ/DATABASE_URL, with postgresql://... in the variable.",
    failing="""
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  database_url: sqlite:///litellm.db  # <--
""",
    passing="""
general_settings:
  {master_key: os.environ/LITELLM_MASTER_KEY, database_url: "postgresql://db.internal/litellm"}
""",
)
def other_database(config: Config) -> Iterator[Hit]:
    """Addresses of databases with another scheme, in the settings and in the variables."""
    for path in (("general_settings", "database_url"), ("environment_variables", "DATABASE_URL")):
        value = config.section(path[0]).get(path[1])
        if not isinstance(value, str) or value.startswith(ENVIRONMENT) or given(value):
            continue
        scheme = _DATABASE.match(value.strip())
        if scheme is not None and scheme[1].lower() not in {"postgresql", "postgres"}:
            yield Hit(path, f"{quoted(scheme[1])} is the scheme of another database.")


@rule(
    "GW274",
    title="A pass-through endpoint leads nowhere",
    why="Without a target LiteLLM leaves the endpoint out in silence, without a path it does not "
    "start.",
    remedy="Give path: /some/path and target: https://where.it.goes.",
    failing="""
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  pass_through_endpoints:
    - path: /v1/rerank  # <--
""",
    passing="""
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  pass_through_endpoints:
    - {path: /v1/rerank, target: "https://api.cohere.com/v1/rerank"}
""",
)
def no_target(config: Config) -> Iterator[Hit]:
    """Pass-through endpoints without a path or a target."""
    found = config.section("general_settings").get("pass_through_endpoints")
    for index, each in enumerate(found if isinstance(found, list) else ()):
        path: Path = ("general_settings", "pass_through_endpoints", index)
        for key in ("path", "target") if isinstance(each, dict) else ():
            if not each.get(key):
                yield Hit(path, f"The endpoint has no {key}.")


@rule(
    "GW278",
    severity=Severity.WARNING,
    title="A pass-through endpoint hands out its key",
    why="With auth: false anybody who reaches the gateway may ask, and LiteLLM adds the headers of "
    "this file to each request: the provider's key is spent by strangers.",
    remedy="Remove auth: false; callers then need a key of the gateway.",
    failing="""
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  pass_through_endpoints:
    - path: /v1/rerank
      target: https://api.cohere.com/v1/rerank
      auth: false  # <--
      headers: {Authorization: Bearer os.environ/COHERE_API_KEY}
""",
    passing="""
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  pass_through_endpoints:
    - path: /hooks
      target: https://hooks.example.org
      auth: false
""",
)
def open_door(config: Config) -> Iterator[Hit]:
    """Endpoints that ask for no key and add one."""
    found = config.section("general_settings").get("pass_through_endpoints")
    for index, each in enumerate(found if isinstance(found, list) else ()):
        headers = each.get("headers") if isinstance(each, dict) else None
        keyed = (
            any(ENVIRONMENT in str(value) for value in headers.values())
            if isinstance(headers, dict)
            else False
        )
        if keyed and each.get("auth") is False:
            path = ("general_settings", "pass_through_endpoints", index, "auth")
            yield Hit(path, "Anybody may use the key in its headers.")
