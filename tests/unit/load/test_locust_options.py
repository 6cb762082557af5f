"""What is told on the command line, without Locust: importing that would patch this process."""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.evidence import Evidence, Verdict
from harness.load.locusts import options
from harness.load.locusts.counting import Counter
from harness.load.locusts.orders import (
    Orders,
    lags_of,
    trusted_of,
    trusted_said,
    vitals_said,
)
from harness.load.profiles import PROFILES, Setting, SettingError, Target
from harness.load.trust import Trusted
from harness.process.ports import free_port
from harness.registry.examples import sources
from harness.wire.engine import LoadEngine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in sources("").items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def read(
    folder: Path, *arguments: str, profiles: Any = PROFILES, page: bool = False
) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument = _without(parser.add_argument, "env_var", "include_in_web_ui")  # type: ignore[method-assign]
    for name, kind in (("users", int), ("spawn-rate", float), ("run-time", float)):
        parser.add_argument(f"--{name}", type=kind, dest="num_users" if name == "users" else None)
    parser.add_argument("--host")
    parser.add_argument("--worker", action="store_true")
    parser.add_argument("--headless", action="store_true")
    options.add(parser, profiles)
    shown = [] if page else ["--headless"]
    return parser.parse_args([f"--sources={folder}", *shown, *arguments])


def _without(add: Any, *names: str) -> Any:
    def told(*arguments: Any, **named: Any) -> Any:
        kept = {key: value for key, value in named.items() if key not in names}
        return add(*arguments, **{key: v for key, v in kept.items() if v is not None})

    return told


