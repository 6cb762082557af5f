"""Everything one does with this repository; ``nox --list`` prints it.

All sessions share one environment, ``.nox/everyday``. The first that runs builds it
from ``requirements.lock``; after that they start at once, and need no network.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent
ENV = ROOT / ".nox" / "everyday"
LOCK = ROOT / "requirements.lock"
CTRL_C_PATIENCE = 15.0  # seconds to stop the servers one started; nox gives 0.3
SIDE_BY_SIDE = [
    f"--numprocesses={min(4, (os.cpu_count() or 1) + 1)}",  # most of an integration test is waiting
    "--dist=loadgroup",  # the groups, and their order, are those of tests/integration/conftest.py
    "--no-loadscope-reorder",
]

if sys.version_info < (3, 11):  # noqa: UP036 - nox may run on an older Python
    sys.exit(f"Python 3.11 or newer is needed; nox runs on {sys.version.split()[0]}.")

sys.path.insert(0, str(ROOT))
from harness.process.venv import EnvironmentBuildError, ensure, is_complete  # noqa: E402

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.default_venv_backend = "none"


@nox.session
def gate(session: nox.Session) -> None:
    """Run the main job, `harness run`, and end with its verdict."""
    install_gateway(session)
    run(session, "harness", "run", *session.posargs)


@nox.session(requires=["unit", "contract", "integration"])
def tests(session: nox.Session) -> None:
    """Pass all tests: unit, contract -- emulated, integration."""
    session.log("unit, contract and integration have passed")


@nox.session
def unit(session: nox.Session) -> None:
    """Test each module on its own, on all cores."""
    run(session, "pytest", "tests/unit", "--numprocesses=auto", *session.posargs)


@nox.session
def contract(session: nox.Session) -> None:
    """Ask one server for the OpenAI contract: -- emulated (default), gateway, vllm, URL, ..."""
    named = session.posargs and not session.posargs[0].startswith("-")
    target, *options = session.posargs if named else ["emulated", *session.posargs]
    if target == "gateway":
        install_gateway(session)
    run(session, "pytest", "tests/contract", f"--target={target}", *options)


@nox.session
def integration(session: nox.Session) -> None:
    """Test the rooms together, through the real LiteLLM proxy: -- native, full, vllm, ..."""
    install_gateway(session)
    named = session.posargs and not session.posargs[0].startswith(("-", "tests"))
    chosen, *options = session.posargs if named else ["", *session.posargs]
    # Real engines by name run one after another: some want the whole machine.
    how = [f"--engine={chosen}"] if chosen else SIDE_BY_SIDE
    where = [] if any(each.startswith("tests/") for each in options) else ["tests/integration"]
    run(session, "pytest", *where, *how, *options)


@nox.session
def load(session: nox.Session) -> None:
    """Put a load on the gateway with Locust, without its page: -- smoke (default), soak, ..."""
    install_gateway(session)
    named = session.posargs and not session.posargs[0].startswith("-")
    profile, *options = session.posargs if named else ["smoke", *session.posargs]
    told = ["--headless", "--only-summary", f"--load-profile={profile}"]
    run(session, "locust", "-f", "loadtests/", *told, *options)


@nox.session
def bench(session: nox.Session) -> None:
    """Time the hot paths: -- --save keeps the figures, -- --compare[=min:10%] fails if slower."""
    # The figures lie in .benchmarks, by machine. Of many rounds the fastest is compared: a busy
    # neighbour disturbs it least. `-k NAME` takes some, e.g. `-- -k config --save`.
    options = [part for option in session.posargs for part in bench_option(session, option)]
    run(session, "pytest", "tests/bench", "--benchmark-only", *options)


@nox.session
def peers(session: nox.Session) -> None:
    """Compare the load engine with guidellm, aiperf, vllm bench, Locust and a client in C."""
    run(session, "python", "tests/bench/peers", *session.posargs)


@nox.session
def engines(session: nox.Session) -> None:
    """Install real engines in the user's cache: -- NAME... | all | list (default) | remove NAME."""
    run(session, "python", "-m", "harness.engines.installs", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and the direction of imports."""
    run(session, "ruff", "check")
    run(session, "ruff", "format", "--check")
    run(session, "lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """Check types, strictly."""
    run(session, "mypy", *session.posargs)


@nox.session(default=False, venv_backend="virtualenv", reuse_venv=True)
def lock(session: nox.Session) -> None:
    """Resolve the locks anew, for maintainers: -- --upgrade moves what may move."""
    session.install("uv")
    session.env.update(dict.fromkeys(name for name in os.environ if name.startswith("UV_")))
    session.env["UV_CUSTOM_COMPILE_COMMAND"] = "nox -s lock"
    bare = [f"--no-emit-package={name}" for name in ("polars", "polars-runtime-32")]
    pins = "harness/engines/installs/locks/"
    rivals = "tests/bench/peers/locks/"
    for target, *source in [
        ["requirements.lock", "--all-extras", "pyproject.toml"],
        ["nox.lock", "--group=bootstrap", "--constraints=requirements.lock"],
        ["harness/gateway/litellm.lock", "harness/gateway/litellm.in", *bare],
        [f"{rivals}aiperf.lock", f"{rivals}aiperf.in"],
        [f"{rivals}locust.lock", f"{rivals}locust.in"],
        [f"{pins}build-tools.lock", f"{pins}build-tools.in"],
        [f"{pins}valkey.lock", f"{pins}valkey.in", "--no-deps"],
        [f"{pins}llama-cpp-source.lock", f"{pins}llama-cpp-source.in", "--no-deps"],
        [f"{pins}llama-cpp.lock", f"{pins}llama-cpp.in", "--no-emit-package=llama-cpp-python"],
        [f"{pins}vllm.lock", f"{pins}vllm.in", f"--override={pins}vllm-overrides.txt"],
        [
            f"{pins}torch.lock",
            f"{pins}torch.in",
            f"--constraints={pins}vllm.lock",
            "--no-emit-package=triton",
        ],
        [
            f"{rivals}guidellm.lock",
            f"{rivals}guidellm.in",
            f"--override={pins}vllm-overrides.txt",
            f"--constraints={pins}torch.lock",
        ],
    ]:
        options = ["--universal", "--python-version=3.11", "--generate-hashes", "--no-config"]
        output = f"--output-file={target}"
        session.run("uv", "pip", "compile", "-q", *options, *source, output, *session.posargs)


def run(session: nox.Session, program: str, *arguments: str) -> None:
    """Run a program of the shared environment, as if that were activated."""
    everyday(session)
    session.run(
        str(ENV.relative_to(ROOT) / "bin" / program),
        *arguments,
        env={"PATH": f"{ENV / 'bin'}{os.pathsep}{os.environ['PATH']}", "VIRTUAL_ENV": str(ENV)},
        interrupt_timeout=CTRL_C_PATIENCE,
        terminate_timeout=CTRL_C_PATIENCE,
    )


def bench_option(session: nox.Session, option: str) -> list[str]:
    """What an option of the bench session means to pytest-benchmark."""
    name, _, value = option.partition("=")
    if name == "--save":
        return [f"--benchmark-save={value or 'baseline'}"]
    if name != "--compare":
        return [option]
    # Without figures pytest-benchmark warns, and passes.
    if not any((ROOT / ".benchmarks").glob("*/*.json")):
        session.error("nothing to compare with: run `nox -s bench -- --save` on this machine first")
    return ["--benchmark-compare", f"--benchmark-compare-fail={value or 'min:10%'}"]


def install_gateway(session: nox.Session) -> None:
    """Give LiteLLM its own environment in the user's cache folder, unless it is there."""
    run(session, "python", "-m", "harness.gateway.environment")


def everyday(session: nox.Session) -> None:
    """Build the shared environment unless it is there: the lock, then this project on top."""
    stamp = ENV / "project"  # written last, and gone with the environment
    wanted = f"{ENV}\n{(ROOT / 'pyproject.toml').read_text()}"
    moved = stamp.exists() and not stamp.read_text().startswith(f"{ENV}\n")
    if Path(sys.prefix).resolve() == ENV and (moved or not is_complete(ENV, LOCK)):
        session.error("this nox lives in the environment it must rebuild; use .venv/bin/nox once")
    if moved:  # the clone was renamed; the scripts inside still name the old folder
        shutil.rmtree(ENV)
    try:
        ensure(ENV, LOCK, say=session.log)
    except EnvironmentBuildError as error:
        session.error(str(error))
    if not stamp.exists() or stamp.read_text() != wanted:
        options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
        python = str(ENV.relative_to(ROOT) / "bin" / "python")
        session.run_install(python, "-m", "pip", "install", *options, "--editable", ".")
        stamp.write_text(wanted)
