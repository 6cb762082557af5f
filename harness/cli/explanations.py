"""Every id a finding can carry, and what ``harness explain`` says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.behaviour import access, balance, live, monitoring, routes
from harness.chaos import kill_matrix
from harness.claims import claim
from harness.contract import deviations
from harness.contract.check import UnknownCheckError
from harness.contract.check import explain as explain_check
from harness.engines import installs, remote
from harness.engines.models import model
from harness.engines.scheduler import config as scheduler
from harness.gateway import backup, files, kinds, litellm_import, ports
from harness.gateway.litellm_lint import LITELLM_RULES
from harness.load import latency, target, trust
from harness.load.calibrate import measuring
from harness.load.capacity import geometry
from harness.load.comparing import judged as compared
from harness.load.comparing import share, turns
from harness.load.finding import judged as found
from harness.load.locusts import counting, telling
from harness.load.sampling import sampling
from harness.load.workload import tokenizer
from harness.registry import RULES
from harness.session import sources

if TYPE_CHECKING:
    from harness.report.findings import Explained

_TABLES = (
    files.EXPLAINED,
    backup.EXPLAINED,
    litellm_import.EXPLAINED,
    ports.EXPLAINED,
    kinds.EXPLAINED,
    sources.EXPLAINED,
    access.EXPLAINED,
    routes.EXPLAINED,
    balance.EXPLAINED,
    live.EXPLAINED,
    monitoring.EXPLAINED,
    latency.EXPLAINED,
    target.EXPLAINED,
    tokenizer.EXPLAINED,
    sampling.EXPLAINED,
    share.EXPLAINED,
    turns.EXPLAINED,
    compared.EXPLAINED,
    found.EXPLAINED,
    telling.EXPLAINED,
    counting.EXPLAINED,
    measuring.EXPLAINED,
    trust.EXPLAINED,
    geometry.EXPLAINED,
    claim.EXPLAINED,
    scheduler.EXPLAINED,
    installs.EXPLAINED,
    model.EXPLAINED,
    remote.EXPLAINED,
    kill_matrix.EXPLAINED,
    deviations.EXPLAINED,
)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Title, reason and remedy of an id."""

    title: str
    why: str
    remedy: str


def explained(name: str) -> Explained | None:
    """What a finding of this id means, or None if there is no such id."""
    rule = RULES.get(name) or LITELLM_RULES.get(name)
    if rule is not None:
        return rule
    for table in _TABLES:
        if name in table:
            title, why, remedy = table[name].split("\n\n")
            return Explanation(title, why, remedy.removeprefix("Remedy: "))
    return None


def text(name: str) -> str | None:
    """The explanation of a rule or of a contract check, as a person reads it."""
    found = explained(name)
    if found is not None:
        return f"{name}  {found.title}\n\n{found.why}\n\nRemedy: {found.remedy}"
    try:
        return explain_check(name.removeprefix("contract."))
    except UnknownCheckError:
        return None
