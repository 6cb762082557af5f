"""Rules about keys that the pinned LiteLLM never reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.known_dead import INSTEAD
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import is_slip, nearest, quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config
    from harness.registry.rule import Path

_PLACES = {"top": "the root of the file", "cache_params": "litellm_settings.cache_params"}
_IN = {"top": "at the root of the file", "model": "in an entry of model_list"}
_SETTINGS = ("litellm_settings", "router_settings", "general_settings", "cache_params")
_HOMES = {"model": ("litellm_params", "model_info"), "cache_params": ("litellm_settings",)}
"""Where a key that is dead in one part may have been meant to stand."""
_POLICIES = ("retry_policy", "allowed_fails_policy")


def _dead(config: Config, section: str, found: Any, path: Path) -> Iterator[Hit]:
    """A hit for each key of ``found`` that nothing reads in ``section``."""
    for key in found if isinstance(found, dict) else ():
        if (section, key) in INSTEAD or not config.known.reads(section, key):
            message = f"LiteLLM {config.known.version} reads no {quoted(key)} {_in(section)}."
            yield Hit((*path, key), message, _instead(config, section, key), on_key=True)


def _in(section: str) -> str:
    return _IN.get(section, f"in {section}")


def _instead(config: Config, section: str, key: str) -> str:
    if (section, key) in INSTEAD:
        return INSTEAD[section, key]
    known = config.known.sections[section]
    slip = _slip(config, section, key)
    if slip:
        return f"Did you mean {quoted(slip)}?"
    homes = [
        name for name in config.known.readers_of(key) if name in _HOMES.get(section, _SETTINGS)
    ]
    homes.sort(key=lambda name: not config.known.kind(name, key))  # annotated ones are certain
    if homes:
        return f"Move it to {_PLACES.get(homes[0], homes[0])}."
    near = nearest(key, known)
    return f"Did you mean {quoted(near)}?" if near else "Remove it."


def _slip(config: Config, section: str, key: str) -> str | None:
    """The known key that ``key`` is a slip of; of several the nearest, annotated ones first.

    A key with an annotation is certainly one; of the others some are read for another purpose.
    """
    slips = [option for option in config.known.sections[section] if is_slip(key, option)]
    certain = [option for option in slips if config.known.kind(section, option)]
    return nearest(key, certain or slips) or next(iter(certain or slips), None)


@rule(
    "GW200",
    title="A key at the root is read by nobody",
    why="LiteLLM takes the parts of the file it knows by name and ignores the others without a "
    "word, so what stands below this key is not in force.",
    remedy="Remove the key.",
    failing="""
cache:  # <--
  type: redis
  ttl: 3600
""",
    passing="litellm_settings: {request_timeout: 60, cache: true, cache_params: {type: local}}",
)
def root(config: Config) -> Iterator[Hit]:
    """Keys beside model_list; ``x-`` marks those that only carry an anchor."""
    own = {key: value for key, value in config.value.items() if not key.startswith(("x-", "."))}
    yield from _dead(config, "top", own, ())


@rule(
    "GW201",
    title="A key of litellm_settings is read by nobody",
    why="Each key becomes an attribute of the litellm module, also one that no line of it ever "
    "looks at; LiteLLM reports none of them.",
    remedy="Remove the key.",
    failing="""
litellm_settings:
  request_timeout: 60
  max_budget_per_day: 10.0  # <--
""",
    passing="litellm_settings: {request_timeout: 60, max_budget: 10.0, budget_duration: 1d}",
)
def module(config: Config) -> Iterator[Hit]:
    """Keys that become attributes nobody reads."""
    yield from _dead(
        config, "litellm_settings", config.value.get("litellm_settings"), ("litellm_settings",)
    )


@rule(
    "GW202",
    title="A key of router_settings is no argument of the Router",
    why="LiteLLM drops it with a warning in its log, which nobody reads at start, and routes by "
    "its defaults.",
    remedy="Remove the key.",
    failing="""
router_settings:
  num_retries: 0
  cooldown: 5  # <--
