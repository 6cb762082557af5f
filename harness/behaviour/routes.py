"""Who answered? Every name against the deployment the routing rules predict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.tokens import witness
from harness.evidence import Evidence, Verdict

if TYPE_CHECKING:
    from harness.answer import Answer
    from harness.routing import Refusal, Route


EXPLAINED = {
    "route.answered-by": """A name is answered by the deployment its route predicts

Each name a client may use is asked for once. Two witnesses must agree with the prediction: the
signature the engine put into its text, and the deployment id the gateway reports in its headers. A
name that is answered by another server is worse than an error: nobody notices.

Remedy: `harness explain route NAME` shows the prediction step by step. Generate the configuration
anew and restart the gateway; if it still differs, the recording of the exchange shows who
answered.""",
    "route.refused": """A name no rule claims is refused

An unknown name must end in a 4xx with an error object, and no server may have answered it. A
catch-all that answers everything hides every misspelt model name.

Remedy: look for a wildcard or a default route in model-mappings.yaml that takes the name.""",
    "route.models-list": """/v1/models lists every public name and no name that is not routed

Clients choose from this list. A public name that is missing is never found; a listed name without
a route is an error waiting for its first user.

Remedy: correct `public_models` or the routes, generate the configuration, restart the gateway.""",
}
"""What ``harness explain`` says of each check."""


def judge_route(route: Route, answer: Answer, reported: str | None) -> Evidence:
    """Whether ``answer`` is whole and came from a deployment ``route`` predicts.

    Two witnesses must agree: the engine's signature in the text, and the deployment
    the gateway itself reports (``reported``).
    """
    expected = route.expected()
    providers = sorted({deployment.provider for deployment in expected})
    ids = sorted(deployment.id for deployment in expected)
    answered = witness(answer.text)
    if not answer.wholeness:
        verdict, reason = Verdict.FAIL, f"no whole answer: {answer.wholeness.why}"
    elif answered not in providers:
        verdict, reason = Verdict.FAIL, f"{answered or 'nobody known'} answered"
    elif reported not in ids:
        verdict, reason = Verdict.FAIL, f"the gateway reports deployment {reported}, not {ids}"
    else:
        verdict, reason = Verdict.PASS, ""
    return Evidence(
        check="route.answered-by",
        subject=route.name,
        asked=f"answered by {' or '.join(providers) or 'nobody'} ({route.rule}, {route.place})",
        verdict=verdict,
        reason=reason,
        value=answered,
        recordings=(answer.exchange.id,),
    )


def judge_refusal(refusal: Refusal, answer: Answer) -> Evidence:
    """Whether a name no rule claims was refused with an error and served by nobody."""
    refused = answer.status is not None and 400 <= answer.status < 500 and answer.error is not None
    return Evidence(
        check="route.refused",
        subject=refusal.name,
        asked="refused with a 4xx and an error object",
        verdict=Verdict.PASS if refused else Verdict.FAIL,
        reason="" if refused else f"status {answer.status}, {answer.wholeness.why}",
        value=answer.status,
        unit="HTTP status",
        recordings=(answer.exchange.id,),
    )


def judge_models_list(names: tuple[str, ...], public: tuple[str, ...], answer: Answer) -> Evidence:
    """Whether ``/v1/models`` advertises every public name and no name routing does not know."""
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    entries = data if isinstance(data, list) else []
    advertised = {entry.get("id") for entry in entries if isinstance(entry, dict)}
    missing = sorted(set(public) - advertised)
    unknown = sorted(str(name) for name in advertised - set(names))
    problems = []
    if missing:
        problems.append(f"not advertised: {', '.join(missing)}")
    if unknown:
        problems.append(f"advertised but unknown to routing: {', '.join(unknown)}")
    return Evidence(
        check="route.models-list",
        subject="/v1/models",
        asked=f"advertises the {len(public)} public models and nothing that does not resolve",
        verdict=Verdict.FAIL if problems else Verdict.PASS,
        reason="; ".join(problems),
        value=len(advertised),
        unit="names",
        recordings=(answer.exchange.id,),
    )
