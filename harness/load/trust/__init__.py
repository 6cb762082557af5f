"""An error bar in every run: the client of a load is itself measured, before it and beside it.

A client that is saturated measures itself: its times to first token are its own queue. So before
a load the same engine measures a server whose timing is known, at the same number of streams and
rate, and beside the load a few such streams go on. What the client says is held against the
server's own ledger, and a run whose client was off is inconclusive, with the reason and the
remedy; it never becomes a figure::

    with LoadEngine() as engine, Trust(engine, streams=256, rate=50.0) as trust:
        trust.before()                      # seconds; Errors, or None if it could not be measured
        with trust.during():                # reference streams beside the load
            drive = closed(engine, make, users=256, seconds=60)
        trusted = trust.judge(receive_lag=receive_lags(drive.recorded))
    trusted.verdict, trusted.why            # pass or inconclusive, and what speaks against it
    trusted.evidence, trusted.lines()       # rows load.client.*; the same for a person
    trusted.summary()                       # the error bar in one line
    trust.search()                          # on request: how many streams this process carries

``rate`` is tokens a second of each stream of the load. In Locust each worker has its own `Trust`,
made after the fork; `together` joins what they found. `judge`, `errors` and `search` are pure.
The harness's own streams take a few places of the engine's ``max_in_flight``.
"""

from harness.load.trust.errors import Errors, Figure, Signs, errors, receive_lags, signs
from harness.load.trust.explained import EXPLAINED
from harness.load.trust.judging import Limits, Trusted, believable, judge, together
from harness.load.trust.reference import Reference, TrustError, Written
from harness.load.trust.search import Safe, remembered, search
from harness.load.trust.sentinel import Sentinel
from harness.load.trust.trust import Trust

__all__ = [
    "EXPLAINED",
    "Errors",
    "Figure",
    "Limits",
    "Reference",
    "Safe",
    "Sentinel",
    "Signs",
    "Trust",
    "TrustError",
    "Trusted",
    "Written",
    "believable",
    "errors",
    "judge",
    "receive_lags",
    "remembered",
    "search",
    "signs",
    "together",
]
