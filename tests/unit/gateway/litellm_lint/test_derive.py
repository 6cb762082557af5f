"""The derivation, on a package of a few lines that reads its file in all the ways LiteLLM does."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from harness.gateway.litellm_lint.derive.__main__ import derive, render

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = {
    "litellm-9.9.9.dist-info/METADATA": "",
    "litellm/__init__.py": """
drop_params: bool = False
unused: int = 0
max_budget: float = 0.0
from ._logging import set_verbose
def completion(model: str, top_p: float | None = None, **kwargs): ...
""",
    "litellm/_logging.py": "set_verbose = False\n",
    "litellm/constants.py": """
ROUTER_SETTINGS_MANAGED_OUTSIDE_CONFIG = frozenset({"model_list"})
""",
    "litellm/proxy/proxy_server.py": """
import litellm
from litellm.other import helper, apply
KEY = "by_constant"
class ConfigGeneralSettings(Base):
    declared: int | None = None
class ProxyConfig:
    def load(self, config: dict):
        settings = config.get("general_settings", {}) or {}
        master = settings.get("master_key")
        if "flag" in settings: ...
        for name in ("looped", "also_looped"):
            settings[name]
        settings.get(KEY)
        apply(settings)
        helper(config=config)
        for key, value in config["litellm_settings"].items():
            if key == "callbacks": ...
            elif key in {"one", "two"}: ...
            else: setattr(litellm, key, value)
def elsewhere(payload: dict):
    return payload.get("unrelated")
if litellm.drop_params: ...
getattr(litellm, "max_budget")
print(litellm.set_verbose)
""",
    "litellm/other.py": """
def helper(config):
    return config.get("include")
def apply(options):
    return options.get("passed_on")
""",
    "litellm/router.py": """
from typing import Literal
Strategy = Literal["fast", "cheap"]
class Router:
    def __init__(self, model_list=None, timeout: float | None = None, strategy: Strategy = "fast"):
        pass
class Metrics:
    def __init__(self):
        self.a = self._counter_factory("litellm_a_metric")
        self.b = Gauge(name="litellm_b", documentation="")
""",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in PACKAGE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def table(folder: Path) -> dict[str, Any]:
    return derive(folder)


def test_the_version_is_that_of_the_installed_package(table: dict[str, Any]) -> None:
    assert table["litellm"] == "9.9.9"


def test_a_section_is_followed_through_names_loops_and_calls(table: dict[str, Any]) -> None:
    keys = table["sections"]["general_settings"]
    assert {
        *("master_key", "flag", "looped", "also_looped", "by_constant"),
        *("passed_on", "declared"),
    } == keys.keys()
    assert keys["passed_on"]["read"] == ["litellm/other.py:5"]
    assert keys["declared"]["type"] == "int | None"


def test_the_root_is_what_the_loader_asks_its_file_for(table: dict[str, Any]) -> None:
    assert {"general_settings", "litellm_settings", "include"} == table["sections"]["top"].keys()


def test_an_attribute_counts_only_where_something_reads_it(table: dict[str, Any]) -> None:
    keys = table["sections"]["litellm_settings"].keys()
    assert keys == {"drop_params", "max_budget", "set_verbose", "callbacks", "one", "two"}


def test_arguments_that_no_file_can_set_are_left_out(table: dict[str, Any]) -> None:
    assert table["sections"]["router_settings"].keys() == {"timeout", "strategy"}
    assert table["choices"] == {"Strategy": ["fast", "cheap"]}


def test_metrics_are_found_with_their_kind(table: dict[str, Any]) -> None:
    kinds = {name: metric["kind"] for name, metric in table["metrics"].items()}
    assert kinds == {"litellm_a_metric": "counter", "litellm_b": "gauge"}


def test_the_same_package_gives_the_same_text(folder: Path) -> None:
    assert render(derive(folder)) == render(derive(folder))


def test_a_folder_without_litellm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no litellm"):
        derive(tmp_path)


def test_the_script_writes_json_and_says_what_it_lacks(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.gateway.litellm_lint.derive"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout == render(derive(folder))
    empty = tmp_path / "empty"
    failed = subprocess.run([*command, str(empty)], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "holds no litellm" in failed.stderr
