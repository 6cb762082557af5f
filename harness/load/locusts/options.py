"""What can be told on the command line and on Locust's page, checked before anything starts."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit, urlunsplit

import harness
from harness.load.goodput import objectives
from harness.load.locusts.counting import Counter
from harness.load.profiles import Setting, SettingError, Target, targets_of
from harness.load.sampling.sampling import Watch, path_of
from harness.load.target import LoadError, require_ours
from harness.load.workload.prompts import Prompts
from harness.registry import RegistryError, load
from harness.stack import TIERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from harness.load.profiles import Profile
    from harness.registry import Registry

CONNECT_S = 3.0
_JOURNALS = Path("reports") / "load"
_CONTEXT = 4096
"""Tokens that a model is taken to hold of which the sources do not say."""


def add(parser: Any, profiles: Mapping[str, Profile]) -> None:
    """Add our options to Locust's, and have all of them checked as soon as they are read."""
    parser.set_defaults(web_host="127.0.0.1")  # Locust's own default is every interface
    # A user asked to stop finishes what is under way: answers are not cut off to be slow.
    parser.set_defaults(stop_timeout="60")
    names = sorted(profiles)
    default = "smoke" if "smoke" in profiles else names[0]
    told = parser.add_argument
    told(
        "--load-profile",
        choices=names,
        default=default if len(names) > 1 else names[0],
        help="What is asked and when: " + "; ".join(f"{n}: {profiles[n].about}" for n in names),
    )
    told("--rate", type=_number(above=0), help="Requests a second of an open loop")
    told("--seed", type=int, default=1, help="Same seed, same requests at the same times")
    told("--capacity", type=int, default=33, help="Full contexts the engine is said to hold")
    told("--heavy", choices=["prompt", "answer"], default="prompt", help="Where those tokens are")
    told(
        "--model",
        default="",
        help="Names to ask, with commas between them; default: every public one of the sources",
    )
    told(
        "--prompts",
        choices=get_args(Prompts),
        default="words",
        help="words: so many common words, to which a chat template adds; chat: exactly so many "
        "tokens, template included, by the server's own tokenizer; ids: exactly so many token "
        "ids, to /completions",
    )
    told(
        "--tokenizer",
        action="append",
        metavar="[PROVIDER=]URL",
        include_in_web_ui=False,
        help="API root of the server that counts tokens, where that is not --host itself, as "
        "behind a gateway; with the key of PROVIDER if it has one, and for its names only; may be "
        "repeated",
    )
    told("--trace", help="Azure (.csv) or Mooncake (.jsonl) trace to replay in open_loop")
    told("--faster", type=_number(above=0), default=1.0, help="How much faster it is replayed")
    told("--slo", default="", help="What a good request keeps, e.g. 'ttft < 500ms and tpot < 50ms'")
    told("--request-timeout", type=_number(above=0), default=60.0, help="Seconds for one answer")
    told("--error-bar", choices=["on", "off"], default="on", help="Measure the client itself too")
    told("--journal", default="", help="Folder for the rows; default: reports/load/<run>")
    told("--sources", default="", help="Folder with the sources; default: config")
    told(
        "--engines",
        choices=TIERS,
        default=TIERS[0],
        help="Behind the gateway that a run without --host brings: emulated engines, or real ones",
    )
    told("--live", action="store_true", help="Yes, load a server that is not on this machine")
    told(
        "--gateway-key",
        env_var=_key_variable(),
        default="",
        include_in_web_ui=False,
        help="Key of the gateway at --host",
    )
    told(
        "--engine-metrics",
        action="append",
        metavar="[NAME=]URL",
        include_in_web_ui=False,
        help="Metrics page of an engine behind --host, sampled along the load, with the key of the "
        "provider NAME if it has one; may be repeated",
    )
    parse = parser.parse_args

    def parse_and_check(*arguments: Any, **named: Any) -> argparse.Namespace:
        options: argparse.Namespace = parse(*arguments, **named)
        try:
            check(options, profiles)
        except SettingError as error:
            parser.error(str(error))
        return options

    parser.parse_args = parse_and_check