def test_neither_locust_nor_gevent_is_here() -> None:
    script = (
        "import sys, harness.load.locusts.options, harness.load.locusts.orders;"
        "sys.exit(bool({'locust', 'gevent'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_what_is_not_told_is_the_profiles_own(folder: Path) -> None:
    told = read(folder)
    assert told.load_profile == "smoke"
    assert (told.num_users, told.spawn_rate) == (0, 0.0)
    setting = options.setting(told)
    assert [target.name for target in setting.targets] == ["tiny"]
    assert setting.run_time_s is None


@pytest.mark.parametrize(("name", "users"), [("burst", 32), ("open_loop", 1), ("soak", 16)])
def test_the_page_is_filled_in_with_what_the_profile_does_of_its_own(
    folder: Path, name: str, users: int
) -> None:
    told = read(folder, f"--load-profile={name}", page=True)
    assert (told.num_users, told.spawn_rate) == (users, users)
    assert options.setting(told).users == 0, "left as it is, it is the profile's own"
    told.load_profile = "ramp"
    assert options.setting(told).users == users, "what the page shows is what is played"
    told.load_profile, told.num_users = name, 7
    assert options.setting(told).users == 7
    assert options.setting(read(folder, f"--users={users}", page=True)).users == users


def test_what_is_typed_into_an_empty_field_of_the_page_is_checked_too(folder: Path) -> None:
    told = read(folder, page=True)
    for typed, rate in (("", None), ("2.5", 2.5)):
        told.rate = typed
        assert options.setting(told).rate == rate
    for typed in ("much", "-1"):
        told.rate = typed
        with pytest.raises(SettingError, match="give a number"):
            options.setting(told)


def test_one_profile_needs_no_name(folder: Path) -> None:
    assert read(folder, profiles={"ramp": PROFILES["ramp"]}).load_profile == "ramp"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--load-profile=nope"], "invalid choice"),
        (["--rate=0"], "no number above 0"),
        (["--rate=nan"], "no number above 0"),
        (["--rate=1e9"], "give a number"),
        (["--users=0"], "give at least 1"),
        (["--run-time=0"], "run_time is 0: give a number"),
        (["--users=-3"], "give at least 1"),
        (["--users=1000000"], "give a number"),
        (["--capacity=0"], "give a number"),
        (["--faster=x"], "no number above 0"),
        (["--slo=p95ttft"], "is no objective"),
        (["--slo=p95 ttft < 1s"], "has a percentile"),
        (["--load-profile=open_loop", "--trace=/nowhere.csv"], "cannot be replayed"),
        (["--load-profile=fallback"], "fallback chain"),
        (["--sources=/nowhere"], "/nowhere"),
        (["--host=nonsense"], "is no URL"),
        (["--host=ftp://127.0.0.1"], "is no URL"),
        (["--host=http://192.0.2.1:80"], "--live"),
        (["--engine-metrics=127.0.0.1:8000/metrics"], "what is no URL"),
        (["--engine-metrics=http://a:x/metrics"], "what is no URL"),
        (["--engine-metrics=vllm="], "what is no URL"),
        (["--engines=some"], "invalid choice"),
        (["--prompts=tokens"], "invalid choice"),
        (["--model=tiny,nope"], "--model nope: no engine is expected"),
        (["--tokenizer=nonsense"], "is no URL"),
        (["--tokenizer=http://192.0.2.1:80/v1"], "--live"),
        (["--tokenizer=nope=http://127.0.0.1:1/v1"], "no provider has that name"),
        (["--tokenizer=http://127.0.0.1:1", "--tokenizer=http://127.0.0.1:2"], "twice"),
        (["--engine-metrics=http://a:1", "--engine-metrics=http://a:1/metrics"], "twice"),
    ],
)
def test_what_makes_no_sense_ends_with_code_2(
    folder: Path, arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(folder, *arguments)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err


def test_where_nobody_listens_nothing_is_started() -> None:
    with pytest.raises(SettingError, match="Start the gateway"):
        options.reachable(f"http://127.0.0.1:{free_port()}", live=False)


def test_a_server_of_this_machine_is_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        options.reachable(f"http://localhost:{server.getsockname()[1]}", live=False)


def test_a_worker_is_told_later(folder: Path) -> None:
    assert read(folder, "--worker", "--rate=1e9").rate == 1e9


def test_the_journal_lies_where_told(folder: Path) -> None:
    assert options.journals(read(folder), "x") == Path("reports/load/x")
    assert options.journals(read(folder, "--journal=j"), "x") == Path("j")


def test_pages_to_sample_are_named_after_where_they_are(folder: Path) -> None:
    given = ["http://a:1", "https://u:p@b:2/metrics/?k=v", "http://a:1/other"]
    told = options.watches(read(folder, *(f"--engine-metrics={url}" for url in given)))
    assert [watch.name for watch in told] == ["a:1", "b:2", "a:1/other"]
    assert [watch.url for watch in told] == ["http://a:1/metrics", *given[1:]]
    assert options.watches(read(folder)) == ()


def test_a_page_with_a_providers_name_is_asked_with_its_key(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = "providers.yaml: {providers: {local: {api_key: {env: TEST_KEY}}}}"
    (folder / "providers.yaml").write_bytes(sources(keyed)["providers.yaml"])
    given = ["local=http://a:1", "other=http://b:2/metrics?a=b"]
    arguments = [f"--engine-metrics={each}" for each in given]
    for key in (None, "sk-1"):
        if key:
            monkeypatch.setenv("TEST_KEY", key)
        told = options.watches(read(folder, *arguments))
        assert [(watch.name, watch.key) for watch in told] == [("local", key), ("other", None)]
        assert told[1].url == "http://b:2/metrics?a=b"


def test_names_that_are_asked_are_told_and_a_host_may_have_any(folder: Path) -> None:
    asked = options.setting(read(folder, "--model= tiny ,")).targets
    assert asked == options.setting(read(folder)).targets
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"--host=http://127.0.0.1:{server.getsockname()[1]}"
        told = read(folder, host, "--model=Qwen/Qwen3,tiny", "--prompts=chat")
    setting = options.setting(told)
    assert [target.name for target in setting.targets] == ["Qwen/Qwen3", "tiny"]
    assert setting.targets[1] == asked[0]
    assert setting.prompts == "chat"


def test_a_tokenizer_is_asked_with_the_key_of_its_provider(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed = "providers.yaml: {providers: {local: {api_key: {env: TEST_KEY}}}}"
    (folder / "providers.yaml").write_bytes(sources(keyed)["providers.yaml"])
    monkeypatch.setenv("TEST_KEY", "sk-1")
    given = ["--tokenizer=local=http://127.0.0.1:1/v1/", "--tokenizer=http://127.0.0.1:2"]
    told = options.tokenizers(read(folder, *given))
    assert told == {
        "local": Counter("http://127.0.0.1:1/v1", "sk-1"),
        "": Counter("http://127.0.0.1:2"),
    }
    assert options.tokenizers(read(folder)) == {}


ORDERS = Orders(
    profile="smoke",
    setting=Setting(targets=(Target(name="chat", context=4096, providers=("a", "b")),)),
    base_url="http://g.test/v1",
    key="sk-1",
    timeout_s=60.0,
)


def test_orders_arrive_as_they_were_given() -> None:
    share = ORDERS.share(1, 3)
    assert Orders.load(share.dump()) == share
    assert (share.index, share.of) == (1, 3)
    assert share.plan(PROFILES).ask(4) == ORDERS.plan(PROFILES).ask(4)


def test_whoever_comes_late_repeats_no_number() -> None:
    firsts = {ORDERS.late(place).first for place in range(1, 5)}
    assert len(firsts) == 4
    assert min(firsts) > 10**8


def test_a_worker_without_the_profile_says_so() -> None:
    with pytest.raises(SettingError, match="same -f"):
        ORDERS.plan({})


def test_what_a_client_knows_of_itself_arrives() -> None:
    with LoadEngine() as engine:
        vitals = engine.vitals()
    vitals.loop_lag.add(12345, 3)
    said = vitals_said(vitals)
    assert lags_of(said["loop_lag"]).counts == vitals.loop_lag.counts
    assert said["slice_ns"] == vitals.slice_ns
    row = Evidence(check="load.client.cpu", subject="w", asked="?", verdict=Verdict.PASS, value=1.5)
    assert trusted_of(trusted_said(Trusted(evidence=(row,)))).evidence == (row,)
