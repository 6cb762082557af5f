"""Rules about keys: none stands in the file, and each reaches LiteLLM."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from harness.gateway.litellm_lint.config import ENVIRONMENT
from harness.gateway.litellm_lint.rule import rule
from harness.registry.finding import Severity
from harness.registry.rule import Hit
from harness.registry.wording import is_slip, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.gateway.litellm_lint.config import Config
    from harness.registry.rule import Path

SECRET = re.compile(
    r"(.*_)?(api_key|secret|secret_key|secret_access_key|access_key|token|private_key"
    r"|salt_key|license|credentials)",
    re.IGNORECASE,
)
_PASSWORD = re.compile(r"(.*_)?(password|passwd|passphrase)", re.IGNORECASE)
_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/@\s:]*:([^/@\s]+)@", re.IGNORECASE)
_PREFIX = re.compile(
    r"(sk-|gsk_|hf_|xai-|AIza|AKIA|ghp_|github_pat_|glpat-|xox[abp]-|pk-lf-|sk_live_|pplx-|r8_)"
)
_SHELL = re.compile(
    r"\$\{(env[:.])?[A-Za-z_]\w*(:?[-?][^}]*)?\}|\$[A-Z_][A-Z0-9_]*|\$env:\w+|%[A-Z_]\w+%"
    r"|\$\([A-Z_]\w+\)|\$?\{\{-? *(env|getenv|secrets?|vault|lookup|\.Values)\b[^}]*\}\}"
)
_PYTHON = re.compile(
    r"os\.environ(?!/\S)|os\.getenv|process\.env\.|(?<!^)os\.environ/|^(env|ENV)[:/.]\w+$"
)
_AT_THE_END = re.compile(r" os\.environ/\w+$")
_SHORTEST = 16
"""Anything shorter is a word that stands for a key where none is wanted."""


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text below ``value``, with its place."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from texts(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from texts(each, (*path, index))


def key_of(path: Path) -> str:
    """The last key on the way to a value, past the places in lists."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def given(text: str) -> bool:
    """Whether a text refers to the environment, in whatever form."""
    return bool(text.startswith(ENVIRONMENT) or _SHELL.search(text) or _PYTHON.search(text))


@rule(
    "GW260",
    severity=Severity.WARNING,
    title="The file gives no master key",
    why="LiteLLM takes LITELLM_MASTER_KEY from its environment then, and refuses to start where "
    "that is missing too; older versions started, and let everybody in.",
    remedy="Write general_settings.master_key: os.environ/LITELLM_MASTER_KEY.",
    failing="""
general_settings:  # <--
  background_health_checks: true
""",
    passing="general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}",
)
def no_master_key(config: Config) -> Iterator[Hit]:
    """Settings without one; a misplaced or misspelt one is found by the rules about dead keys.

    A file without general_settings leaves all of them to the environment.
    """
    found = config.value.get("general_settings")
    if not isinstance(found, dict) or found.get("master_key") is not None:
        return
    if any(_is_master_key(path) for path, _ in texts(config.value)):
        return
    if config.value.get("include"):
        return
    yield Hit(("general_settings",), "general_settings has no master_key.", on_key=True)


def _is_master_key(path: Path) -> bool:
    return any(
        part == "master_key" or is_slip(part, "master_key")
        for part in path
        if isinstance(part, str)
    )


@rule(
    "GW261",
    title="The gateway starts with a weak master key",
    why="Its key is empty or one that stands in every tutorial, so that everybody can use up the "
    "providers' budgets. LiteLLM refuses such a key, unless "
    "dangerously_permit_weak_or_unset_master_key allows it.",
    remedy='Create one, for instance by: echo "sk-$(openssl rand -hex 32)", and give it by the '
    "environment.",
    failing="""
general_settings:
  master_key: sk-1234  # <--
""",
    passing="general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}",
)
def weak_master_key(config: Config) -> Iterator[Hit]:
    """Master keys that are empty or known to everybody, and the switch that allows them."""
    general, switch = config.section("general_settings"), _SWITCH
    if _weak(config, general.get("master_key")):
        yield Hit(("general_settings", "master_key"), "Everybody knows this master key.")
    if general.get(switch) is True:
        yield Hit(("general_settings", switch), "Any master key is accepted, or none.")


_SWITCH = "dangerously_permit_weak_or_unset_master_key"


def _weak(config: Config, key: Any) -> bool:
    if not isinstance(key, str):
        return False
    known = config.known.names["known_master_keys_sha256"]
    return not key.strip() or hashlib.sha256(key.strip().encode()).hexdigest() in known