def check(options: argparse.Namespace, profiles: Mapping[str, Profile]) -> None:
    """Refuse what no load can be made of, and mark what is left to the profile.

    Users and spawn rate of 0, which nobody may ask for, mean the profile's own from here on. The
    page has no such field: there it is filled in, and left as it is means the same.

    Raises:
        SettingError: with what to give instead.
    """
    if options.num_users is not None and options.num_users < 1:
        raise SettingError(f"--users is {options.num_users}: give at least 1.")
    if options.worker:
        return
    if options.host:
        reachable(options.host, live=options.live)
    watches(options)
    tokenizers(options)
    options.filled_in = None
    plan = profiles[options.load_profile].plan(setting(options))
    if not options.headless and not options.num_users:
        options.num_users = 1 if plan.open else round(plan.most)
        options.filled_in = (options.load_profile, options.num_users)
        options.spawn_rate = options.spawn_rate or plan.spawn_per_s or float(options.num_users)
    options.num_users = options.num_users or 0
    options.spawn_rate = options.spawn_rate or 0.0


def setting(options: argparse.Namespace) -> Setting:
    """What was told, as a profile understands it.

    Raises:
        SettingError: the sources cannot be read, or a number makes no sense.
    """
    slo(options.slo)
    users = int(options.num_users or 0)
    if (options.load_profile, users) == options.filled_in:
        users = 0
    try:
        registry = load(sources(options))
    except RegistryError as error:
        raise SettingError("\n".join(str(finding) for finding in error.findings)) from error
    return Setting(
        targets=_targets(registry, options),
        seed=int(options.seed),
        users=users,
        run_time_s=None if options.run_time is None else float(options.run_time),
        rate=_rate(options.rate),
        capacity=int(options.capacity),
        heavy=options.heavy,
        prompts=options.prompts,
        trace=options.trace or None,
        faster=float(options.faster),
    )


def _targets(registry: Registry, options: argparse.Namespace) -> tuple[Target, ...]:
    """The public names, or those that were told: any that is routed, and of a host any at all."""
    names = [name.strip() for name in options.model.split(",") if name.strip()]
    if not names:
        return targets_of(registry)
    found = {target.name: target for target in targets_of(registry, names)}
    if (unknown := [name for name in names if name not in found]) and not options.host:
        raise SettingError(
            f"--model {unknown[0]}: no engine is expected to answer to that name. The public ones "
            f"are {', '.join(registry.public_models)}; --host asks a server of yours for any."
        )
    return tuple(
        found.get(name) or Target(name=name, context=_CONTEXT, providers=()) for name in names
    )


def tokenizers(options: argparse.Namespace) -> dict[str, Counter]:
    """The servers that were told to count tokens, by provider; the one for all has no name.

    Raises:
        SettingError: one is no URL, or not on this machine, or two are of one provider, or no
            provider has that name.
    """
    found: dict[str, Counter] = {}
    keys = _keys(options) if options.tokenizer else {}
    for told in options.tokenizer or ():
        name, url = _named(told)
        if name in found:
            raise SettingError(f"--tokenizer names {name or 'one for all'} twice: give each once.")
        if name and name not in keys:
            raise SettingError(
                f"--tokenizer {name}=...: no provider has that name. They are {', '.join(keys)}."
            )
        try:
            require_ours(url, live=options.live)
        except LoadError as error:
            raise SettingError(f"--tokenizer: {error}") from error
        found[name] = Counter(url.rstrip("/"), keys.get(name))
    return found


def _named(told: str) -> tuple[str, str]:
    """A URL and the name before it, empty if there is none."""
    name, equals, url = told.partition("=")
    return (name, url) if equals and "://" not in name else ("", told)


