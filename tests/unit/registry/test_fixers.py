from __future__ import annotations

import pytest

from harness.registry import RULES, Finding
from harness.registry.examples import sources
from harness.registry.fixers import FIXERS, fixer, near_name
from harness.registry.fixes import Mended, mend
from harness.registry.load import examine

REFUSED = {
    "GW140": "ports.yaml: {services: {spare: {port: 8000}}}",
    "GW141": "ports.yaml: {host: 0.0.0.0}",
    "GW145": "model-mappings.yaml: {gateway: {cors_origins: ['*']}}",
    "GW136": "model-mappings.yaml: {fallback_chains: {c: [tiny, spare]}}",
}


def mended(example: str) -> Mended:
    texts = {name: data.decode() for name, data in sources(example).items()}
    return mend(texts, lambda now: examine({name: text.encode() for name, text in now.items()})[1])


def after(example: str, file: str = "model-mappings.yaml") -> str:
    result = mended(example)
    assert result.changed == (file,)
    return result.after[file]


def untouched(example: str) -> bool:
    return not mended(example).changed


def test_every_fixer_belongs_to_a_rule() -> None:
    assert not {id_ for id_ in FIXERS if id_ < "GW200"} - set(RULES)


def test_a_rule_has_one_fixer() -> None:
    with pytest.raises(ValueError, match="GW004 has a fixer already"):
        fixer("GW004")(near_name)


@pytest.mark.parametrize("rule", REFUSED)
def test_what_a_person_has_to_decide_is_left_alone(rule: str) -> None:
    result = mended(REFUSED[rule])
    assert rule in {finding.rule for finding in result.found}
    assert not result.changed
    assert result.left == result.found


@pytest.mark.parametrize(
    ("written", "meant"),
    [("lokal", "local"), ("locla", "local"), ("locall", "local")],
)
def test_a_slip_in_a_reference_is_corrected(written: str, meant: str) -> None:
    text = after(f"model-mappings.yaml: {{routes: {{exact: {{tiny: {{provider: {written}}}}}}}}}")
    assert f"provider: {meant}\n" in text
    assert written not in text


def test_another_case_is_a_slip() -> None:
    assert "small: tiny\n" in after("model-mappings.yaml: {routes: {aliases: {small: Tiny}}}")


@pytest.mark.parametrize("written", ["loc", "spore-local", "lo1al", "logos"])
def test_a_name_that_could_be_another_is_not(written: str) -> None:
    assert untouched(
        f"model-mappings.yaml: {{routes: {{exact: {{tiny: {{provider: {written}}}}}}}}}"
    )


def test_a_slip_of_two_names_is_left_to_a_person() -> None:
    result = mended(
        """
model-mappings.yaml:
  routes: {exact: {stone: {provider: local, model: tiny}, stove: {provider: local, model: tiny},
    spare: {provider: spare, model: tiny}}, aliases: {small: stofe}}
"""
    )
    remedy = next(each.remedy for each in result.found if "stofe" in each.message)
    assert remedy in {"Did you mean 'stove' or 'stone'?", "Did you mean 'stone' or 'stove'?"}
    assert not result.changed


def test_a_slip_in_a_key_is_corrected_and_what_it_hid_comes_next() -> None:
    text = after(
        "model-mappings.yaml: {routes: {exact: {tiny: ~, small: {provder: lokal, model: tiny}}},"
        " public_models: [small]}"
    )
    assert "provider: local\n" in text


def test_a_key_is_not_corrected_to_one_that_is_there() -> None:
    assert untouched("ports.yaml: {hots: 127.0.0.1}")


def test_a_byte_order_mark_goes() -> None:
    text = "\ufeffhost: 127.0.0.1\nservices: {}\n"
    result = mend(
        {"ports.yaml": text},
        lambda now: examine({**sources("{}"), "ports.yaml": now["ports.yaml"].encode()})[1],
    )
    assert result.after["ports.yaml"] == text[1:]


SERVICES = """host: 127.0.0.1
services:
\tgateway: {port: 4000, protocol: http, owner: gateway}
\tlocal: # kept
\t\tport: 8000
\t\tprotocol: http
\t\towner: local
\tspare: {port: 8080, protocol: http, owner: spare, optional: true}
"""


def on_ports(text: str) -> Mended:
    return mend(
        {"ports.yaml": text},
        lambda now: examine({**sources("{}"), "ports.yaml": now["ports.yaml"].encode()})[1],
    )


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
def test_a_file_indented_by_tabs_is_indented_by_spaces(line_break: str) -> None:
    text = SERVICES.replace("\n", line_break)
    result = on_ports(text)
    assert result.after["ports.yaml"] == text.replace("\t", "  ")
    assert result.left == ()


def test_a_file_indented_by_both_is_left_to_a_person() -> None:
    assert not on_ports(SERVICES.replace("\tlocal", "  local")).changed


