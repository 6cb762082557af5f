"""From what functions do to their names, to which part of the file is read where."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.gateway.litellm_lint.derive.facts import Function, Package, Source

SECTIONS = ("litellm_settings", "router_settings", "general_settings")
PARTS = (
    *SECTIONS,
    "litellm_params",
    "model_info",
    "cache_params",
    "retry_policy",
    "allowed_fails_policy",
)
"""Parts of the file whose name is also the name of the variables that hold them."""
CALLS = {
    "litellm_params": ("completion", "embedding", "text_completion", "responses"),
    "router_settings": ("Router",),
    "cache_params": (
        *("Cache", "RedisCache", "RedisClusterCache", "RedisSemanticCache"),
        *("Redis", "AbstractConnection", "Connection", "SSLConnection", "ConnectionPool"),
    ),
}
"""Functions and classes that take a part of the file as their arguments."""
MODELS = {
    "general_settings": ("ConfigGeneralSettings",),
    "litellm_params": ("LiteLLM_Params", "LiteLLMParamsTypedDict", "CompletionRequest"),
    "model": ("Deployment", "DeploymentTypedDict"),
    "model_info": ("ModelInfo", "ModelInfoBase", "ProviderSpecificModelInfo"),
    "retry_policy": ("RetryPolicy",),
    "allowed_fails_policy": ("AllowedFailsPolicy",),
    "cache_params": ("CoordinationRedisParams",),
    "top": ("ConfigYAML",),
}
"""Classes whose fields are keys of a part of the file."""
ROUTER = ("litellm/router.py", "litellm/router_utils/")
"""Where ``deployment`` means an entry of ``model_list``."""
LISTS = ("all_litellm_params", "OPENAI_CHAT_COMPLETION_PARAMS", "OPENAI_EMBEDDING_PARAMS")
"""Constants that list settings of a deployment."""
UNMANAGED = "ROUTER_SETTINGS_MANAGED_OUTSIDE_CONFIG"
"""The constant that lists arguments of the Router that no file can set."""


def section_of(name: str) -> str:
    """The part of the file a variable of this name holds, by the package's own naming."""
    bare = name.strip("_")
    return next((part for part in PARTS if bare == part or bare.endswith(f"_{part}")), "")


class Flow:
    """Follows the sections through assignments and calls until nothing new turns up."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.held: dict[tuple[int, str], str] = {}
        self.by_name: dict[str, list[int]] = defaultdict(list)
        for index, function in enumerate(package.functions):
            self.by_name[function.name].append(index)
            if function.owner == "ProxyConfig" and "config" in function.parameters:
                self.held[index, "config"] = "top"
            if function.file.startswith(ROUTER):
                for name in ("deployment", "_deployment"):
                    self.held[index, name] = "model"

    def section(self, index: int, found: Source) -> str:
        """The section a source is, or nothing."""
        if not found:
            return ""
        if found[0] == "var":
            name = found[1]
            return self.held.get((index, name)) or section_of(name) or MORE.get(name, "")
        if found[0] == "item":
            return "model" if found[1] == ("var", "model_list") else ""
        inner = self.section(index, found[1])
        if inner == "top" and found[2] == "model_list":
            return ""
        return section_of(found[2]) or (found[2] if inner == "top" else "")

    def run(self) -> None:
        """Propagate to a fixed point."""
        grown = True
        while grown:
            grown = False
            for index, function in enumerate(self.package.functions):
                for name, found in function.binds:
                    held = self.section(index, found)
                    if held:
                        grown |= self.hold(index, name, held)
                for called, place, found in function.passes:
                    held = self.section(index, found)
                    targets = self.by_name.get(called, ()) if held not in {"", "model"} else ()
                    for target in targets if len(targets) <= MAX_NAMESAKES[held == "top"] else ():
                        name = parameter(self.package.functions[target], place)
                        if name:
                            grown |= self.hold(target, name, held)

    def hold(self, index: int, name: str, held: str) -> bool:
        """Note that a name of a function holds a section; False if that was known."""
        if (index, name) in self.held or section_of(name):
            return False
        self.held[index, name] = held
        return True


MORE = {
    "<config>": "top",
    "kwargs": "litellm_params",
    "optional_params": "litellm_params",
    "non_default_params": "litellm_params",
    "passed_params": "litellm_params",
    "request_kwargs": "litellm_params",
    "input_kwargs": "litellm_params",
    "litellm_model_info": "model_info",
}
"""Other names the package gives to a section; a deployment's settings end up in ``kwargs``."""
MAX_NAMESAKES = (4, 1)
"""A call of a name with more definitions than that is not followed; the second is for the root."""


