"""Rules about caching, logging, tags and the list of models as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.kinds import words_for
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import is_slip, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config
    from harness.registry.rule import Path

_CACHE = ("litellm_settings", "cache_params")
_NEEDED = {
    "redis-semantic": ("similarity_threshold",),
    "valkey-semantic": ("similarity_threshold",),
    "qdrant-semantic": ("qdrant_collection_name", "similarity_threshold"),
}
"""Without these a cache of the type ends the start of the gateway."""
_LOGGERS = ("callbacks", "success_callback", "failure_callback", "service_callback")
_LOGGER_NAMES = "_custom_logger_compatible_callbacks_literal"


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


@rule(
    "GW275",
    title="A semantic cache lacks what it needs",
    why="It compares prompts by how alike they are. Without a threshold for that, or without a "
    "place for its vectors, LiteLLM ends at its start with a traceback.",
    remedy="Add it; similarity_threshold is between 0 and 1, where 1 wants equal prompts.",
    failing="""
litellm_settings:
  request_timeout: 60
  cache: true
  cache_params:  # <--
    type: redis-semantic
    ttl: 600
""",
    passing="""
litellm_settings:
  request_timeout: 60
  cache: true
  cache_params: {type: redis-semantic, ttl: 600, similarity_threshold: 0.8}
""",
)
def semantic_cache(config: Config) -> Iterator[Hit]:
    """Semantic caches without a threshold or a collection."""
    settings = config.section("litellm_settings")
    params = settings.get("cache_params")
    if settings.get("cache") is not True or not isinstance(params, dict):
        return
    needed = _NEEDED.get(str(params.get("type")), ())
    missing = [key for key in needed if params.get(key) is None]
    if missing:
        yield Hit(_CACHE, f"cache_params has no {' and no '.join(missing)}.", on_key=True)


@rule(
    "GW276",
    title="The name of a logger is misspelt",
    why="In success_callback and failure_callback LiteLLM compares the name with those it knows "
    "and goes on in silence, so nothing is logged; in callbacks it looks for a Python module of "
    "that name and ends.",
    remedy="Correct the name.",
    failing="""
litellm_settings:
  request_timeout: 60
  success_callback: [langfues]  # <--
""",
    passing="""
litellm_settings: {request_timeout: 60, success_callback: [langfuse], callbacks: [own.handler]}
""",
)
def logger(config: Config) -> Iterator[Hit]:
    """Names of callbacks that are a slip of one LiteLLM has; others may be of one's own."""
    known = config.known.choices.get(_LOGGER_NAMES, [])
    settings = config.section("litellm_settings")
    for key in _LOGGERS:
        value = settings.get(key)
        for index, each in enumerate(value if isinstance(value, list) else ()):
            if not isinstance(each, str) or each in known:
                continue
            slips = [name for name in known if is_slip(each, name)]
            if slips:
                remedy = f"Did you mean {quoted(nearest(each, slips) or slips[0])}?"
                message = f"LiteLLM has no logger {quoted(each)}."
                yield Hit(("litellm_settings", key, index), message, remedy)


@rule(
    "GW219",
    title="A URL stands where the host of Redis belongs",
    why="The client looks the whole text up as the name of a machine, finds none, and each request "
    "waits for a cache that is never there.",
    remedy="Write the host alone, or the whole address under url (redis_url).",
    failing="""
litellm_settings:
  request_timeout: 60
  cache: true
  cache_params:
    type: redis
    host: redis://redis.internal  # <--
    port: 6379
""",
    passing="""
litellm_settings:
  request_timeout: 60
  cache: true
  cache_params: {type: redis, host: redis.internal, port: 6379}
""",
)
def url_as_host(config: Config) -> Iterator[Hit]:
    """Hosts with a scheme, of the cache and of the Router's Redis."""
    params = config.section("litellm_settings").get("cache_params")
    router = config.section("router_settings")
    places: tuple[tuple[Path, Any], ...] = (
        ((*_CACHE, "host"), params.get("host") if isinstance(params, dict) else None),
        (("router_settings", "redis_host"), router.get("redis_host")),
    )
    for path, value in places:
        if isinstance(value, str) and "://" in value:
            yield Hit(path, f"{quoted(value)} is a URL.")