def watches(options: argparse.Namespace) -> tuple[Watch, ...]:
    """The metrics pages that were told; a URL without a path means ``/metrics`` there.

    One told with the name of a provider is asked with that provider's key, from the environment
    variable that the sources name.

    Raises:
        SettingError: one is no URL, or was told twice, or the sources cannot be read.
    """
    found: dict[Path, Watch] = {}
    keys = _keys(options) if options.engine_metrics else {}
    for told in options.engine_metrics or ():
        name, url = _named(told)
        watch = _watch(url, name, keys.get(name))
        place = path_of(Path(), watch.name)
        if place in found:
            raise SettingError(f"--engine-metrics names {watch.name} twice: give each page once.")
        found[place] = watch
    return tuple(found.values())


def _keys(options: argparse.Namespace) -> dict[str, str | None]:
    """The key of each provider, as the environment has it; None where it has none."""
    try:
        providers = load(sources(options)).providers
    except RegistryError as error:
        raise SettingError("\n".join(str(finding) for finding in error.findings)) from error
    return {
        name: os.environ.get(provider.api_key.env) if provider.api_key is not None else None
        for name, provider in providers.items()
    }


def _watch(url: str, name: str = "", key: str | None = None) -> Watch:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:  # not shown: it may hold a key
        raise SettingError(
            "--engine-metrics was given what is no URL: give e.g. http://127.0.0.1:8000/metrics."
        )
    place = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/") or "/metrics"
    name = name or (place if path == "/metrics" else place + path)
    whole = parts.path if parts.path.strip("/") else path
    whole = urlunsplit((parts.scheme, parts.netloc, whole, parts.query, ""))
    return Watch(name=name, url=whole, key=key)


def slo(text: str) -> None:
    """Refuse an objective that is none, or none of single requests. Raises SettingError."""
    if not text:
        return
    try:
        found = objectives(text)
    except ValueError as error:
        raise SettingError(f"--slo: {error}") from error
    if any(objective.q is not None for objective in found):
        raise SettingError(f"--slo: {text!r} has a percentile; goodput counts single requests.")


def sources(options: argparse.Namespace) -> Path:
    """The folder with the sources: as told, else ``config`` here or beside the package."""
    if options.sources:
        return Path(options.sources)
    here = Path("config")
    return here if here.is_dir() else Path(harness.__file__).parents[1] / "config"


def journals(options: argparse.Namespace, run: str) -> Path:
    """The folder of the journal of ``run``."""
    return Path(options.journal) if options.journal else _JOURNALS / run


def reachable(host: str, *, live: bool) -> None:
    """Refuse a target that is not ours, or where nobody listens.

    Raises:
        SettingError: it is no URL, it is not on this machine and ``live`` is not given, or
            nothing accepts a connection there.
    """
    try:
        parts = urlsplit(host)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except (ValueError, KeyError):
        raise SettingError(f"--host {host!r} is no URL: give e.g. http://127.0.0.1:4000.") from None
    name = parts.hostname or ""
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SettingError(f"--host {host}: no such host ({error}).") from error
    ours = all(ipaddress.ip_address(str(one[4][0]).split("%")[0]).is_loopback for one in found)
    if not ours and not live:
        raise SettingError(
            f"--host {host} is not on this machine: a load may cost money there and take the "
            "service from others. If it is yours to load, say so with --live."
        )
    failure = _refused(one[4][:2] for one in found)
    if failure is not None:
        raise SettingError(
            f"--host {host}: nobody accepts a connection ({failure}). Start the gateway, or "
            "leave --host out: then the run brings its own."
        )


def _refused(addresses: Iterable[Any]) -> OSError | None:
    failure: OSError | None = OSError("it has no address")
    for address in addresses:
        try:
            socket.create_connection(address, timeout=CONNECT_S).close()
        except OSError as error:
            failure = error
        else:
            return None
    return failure


def _rate(told: float | str | None) -> float | None:
    """As told; the page hands on whatever was typed into a field that was empty."""
    try:
        return float(told) if told else None
    except ValueError:
        raise SettingError(f"rate is {told!r}: give a number.") from None


def _number(*, above: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not above < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is no number above {above:g}")
        return value

    return read


def _key_variable() -> str | None:
    """The environment variable that the sources name for the gateway's key."""
    try:
        return load(sources(argparse.Namespace(sources=""))).gateway.master_key.env
    except RegistryError:
        return None  # `check` says why
