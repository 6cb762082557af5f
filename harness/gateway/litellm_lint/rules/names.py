"""Rules about names: fallbacks, aliases and wildcards that lead where a reader would expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.gateway.litellm_lint.config import FALLBACKS
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import quoted, suggest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config, Step

_ROUTER = """
router_settings:
  num_retries: 0
  allowed_fails: 1
  cooldown_time: 5
"""


@rule(
    "GW230",
    title="A fallback leads to a group that does not exist",
    why="LiteLLM looks the name up when the first server fails, finds nothing, and the client "
    "gets the first server's error: the safety net is missing and nothing said so.",
    remedy="Use the model_name of a group, or an alias.",
    failing=_ROUTER
    + """  fallbacks:
    - chat: [last-resort]  # <--
""",
    passing=_ROUTER
    + """  fallbacks:
    - chat: [backup]
""",
)
def unknown_target(config: Config) -> Iterator[Hit]:
    """Targets of fallbacks and default fallbacks that nothing answers."""
    if not config.closed:
        return
    steps = [(step.target, step.path) for step in config.steps(*FALLBACKS)]
    value, path = config.setting("default_fallbacks")
    for index, each in enumerate(value if isinstance(value, list) else ()):
        if isinstance(each, str):
            steps.append((each, (*path, index)))
    for target, where in steps:
        if not config.answers(target):
            message = f"There is no group {quoted(target)}."
            yield Hit(where, message, suggest(target, [*config.groups, *config.aliases]))


@rule(
    "GW231",
    title="A group that does not exist has fallbacks",
    why="The fallbacks are never used, and the group they were meant for has none.",
    remedy="Use the model_name of a group, or an alias.",
    failing=_ROUTER
    + """  fallbacks:
    - caht: [backup]  # <--
""",
    passing=_ROUTER
    + """  fallbacks:
    - chat: [backup]
    - "*": [backup]
""",
)
def unknown_source(config: Config) -> Iterator[Hit]:
    """Sources of fallbacks that no request asks for."""
    if not config.closed:
        return
    bare = {name.rpartition("/")[2] for name in config.groups}
    for _, entries, path in config.fallback_lists():
        for index, entry in enumerate(entries):
            for source in entry if isinstance(entry, dict) else ():
                stripped = source.rpartition("/")[2]
                if source == "*" or source in bare or stripped in config.groups:
                    continue
                if not config.answers(source):
                    message = f"There is no group {quoted(source)}."
                    remedy = suggest(source, [*config.groups, *config.aliases])
                    yield Hit((*path, index, source), message, remedy, on_key=True)


@rule(
    "GW232",
    title="A group falls back to itself",
    why="The server that has just failed is asked once more, and its timeout is paid twice.",
    remedy="Remove the step.",
    failing=_ROUTER
    + """  fallbacks:
    - chat: [chat]  # <--
""",
    passing=_ROUTER
    + """  fallbacks:
    - chat: [backup]
""",
)
def to_itself(config: Config) -> Iterator[Hit]:
    """Steps from a group, or from an alias of it, to the group."""
    for step in config.steps(*FALLBACKS):
        if _group(config, step.source) == _group(config, step.target):
            yield Hit(step.path, f"{quoted(step.source)} falls back to itself.")


def _group(config: Config, name: str) -> str:
    return config.aliases.get(name, name)


@rule(
    "GW233",
    title="Fallbacks run in a circle",
    why="LiteLLM follows the fallbacks of a fallback. When all members are down, a request walks "
    "the circle until max_fallbacks ends it, and pays each timeout again (litellm#35303).",
    remedy="Put the groups into one order; let the last have no fallback.",
    failing=_ROUTER
    + """  fallbacks:
    - chat: [backup]  # <--
    - backup: [chat]
""",
    passing=_ROUTER
    + """  fallbacks:
    - chat: [backup]
