"""What would change in the gateway, told in terms of routes instead of lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_config import CONFIG_FILE, ENV_FILE
from harness.gateway.plan.behaviour import Behaviour, Table
from harness.gateway.plan.change import Change, Kind, Plan, Severity
from harness.gateway.plan.compare import compare
from harness.gateway.plan.draw import data, render, summary
from harness.gateway.plan.reading import parse_config, parse_env, read_text
from harness.gateway.plan.settings import read_settings
from harness.gateway.plan.values import PlanError, refuse_bomb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = [
    "Behaviour",
    "Change",
    "Kind",
    "Plan",
    "PlanError",
    "Severity",
    "behaviour",
    "data",
    "plan",
    "plan_files",
    "render",
    "summary",
]


def plan(
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any],
    *,
    before_env: Mapping[str, str] | None = None,
    after_env: Mapping[str, str] | None = None,
) -> Plan:
    """What changes for requests when ``after`` takes the place of ``before``.

    Both are LiteLLM configurations, parsed; None stands for no gateway so far. Names are
    resolved as LiteLLM would: through aliases and patterns to groups to deployments, and
    along the fallbacks. What no request can notice (order of keys, comments, names spelt
    as before) is no change. The environments are compared only where both are given; there
    an empty one allows every origin, as LiteLLM does.

    Raises:
        PlanError: one of them has not the shape of a LiteLLM configuration.
    """
    known = before_env is not None and after_env is not None
    before = before or {}
    old, new = _table(before), _table(after)
    # A name that only one side writes down may be answered by a pattern of the other.
    names = dict.fromkeys((*old.names(), *new.names()))
    return Plan(
        tuple(
            compare(
                old.behaviour(names, read_settings(before, before_env if known else None)),
                new.behaviour(names, read_settings(after, after_env if known else None)),
            )
        )
    )


def behaviour(config: Mapping[str, Any], names: Iterable[str] = ()) -> Behaviour:
    """What LiteLLM does with every name of ``config``, and with ``names``.

    Raises:
        PlanError: not the shape of a LiteLLM configuration.
    """
    table = _table(config)
    wanted = dict.fromkeys((*table.names(), *names))
    return table.behaviour(wanted, read_settings(config, None))


def plan_files(directory: Path, generated: Mapping[str, str]) -> Plan:
    """What changes when the ``generated`` files, text by name, replace those in ``directory``.

    Raises:
        PlanError: a file on disk cannot be read as what it should be.
    """
    texts = {name: read_text(directory / name) for name in (CONFIG_FILE, ENV_FILE)}
    config, env = texts[CONFIG_FILE], texts[ENV_FILE]
    return plan(
        None if config is None else parse_config(config, str(directory / CONFIG_FILE)),
        parse_config(generated[CONFIG_FILE], CONFIG_FILE),
        # A gateway that is not there yet allows nobody, not everybody.
        before_env=None if config is None else parse_env(env or ""),
        after_env=parse_env(generated[ENV_FILE]),
    )


def _table(config: Mapping[str, Any]) -> Table:
    refuse_bomb(config)
    return Table(config)