""",
    passing="router_settings: {num_retries: 0, cooldown_time: 5}",
)
def router(config: Config) -> Iterator[Hit]:
    """Keys the Router does not take."""
    settings = config.section("router_settings")
    others = {key: value for key, value in settings.items() if key not in _REFUSED}
    yield from _dead(config, "router_settings", others, ("router_settings",))


_REFUSED = ("health_check_interval", "health_check_concurrency")


@rule(
    "GW203",
    title="A key of general_settings is read by nobody",
    why="LiteLLM ignores it in silence. Where the key is a misspelt master_key, that is an open "
    "gateway.",
    remedy="Remove the key.",
    failing="""
general_settings:
  masterkey: os.environ/LITELLM_MASTER_KEY  # <--
""",
    passing="general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}",
)
def general(config: Config) -> Iterator[Hit]:
    """Keys the proxy does not look up."""
    yield from _dead(
        config, "general_settings", config.value.get("general_settings"), ("general_settings",)
    )


@rule(
    "GW204",
    title="A key beside litellm_params is read by nobody",
    why="An entry of model_list has three parts: model_name, litellm_params and model_info. What "
    "stands beside them is kept and never looked at, most often because it slipped out of one.",
    remedy="Move it below litellm_params or model_info, or remove it.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    timeout: 30  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, timeout: 30}
    model_info: {mode: chat}
""",
)
def entry(config: Config) -> Iterator[Hit]:
    """Keys of an entry itself."""
    for index, found in config.entries:
        yield from _dead(config, "model", found, ("model_list", index))


@rule(
    "GW205",
    title="A setting of a deployment is misspelt",
    why="LiteLLM does not know the key, keeps it, and does without the one that was meant: a "
    "misspelt api_base sends the request, and the key, to the provider's own address.",
    remedy="Correct the name.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/workspace-coder
      api_bas: http://127.0.0.1:8001/v1  # <--
      api_key: os.environ/VLLM_API_KEY
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/workspace-coder
      api_base: http://127.0.0.1:8001/v1
      api_key: os.environ/VLLM_API_KEY
    model_info: {mode: chat}
""",
)
def misspelt(config: Config) -> Iterator[Hit]:
    """Unknown keys of litellm_params that are a slip of a known one, or mean another."""
    for index, found, unknown in _unknown_params(config):
        remedy = INSTEAD.get(("litellm_params", unknown), "")
        slip = _slip(config, "litellm_params", unknown)
        if slip and not remedy:
            remedy = f"Did you mean {quoted(slip)}?"
        if remedy and unknown in found:
            message = f"LiteLLM knows no setting {quoted(unknown)} of a deployment."
            yield Hit(("model_list", index, "litellm_params", unknown), message, remedy, True)


def _unknown_params(config: Config) -> Iterator[tuple[int, dict[str, Any], str]]:
    for index, found in config.entries:
        params = found.get("litellm_params")
        if not isinstance(params, dict):
            continue
        for key in params:
            if ("litellm_params", key) in INSTEAD or not config.known.reads("litellm_params", key):
                yield index, params, key


@rule(
    "GW206",
    severity=Severity.WARNING,
    title="A setting of a deployment is not LiteLLM's",
    why="LiteLLM puts a setting it does not know into the body of every request to this server. "
    "That is right for an option of the server and wrong for anything else.",
    remedy="Put an option of the server below extra_body, where the file shows what it is; "
    "remove anything else.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      model: hosted_vllm/workspace-coder
      api_base: http://127.0.0.1:8001/v1
      purchased_in: "2025"  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params:
      model: hosted_vllm/workspace-coder
      api_base: http://127.0.0.1:8001/v1
      extra_body: {structured_outputs: {choice: ["yes", "no"]}}
    model_info: {mode: chat}
""",
)
def passed_on(config: Config) -> Iterator[Hit]:
    """Unknown keys of litellm_params that resemble nothing."""
    known = config.known.sections["litellm_params"]
    for index, _, unknown in _unknown_params(config):
        if ("litellm_params", unknown) in INSTEAD or any(is_slip(unknown, key) for key in known):
            continue
        message = f"{quoted(unknown)} is sent to the server with every request."
        yield Hit(("model_list", index, "litellm_params", unknown), message, on_key=True)


