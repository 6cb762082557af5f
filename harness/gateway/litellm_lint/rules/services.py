"""Rules about caching, tags and the list of models as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.kinds import words_for
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config

_CACHE = ("litellm_settings", "cache_params")


@rule(
    "GW270",
    title="The cache is described and not switched on",
    why="LiteLLM looks at cache_params only where cache is true; anything else, a mapping "
    "included, is stored and not used.",
    remedy="Write cache: true beside cache_params.",
    failing="""
litellm_settings:
  request_timeout: 60
  cache_params:  # <--
    type: local
""",
    passing="litellm_settings: {request_timeout: 60, cache: true, cache_params: {type: local}}",
)
def cache_off(config: Config) -> Iterator[Hit]:
    """cache_params without cache, and a cache that is no switch."""
    settings = config.section("litellm_settings")
    cache = settings.get("cache")
    if cache is not None and not isinstance(cache, bool):
        message = f"cache is {words_for(cache)}, not a switch."
        yield Hit(("litellm_settings", "cache"), message, on_key=True)
    elif cache is None and "cache_params" in settings:
        yield Hit(_CACHE, "Nothing is cached: cache is not set.", on_key=True)


@rule(
    "GW271",
    severity=Severity.WARNING,
    title="The cache has no type",
    why="With cache_params, but no type in it, the cache is in the memory of each worker, "
    "whatever REDIS_HOST says; without cache_params it is Redis (litellm#26233).",
    remedy="Write type: local or type: redis.",
    failing="""
litellm_settings:
  request_timeout: 60
  cache: true
  cache_params:  # <--
    ttl: 600
""",
    passing="""
litellm_settings: {request_timeout: 60, cache: true, cache_params: {type: local, ttl: 600}}
""",
)
def cache_type(config: Config) -> Iterator[Hit]:
    """cache_params that leave the type to a surprising default."""
    settings = config.section("litellm_settings")
    params = settings.get("cache_params")
    described = isinstance(params, dict) and params and "type" not in params
    if settings.get("cache") is True and described:
        yield Hit(_CACHE, "Each worker caches for itself.", on_key=True)


@rule(
    "GW272",
    severity=Severity.WARNING,
    title="Tags are given and not looked at",
    why="Without enable_tag_filtering a deployment's tags choose nothing; they only label spend.",
    remedy="Set router_settings.enable_tag_filtering: true.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      {model: openai/gpt-4o, api_key: os.environ/A, tags: [paid]}  # <--
    model_info: {mode: chat}
  - model_name: chat
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/A, tags: [free]}
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/A, tags: [paid]}
    model_info: {mode: chat}
  - model_name: chat
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/A, tags: [free]}
    model_info: {mode: chat}
router_settings: {num_retries: 0, enable_tag_filtering: true}
""",
)
def tags_unused(config: Config) -> Iterator[Hit]:
    """Groups whose deployments differ in their tags, where tags do not choose."""
    for members in config.groups.values():
        tags = [each.params.get("tags") for each in members]
        switches = [each.info.get("enable_tag_filtering") for each in members]
        if config.setting("enable_tag_filtering")[0] is True or True in switches:
            continue
        if len(members) > 1 and any(tags) and any(each != tags[0] for each in tags):
            first = next(each for each in members if each.params.get("tags"))
            message = f"A request to {quoted(first.name)} takes any of its deployments."
            yield Hit(first.param("tags"), message)


@rule(
    "GW273",
    severity=Severity.WARNING,
    title="The gateway has no model",
    why="It starts, and answers 400 to every request.",
    remedy="Add a deployment to model_list, or set store_model_in_db where models come from a "
    "database.",
    failing="model_list: []  # <--",
    passing="""
model_list: []
general_settings: {master_key: os.environ/LITELLM_MASTER_KEY, store_model_in_db: true}
""",
)
def no_models(config: Config) -> Iterator[Hit]:
    """Files without an entry in model_list."""
    found = config.value.get("model_list")
    if config.closed and not found and (found is None or isinstance(found, list)):
        yield Hit(("model_list",), "model_list is empty.", on_key=True)