def test_a_tab_between_key_and_value_becomes_a_space() -> None:
    text = SERVICES.replace("\t", "  ").replace("host: ", "host:\t\t")
    assert on_ports(text).after["ports.yaml"] == SERVICES.replace("\t", "  ")


def test_the_later_of_two_equal_keys_goes() -> None:
    twice = SERVICES.replace("\t", "  ").replace("services", "host: '127.0.0.1'\nservices")
    assert on_ports(twice).after["ports.yaml"] == SERVICES.replace("\t", "  ")


def test_two_keys_that_differ_stay() -> None:
    twice = SERVICES.replace("\t", "  ").replace("services", "host: 127.0.0.2\nservices")
    assert not on_ports(twice).changed


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("port: '8000'", "port: 8000"),
        ('port: "8000" # kept', "port: 8000 # kept"),
        ("optional: yes", "optional: true"),
        ("optional: Off", "optional: false"),
        ("owner: 8000", "owner: '8000'"),
        ("owner: 8_000.5", "owner: 8_000.5"),
    ],
)
def test_a_value_of_the_wrong_kind_is_written_as_the_kind_that_is_meant(
    wrong: str, right: str
) -> None:
    key = wrong.partition(":")[0]
    values = {"port": "port: 8000", "protocol": "protocol: http", "owner": "owner: local"}
    listed = "\n    ".join({**values, key: wrong}.values())
    text = (
        "host: 127.0.0.1\nservices:\n"
        "  gateway: {port: 4000, protocol: http, owner: gateway}\n"
        f"  local:\n    {listed}\n"
        "  spare: {port: 8080, protocol: http, owner: spare}\n"
    )
    assert on_ports(text).after["ports.yaml"] == text.replace(wrong, right)


@pytest.mark.parametrize("wrong", ["port: 'eighty'", "port: '0x10'", "optional: 'yes'", "owner: ~"])
def test_a_value_that_says_too_little_stays(wrong: str) -> None:
    key = wrong.partition(":")[0]
    values = {"port": "port: 8000", "protocol": "protocol: http", "owner": "owner: local"}
    text = SERVICES.replace("\t", "  ").replace("host", "host", 1)
    text = text.replace(values.get(key, "owner: local"), wrong, 1)
    assert not on_ports(text).changed


def test_a_key_that_is_no_text_is_quoted() -> None:
    result = on_ports(SERVICES.replace("\t", "  ") + "  8001: {port: 1, protocol: tcp, owner: x}\n")
    assert "\n  '8001': {port: 1" in result.after["ports.yaml"]


def test_an_alias_in_a_chain_becomes_what_it_stands_for() -> None:
    text = after(
        "model-mappings.yaml: {routes: {exact: {tiny: {chain: c}}, aliases: {other: spare}}, "
        "fallback_chains: {c: [tiny, other]}}"
    )
    assert "- tiny\n  - spare\n" in text
    assert "other: spare" in text


@pytest.mark.parametrize(
    "example",
    [
        "{public_models: [tiny, spare, tiny]}",
        "{routes: {exact: {tiny: {chain: c}}}, fallback_chains: {c: [tiny, spare, tiny]}}",
        "{capabilities: {chat: [{route: tiny, priority: 1}, {route: tiny, priority: 1}]}}",
        "{routes: {patterns: [{match: x-*, route: tiny}, {route: tiny, match: x-*}]}}",
    ],
)
def test_an_entry_that_stands_twice_goes(example: str) -> None:
    result = mended(f"model-mappings.yaml: {example}")
    assert len(result.changed) == 1
    assert not [each for each in result.left if each.severity == "error"]


@pytest.mark.parametrize(
    "example",
    [
        "{routes: {patterns: [{match: x-*, route: tiny}, {match: x-*, route: spare}]}}",
        "{capabilities: {chat: [{route: tiny, priority: 1}, {route: tiny, priority: 2}]}}",
    ],
)
def test_two_entries_that_differ_stay(example: str) -> None:
    assert untouched(f"model-mappings.yaml: {example}")


def test_the_slash_after_an_origin_goes_and_a_path_stays() -> None:
    origins = "model-mappings.yaml: {gateway: {cors_origins: ['%s']}}"
    assert "- http://localhost:3000\n" in after(origins % "http://localhost:3000/")
    assert untouched(origins % "http://localhost:3000/app")


def test_a_finding_that_points_nowhere_is_passed_over() -> None:
    texts = {"ports.yaml": "host: x\n"}
    for rule in [*FIXERS, "GW101"]:
        finding = Finding(
            rule=rule,
            severity=RULES["GW101"].severity,
            file="ports.yaml",
            line=99,
            column=99,
            message="m",
            remedy="Did you mean 'y'?",
        )
        result = mend(texts, lambda _, finding=finding: [finding])  # type: ignore[misc]
        assert not result.changed