@rule(
    "GW207",
    severity=Severity.WARNING,
    title="A key of model_info is misspelt",
    why="model_info may hold notes of your own, so LiteLLM takes every key; but this one is a "
    "slip of one that it reads.",
    remedy="Correct the name.",
    failing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info:
      mode: chat
      max_input_token: 8192  # <--
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat, max_input_tokens: 8192, bought_by: research}
""",
)
def info(config: Config) -> Iterator[Hit]:
    """Unknown keys of model_info that are a slip of a known one."""
    known = config.known.sections["model_info"]
    for index, found in config.entries:
        model_info = found.get("model_info")
        for key in model_info if isinstance(model_info, dict) else ():
            slip = None if key in known else _slip(config, "model_info", key)
            if slip or ("model_info", key) in INSTEAD:
                message = f"LiteLLM reads no {quoted(key)} in model_info."
                remedy = INSTEAD.get(("model_info", key), f"Did you mean {quoted(slip)}?")
                yield Hit(("model_list", index, "model_info", key), message, remedy, True)


@rule(
    "GW208",
    title="A key of cache_params is read by nobody",
    why="The cache takes its arguments and drops the rest, so the cache works otherwise than it "
    "reads, or not at all.",
    remedy="Remove the key.",
    failing="""
litellm_settings:
  request_timeout: 60
  cache: true
  cache_params:
    type: redis
    cache_key_pattern: "{model}:{prompt_hash}"  # <--
""",
    passing="""
litellm_settings:
  request_timeout: 60
  cache: true
  cache_params: {type: redis, namespace: litellm.responses}
""",
)
def cache(config: Config) -> Iterator[Hit]:
    """Keys that are no argument of the cache, nor of the Redis client behind it."""
    path = ("litellm_settings", "cache_params")
    yield from _dead(
        config, "cache_params", config.section("litellm_settings").get("cache_params"), path
    )


@rule(
    "GW209",
    title="A policy names an error class that does not exist",
    why="Policies are read by exact names such as TimeoutErrorRetries; unknown ones are ignored "
    "in silence and the class keeps its default.",
    remedy="Use a name LiteLLM has.",
    failing="""
router_settings:
  num_retries: 0
  retry_policy:
    TimeoutRetries: 2  # <--
""",
    passing="router_settings: {num_retries: 0, retry_policy: {TimeoutErrorRetries: 2}}",
)
def policy(config: Config) -> Iterator[Hit]:
    """Keys of retry_policy, model_group_retry_policy and allowed_fails_policy."""
    settings = config.section("router_settings")
    found: list[tuple[str, Any, Path]] = [
        (name, settings.get(name), ("router_settings", name)) for name in _POLICIES
    ]
    groups = settings.get("model_group_retry_policy")
    for group, value in groups.items() if isinstance(groups, dict) else ():
        found.append(
            ("retry_policy", value, ("router_settings", "model_group_retry_policy", group))
        )
    for index, entry_ in config.entries:
        model_info = entry_.get("model_info")
        if isinstance(model_info, dict):
            path: Path = ("model_list", index, "model_info", "allowed_fails_policy")
            found.append(("allowed_fails_policy", model_info.get("allowed_fails_policy"), path))
    for name, value, path in found:
        for hit in _dead(config, name, value, path):
            key = str(hit.path[-1])
            yield Hit(hit.path, hit.message, suggest(key, config.known.sections[name]), True)


@rule(
    "GW210",
    title="A setting stands where LiteLLM refuses it",
    why="LiteLLM looks for these two keys in router_settings only to end with an error.",
    remedy="Move it to general_settings.",
    failing="""
router_settings:
  num_retries: 0
  health_check_interval: 300  # <--
""",
    passing="""
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY, health_check_interval: 300}
""",
)
def refused(config: Config) -> Iterator[Hit]:
    """Keys that end the start of the proxy."""
    for key in _REFUSED:
        if key in config.section("router_settings"):
            message = f"LiteLLM does not start with {quoted(key)} in router_settings."
            yield Hit(("router_settings", key), message, on_key=True)
