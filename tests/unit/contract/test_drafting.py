from __future__ import annotations

from pathlib import Path

from harness.contract import deviations
from harness.contract.drafting import draft_ledger
from harness.registry import Registry, examine, load
from harness.registry.examples import sources

CONFIG = Path(__file__).parents[3] / "config"
SHIPPED = load(CONFIG)
KNOWN = deviations.load(CONFIG / "deviations.yaml")
INT_CODE = "error.code.type"


def other(kind: str = "vllm") -> Registry:
    """Sources with two more providers of a kind, under names of their own."""
    servers = ", ".join(
        f"{name}: {{type: {kind}, status: active, base_url: 'https://{name}.example:{port}', "
        f"models: [{{name: m, served_as: m, context_length: 8192, capabilities: [chat], "
        f"mode: chat, residency: always}}]}}"
        for name, port in (("box-one", 9001), ("box-two", 9002))
    )
    registry, findings = examine(sources(f"providers.yaml: {{providers: {{{servers}}}}}"))
    assert registry is not None, findings
    return registry


def drafted(registry: Registry, tmp_path: Path) -> deviations.Ledger:
    path = tmp_path / "deviations.yaml"
    path.write_text(draft_ledger(KNOWN, SHIPPED, registry))
    return deviations.load(path)


def test_what_is_known_of_a_server_holds_of_every_provider_of_its_type(tmp_path: Path) -> None:
    ledger = drafted(other(), tmp_path)

    assert ledger.find("box-one", INT_CODE)
    assert ledger.find("box-two", INT_CODE)
    assert not KNOWN.find("box-two", INT_CODE)


def test_it_does_not_hold_of_another_type(tmp_path: Path) -> None:
    assert not drafted(other("openai_compatible"), tmp_path).find("box-one", INT_CODE)


def test_what_shows_only_with_a_key_is_left_out_where_none_is_asked_for(tmp_path: Path) -> None:
    """Else a check that passes would say "fixed upstream, delete the entry"."""
    envelope = "error.envelope.object"

    assert drafted(SHIPPED, tmp_path).find("vllm", envelope)
    assert not drafted(other(), tmp_path).find("box-one", envelope)


def test_what_is_known_of_the_gateway_stays(tmp_path: Path) -> None:
    assert drafted(other(), tmp_path).find("gateway:anything", "error.auth.401")


def test_what_is_known_of_an_adapter_holds_of_names_with_that_adapter(tmp_path: Path) -> None:
    ids = "stream.id.constant"

    assert drafted(SHIPPED, tmp_path).find("gateway:llama3.1:latest", ids)
    assert not any(entry.deviation.check == ids for entry in drafted(other(), tmp_path).entries)


def test_the_shipped_ledger_is_its_own_draft(tmp_path: Path) -> None:
    ours = [e.deviation for e in drafted(SHIPPED, tmp_path).entries]
    exact = [e.deviation for e in KNOWN.entries]

    assert [d.id for d in ours] == [d.id for d in exact]
    assert [d.note.split() for d in ours] == [d.note.split() for d in exact]