""",
)
def circle(config: Config) -> Iterator[Hit]:
    """Circles of two groups or more; each is reported once, at its first step."""
    for key in FALLBACKS:
        after: dict[str, list[Step]] = {}
        for step in config.steps(key):
            if _group(config, step.source) != _group(config, step.target):
                after.setdefault(_group(config, step.source), []).append(step)
        done: set[str] = set()
        for start in _in_circles(config, after):
            way = [] if start in done else _circle(config, after, start)
            if way:
                names = [_group(config, step.source) for step in way]
                done.update(names)
                message = f"The fallbacks run in a circle: {' -> '.join([*names, start])}."
                yield Hit(way[0].path, message)


def _in_circles(config: Config, after: dict[str, list[Step]]) -> list[str]:
    """The groups that some circle may pass: what is left when dead ends are taken off."""
    before: dict[str, set[str]] = {}
    left = {name: {_group(config, step.target) for step in steps} for name, steps in after.items()}
    for name, targets in left.items():
        for target in targets:
            before.setdefault(target, set()).add(name)
    ends = [name for name in before if name not in left]
    while ends:
        end = ends.pop()
        for name in before.get(end, ()):
            left[name].discard(end)
            if not left[name]:
                del left[name]
                ends.append(name)
    return list(left)


def _circle(config: Config, after: dict[str, list[Step]], start: str) -> list[Step]:
    """The shortest way from ``start`` back to it; empty if there is none."""
    reached: dict[str, Step] = {}
    queue = [start]
    for name in queue:  # grows while it is walked: breadth first
        for step in after.get(name, ()):
            target = _group(config, step.target)
            if target == start:
                way = [step]
                while _group(config, way[0].source) != start:
                    way.insert(0, reached[_group(config, way[0].source)])
                return way
            if target not in reached:
                reached[target] = step
                queue.append(target)
    return []


@rule(
    "GW234",
    title="A group has two lists of fallbacks",
    why="LiteLLM takes the first entry that fits; the second is never read.",
    remedy="Merge the two into one list.",
    failing=_ROUTER
    + """  fallbacks:
    - chat: [backup]
    - chat: [backup]  # <--
""",
    passing=_ROUTER
    + """  fallbacks:
    - chat: [backup]
""",
)
def source_twice(config: Config) -> Iterator[Hit]:
    """Sources that stand in more than one entry of a list."""
    for _, entries, path in config.fallback_lists():
        seen: set[str] = set()
        for index, entry in enumerate(entries):
            for source in entry if isinstance(entry, dict) else ():
                if source in seen:
                    message = f"{quoted(source)} has fallbacks above."
                    yield Hit((*path, index, source), message, on_key=True)
                seen.add(source)


@rule(
    "GW235",
    severity=Severity.WARNING,
    title="A fallback names a group twice",
    why="The second attempt asks a group that has just failed.",
    remedy="Remove the second.",
    failing=_ROUTER
    + """  fallbacks:
    - chat: [backup, backup]  # <--
""",
    passing=_ROUTER
    + """  fallbacks:
    - chat: [backup]
""",
)
def target_twice(config: Config) -> Iterator[Hit]:
    """Targets that stand twice in one entry."""
    seen: set[tuple[object, ...]] = set()
    for step in config.steps(*FALLBACKS):
        key = (step.path[:-1], _group(config, step.target))
        if key in seen:
            yield Hit(step.path, f"{quoted(step.target)} has been tried before.")
        seen.add(key)


@rule(
    "GW236",
    title="An alias leads nowhere",
    why="LiteLLM resolves an alias once and then looks for a group: a name that does not exist, "
    "or another alias, answers 400.",
    remedy="Use the model_name of a group.",
    failing="""
router_settings:
  num_retries: 0
  model_group_alias:
    gpt-4: chat
    gpt-4-turbo: gpt-4  # <--
""",
    passing="""
router_settings:
  num_retries: 0
  model_group_alias: {gpt-4: chat, gpt-4-turbo: chat}