def parameter(function: Function, place: int | str) -> str:
    """The parameter an argument ends up in."""
    if isinstance(place, str):
        return place if place in function.parameters else ""
    names = function.parameters
    names = names[1:] if names[:1] in (["self"], ["cls"]) else names
    return names[place] if place < len(names) else ""


def inherited(package: Package, name: str, seen: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The fields of a class and of those it is built on."""
    found: dict[str, Any] = {}
    for base in package.bases.get(name, ()):
        if base not in seen:
            found |= inherited(package, base, seen | {name})
    return found | package.fields.get(name, {})


def module_settings(package: Package) -> dict[str, tuple[list[str], str]]:
    """What ``setattr(litellm, key, value)`` can reach: data of the module that is read."""
    root = "litellm/__init__.py"
    declared = package.globals.get("litellm/constants.py", {}) | package.globals.get(root, {})
    for name, home in package.imported.get(root, {}).items():
        if name in package.globals.get(home, {}):
            declared.setdefault(name, package.globals[home][name])
    return {
        name: (package.module_reads[name], declared[name][1])
        for name in declared
        if name in package.module_reads and not name.startswith("_")
    }


class Table:
    """Per section and key: the places that read it, and its annotation."""

    def __init__(self) -> None:
        self.sections: dict[str, dict[str, dict[str, Any]]] = {
            name: {} for name in ("top", "model", *PARTS)
        }

    def add(self, section: str, key: str, places: list[str], kind: str = "") -> None:
        """Note that ``key`` is read at ``places``."""
        entry = self.sections[section].setdefault(key, {"read": []})
        entry["read"] += [place for place in places if place not in entry["read"]]
        if kind:
            entry.setdefault("type", kind)


def tables(package: Package) -> Table:
    """Every key of every section that the package reads."""
    table = Table()
    _declared(package, table)
    flow = Flow(package)
    flow.run()
    for index, function in enumerate(package.functions):
        for found, key, line in function.reads:
            section = flow.section(index, found)
            if section in table.sections and section != "router_settings" and key.isidentifier():
                table.add(section, key, [f"{function.file}:{line}"])
    for key, (places, kind) in module_settings(package).items():
        table.add("litellm_settings", key, places, kind)
    for key in package.constants.get(UNMANAGED, []):
        table.sections["router_settings"].pop(key, None)
    return table


def _declared(package: Package, table: Table) -> None:
    """Keys that are fields of a class, arguments of a callable or members of a list."""
    fields = [
        (section, inherited(package, name))
        for section, classes in MODELS.items()
        for name in classes
    ]
    arguments = [
        (section, package.arguments.get(name, {}))
        for section, callables in CALLS.items()
        for name in callables
    ]
    providers = [  # what a provider's transformation knows; its annotations are its own
        ("litellm_params", {key: (place, "") for key, (place, _) in known.items()})
        for name, known in package.fields.items()
        if name.endswith("Config")
    ]
    lists = [
        ("litellm_params", dict.fromkeys(package.constants.get(name, []), (name, "")))
        for name in LISTS
    ]
    for section, known in (*fields, *arguments, *providers, *lists):
        for key, (place, kind) in known.items():
            table.add(section, key, [place], kind)