@rule(
    "GW262",
    title="A secret stands in the file",
    why="A file is copied, committed and mailed; whoever reads it can use the key.",
    remedy="Write os.environ/NAME here and set NAME in the gateway's environment. Revoke the key "
    "if the file has left this machine.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-4o
      api_key: sk-proj-0123456789abcdefABCDEF  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
)
def literal(config: Config) -> Iterator[Hit]:
    """Keys, passwords and connection strings written out. The message never repeats them."""
    master = ("general_settings", "master_key")
    for path, text in texts(config.value):
        if given(text) or not text.strip() or is_filler(text):
            continue
        name = key_of(path)
        if path == master and not _weak(config, text):
            yield Hit(path, "The master key is written out.")
        elif _URL.search(text):
            yield Hit(path, f"The URL in {name} holds a password.")
        elif path != master and (_PASSWORD.fullmatch(name) or _looks_secret(name, text)):
            yield Hit(path, f"{name} is written out.")


_FILLER = re.compile(
    r"(sk-|Bearer )?(<.*>|\[.*\]|\.{3,}|\u2026|[x*]{3,}|your[-_ ].*|my[-_ ]([a-z0-9]+[-_ ])*key"
    r"|todo|tbd|placeholder|(change|replace|fill)[-_ ]?me"
    r"|(insert|replace|enter|put|paste|add)[-_ ].*)(\W.*)?",
    re.IGNORECASE,
)
_LONGEST_FILLER = 200


def is_filler(text: str) -> bool:
    """Whether a text only shows where a key belongs: ``sk-...``, ``your-key-here``, ``<KEY>``."""
    return len(text) <= _LONGEST_FILLER and bool(_FILLER.fullmatch(text.strip()))


def _looks_secret(name: str, text: str) -> bool:
    if len(text) < _SHORTEST or re.search(r"\s", text):
        return False
    mixed = re.search(r"[A-Za-z]", text) and re.search(r"\d", text)
    foreign = _PREFIX.match(text) and "/" not in text and name != "model"
    return bool(mixed and (SECRET.fullmatch(name) or foreign))


@rule(
    "GW263",
    title="A reference to the environment is not LiteLLM's",
    why="LiteLLM replaces only values that begin with os.environ/ and takes everything else as it "
    "stands: the server receives 'Bearer ${OPENAI_API_KEY}'.",
    remedy="Write os.environ/NAME, and nothing else in the value.",
    failing="""
model_list:
  - model_name: chat
    litellm_params:
      model: openai/gpt-4o
      api_key: ${OPENAI_API_KEY}  # <--
    model_info: {mode: chat}
""",
    passing="""
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY}
    model_info: {mode: chat}
""",
)
def wrong_form(config: Config) -> Iterator[Hit]:
    """Values in the form of a shell, of Python or of other programs."""
    for path, text in texts(config.value):
        if text.startswith(ENVIRONMENT) and len(text) > len(ENVIRONMENT):
            continue
        if "pass_through_endpoints" in path and "headers" in path and _AT_THE_END.search(text):
            continue  # the one place where LiteLLM looks into a text
        name = re.search(r"[A-Z_][A-Z0-9_]{2,}", text)
        if _SHELL.search(text) or (_PYTHON.search(text) and not text.startswith(f"{ENVIRONMENT}/")):
            shown = f" {name[0]}" if name else ""
            yield Hit(
                path, f"{key_of(path)} is taken as it stands, not from{shown or ' anywhere'}."
            )


@rule(
    "GW264",
    severity=Severity.WARNING,
    title="A setting needs a licence",
    why="LiteLLM does not start with this setting unless it finds a licence of its paid edition.",
    remedy="Remove it, or set LITELLM_LICENSE in the gateway's environment.",
    failing="""
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  allowed_ips: [127.0.0.1]  # <--
""",
    passing="general_settings: {master_key: os.environ/LITELLM_MASTER_KEY}",
)
def licence(config: Config) -> Iterator[Hit]:
    """Settings that end the start of the free edition."""
    general = config.section("general_settings")
    licensed = general.get("litellm_license") or "LITELLM_LICENSE" in config.section(
        "environment_variables"
    )
    found: list[tuple[Path, Any]] = [
        (("general_settings", key), general.get(key)) for key in ("allowed_ips", "enforced_params")
    ]
    found.append((("worker_registry",), config.value.get("worker_registry")))
    for path, value in found if not licensed else ():
        if value:
            message = f"{quoted(path[-1])} belongs to the paid edition."
            yield Hit(path, message, on_key=True)