""",
)
def alias_to_nowhere(config: Config) -> Iterator[Hit]:
    """Aliases of names that are no group, among them aliases."""
    path = ("router_settings", "model_group_alias")
    for alias, target in config.aliases.items():
        where = (*path, alias)
        if target in config.aliases and target not in config.groups:
            message = f"{quoted(target)} is an alias itself; LiteLLM goes one step only."
            remedy = f"Write {quoted(config.aliases[target])} here too."
            yield Hit(where, message, remedy)
        elif config.closed and not config.answers(target):
            message = f"There is no group {quoted(target)}."
            yield Hit(where, message, suggest(target, config.groups))


@rule(
    "GW237",
    title="An alias has the name of a group",
    why="LiteLLM resolves aliases first, so no client reaches the group any more.",
    remedy="Rename one of the two.",
    failing="""
router_settings:
  num_retries: 0
  model_group_alias:
    backup: chat  # <--
""",
    passing="""
router_settings:
  num_retries: 0
  model_group_alias: {reserve: chat}
""",
)
def alias_shadows(config: Config) -> Iterator[Hit]:
    """Aliases that hide a group."""
    for alias in config.aliases:
        if alias in config.groups:
            message = f"The group {quoted(alias)} cannot be reached."
            yield Hit(("router_settings", "model_group_alias", alias), message, on_key=True)


@rule(
    "GW238",
    severity=Severity.WARNING,
    title="An alias does not have the fallbacks of its group",
    why="LiteLLM looks fallbacks up under the name the client used: who asks for the alias gets "
    "the error, who asks for the group gets the fallback (litellm#10317).",
    remedy="Add an entry for the alias with the same targets.",
    failing=_ROUTER
    + """  model_group_alias:
    gpt-4: chat  # <--
  fallbacks:
    - chat: [backup]
""",
    passing=_ROUTER
    + """  model_group_alias: {gpt-4: chat}
  fallbacks:
    - chat: [backup]
    - gpt-4: [backup]
""",
)
def alias_without_fallbacks(config: Config) -> Iterator[Hit]:
    """Aliases without an entry where their group has one."""
    for key, entries, _ in config.fallback_lists():
        sources = {source for each in entries if isinstance(each, dict) for source in each}
        for alias, target in config.aliases.items():
            if target in sources and alias not in sources and "*" not in sources:
                message = f"{quoted(target)} has {key}, its alias {quoted(alias)} has none."
                yield Hit(("router_settings", "model_group_alias", alias), message, on_key=True)


@rule(
    "GW240",
    title="A group is called 'model'",
    why="On the way to a fallback LiteLLM mistakes the group for a parameter of that name and "
    "ends the request with a TypeError (litellm#30459).",
    remedy="Rename the group.",
    failing="""
model_list:
  - model_name: model  # <--
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: the-model
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
)
def called_model(config: Config) -> Iterator[Hit]:
    """Groups with that name."""
    for deployment in config.groups.get("model", ()):
        message = "Requests for this group crash when they fall back."
        yield Hit((*deployment.path, "model_name"), message)


@rule(
    "GW244",
    title="A name begins or ends in a space",
    why="Names are compared character by character, and nobody sees the one too many: a client "
    "that asks for the name is told that it does not exist.",
    remedy="Remove the space.",
    failing="""
model_list:
  - model_name: "chat "  # <--
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
)
def spaced(config: Config) -> Iterator[Hit]:
    """Names of groups, models and aliases with white space at an end."""
    names = [((*each.path, "model_name"), each.name, False) for each in config.deployments]
    names += [(each.param("model"), each.model, False) for each in config.deployments]
    names += [
        (("router_settings", "model_group_alias", each), each, True) for each in config.aliases
    ]
    for path, name, is_key in names:
        if name != name.strip():
            yield Hit(path, f"{quoted(name)} is not {quoted(name.strip())}.", on_key=is_key)
