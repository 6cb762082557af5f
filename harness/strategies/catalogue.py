"""What answers: providers with their models, the services and hosts they run on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn

POOL = (
    *("chat-7b", "coder", "m", "m1", "m-1", "m/1", "gpt-4", "gpt-4o", "gpt-3.5-turbo"),
    *("llama3.1", "llama3.1:8b", "ollama/llava", "openai/gpt-4", "qwen", "qwen2.5", "qwen2.5:7b"),
    *("A", "a", "a.b", "a@b", "a+b", "a_b", "0", "123", "1e3", "true", "null", "x-1", "x-12"),
)
"""Names with common prefixes, names of providers in them, names that look like other scalars."""

_LETTERS = "aAbx01"
MODEL_NAMES = st.sampled_from(POOL) | st.builds(
    str.__add__,
    st.sampled_from(_LETTERS),
    st.text(st.sampled_from(f"{_LETTERS}.:/@+-_"), max_size=5),
)
"""Names as clients and servers write them."""

CAPABILITIES = ("chat", "code", "vision", "tools", "reasoning")
BOOLEANS = st.booleans()
SELDOM = st.integers(0, 3).map(lambda number: number == 3)
_CONTEXTS = (2048, 4096, 8192, 32768, 131_072)
_LOCAL_TYPES = ("vllm", "ollama", "llama_cpp_native", "llama_cpp_python", "openai_compatible")
_REMOTE_TYPES = ("openai", "anthropic", "openai_compatible", "vllm", "ollama")
_PROBES = {"ollama": "/api/tags", "llama_cpp_python": "/v1/models"}
_MANY_MODELS = ("ollama", "openai", "anthropic", "openai_compatible")
_STATUS = st.sampled_from(("active", "active", "optional", "disabled"))
_RESIDENCY = st.sampled_from(("always", "on_demand", "manual"))
_MODE = st.sampled_from(("chat",) * 8 + ("embedding", "completion"))

Table = dict[str, Any]


@st.composite
def _models(draw: DrawFn) -> Table:
    return {
        "name": draw(MODEL_NAMES),
        "context_length": draw(st.sampled_from(_CONTEXTS)),
        "capabilities": [draw(st.sampled_from(CAPABILITIES))],
        "mode": draw(_MODE),
        "residency": draw(_RESIDENCY),
        "vram_gb": draw(st.integers(2, 32)) / 2,
    }


@st.composite
def _servers(draw: DrawFn) -> Table:
    """All that is drawn for one provider, in one piece: so a failure shrinks by whole ones."""
    return {
        "port": draw(st.integers(1024, 65_535)),
        "remote": draw(BOOLEANS),
        "type": draw(st.integers(0, 4)),
        "status": draw(_STATUS),
        "gpu": draw(BOOLEANS),
        "rpm": draw(st.none() | st.integers(1, 600)),
        "priority": draw(st.just(1) | st.integers(1, 3)),
        "renamed": draw(BOOLEANS),
        "models": draw(_CATALOGUES),
    }


_CATALOGUES = st.lists(_models(), min_size=1, max_size=3, unique_by=lambda model: model["name"])
_SYSTEMS = st.sampled_from((1, 3)).flatmap(
    lambda least: st.lists(
        _servers(), min_size=least, max_size=5, unique_by=lambda server: server["port"]
    )
)


def catalogue(draw: DrawFn) -> tuple[Table, Table, Table]:
    """Providers, the services they listen on, the hosts they run on; ``p0`` is local and active."""
    vram = draw(st.sampled_from((0, 16, 24)))
    hosts: Table = {"box": {"gpu": "Some Card", "vram_gb": vram} if vram else {}}
    services: Table = {"gateway": {"port": 1022, "protocol": "http", "owner": "gateway"}}
    if draw(BOOLEANS):
        services["redis"] = {"port": 1023, "protocol": "tcp", "owner": "redis", "optional": True}
    providers: Table = {}
    free = [float(vram)]
    for number, server in enumerate(draw(_SYSTEMS)):
        key = f"p{number}"
        if number == 0:
            server |= {"remote": False, "status": "active"}
        providers[key] = provider = _provider(key, server, gpu=bool(vram) and server["gpu"])
        if not server["remote"]:
            owner = f"{key} unit"
            services[key] = {"port": server["port"], "protocol": "http", "owner": owner}
        for model in provider["models"]:
            _load(model, provider, free)
    return providers, services, hosts


def _provider(key: str, server: Table, *, gpu: bool) -> Table:
    type_ = _LOCAL_TYPES[server["type"]]
    provider: Table = (
        {"type": _REMOTE_TYPES[server["type"]], "base_url": f"https://{key}.example"}
        if server["remote"]
        else {
            "type": type_,
            "port": key,
            "health": {"path": _PROBES.get(type_, "/health"), "timeout_s": 2},
            "hardware": {"host": "box", "gpu": gpu},
        }
    )
    provider["status"] = server["status"]
    if server["rpm"] is not None:
        provider["api_key"] = {"env": f"{key.upper()}_KEY"}
        provider["rate_limits"] = {"rpm": server["rpm"], "max_parallel": 4}
    if server["priority"] > 1:
        provider["priority"] = server["priority"]
        provider["failover_only"] = server["gpu"]
    provider["models"] = [
        {
            "name": model["name"],
            "served_as": f"served-{model['name']}" if server["renamed"] else model["name"],
            **{field: value for field, value in model.items() if field != "name"},
        }
        for model in server["models"]
    ]
    return provider


def _load(model: Table, provider: Table, free: list[float]) -> None:
    """Let the model be resident only beside those it fits, and alone where a server holds one."""
    others = [each for each in provider["models"] if each is not model]
    if provider["type"] not in _MANY_MODELS and any(
        each["residency"] == "always" for each in others
    ):
        model["residency"] = "manual"
    if not provider.get("hardware", {}).get("gpu", False):
        del model["vram_gb"]
    elif model["residency"] == "always":
        if model["vram_gb"] > free[0]:
            model["residency"] = "manual"
        else:
            free[0] -= model["vram_gb"]
