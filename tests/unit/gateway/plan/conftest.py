from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from harness.gateway.litellm_config import compile_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.registry import Registry


@pytest.fixture
def compiled(shipped: Registry) -> dict[str, Any]:
    """The shipped configuration; the test may change it."""
    return copy.deepcopy(compile_config(shipped))


@pytest.fixture(scope="session")
def entry() -> Callable[..., dict[str, Any]]:
    """Makes one item of ``model_list``."""

    def make(
        name: str,
        server: str = "http://one:1/v1",
        identity: str | None = None,
        **params: Any,
    ) -> dict[str, Any]:
        return {
            "model_name": name,
            "litellm_params": {"model": "openai/m", "api_base": server, **params},
            "model_info": {"id": identity or f"{name}@one", "mode": "chat"},
        }

    return make


@pytest.fixture(scope="session")
def config() -> Callable[..., dict[str, Any]]:
    """Makes a configuration of deployments and router settings."""

    def make(*entries: dict[str, Any], **router: Any) -> dict[str, Any]:
        return {"model_list": list(entries), "router_settings": router}

    return make
