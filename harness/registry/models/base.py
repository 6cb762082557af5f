"""What every model of the source files shares: strictness and the vocabulary of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, StringConstraints

Key = TypeVar("Key")
Item = TypeVar("Item")


class Source(BaseModel):
    """A mapping in a source file: unknown keys refused, nothing coerced, nothing changed later."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,  # an input may be a secret that stands in the wrong place
    )


Sequence = Annotated[tuple[Item, ...], Strict(strict=False)]
"""A YAML list, kept as a tuple. Only the list is converted; its items stay strict."""

Table = Mapping[Key, Item]
"""A YAML mapping whose keys are names of ours, in the order of the file."""

_IDENTIFIER = r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$"
_MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"
_ENV_NAME = r"^[A-Z_][A-Z0-9_]*$"
_URL_PATH = r"^/[^\s?#]*$"
_PERIOD = r"^[1-9][0-9]{0,3}[smhdw]$"

PATTERNS = {
    _IDENTIFIER: "an id: lower case letters and digits, with single '-' or '_' between",
    _MODEL_NAME: "a model name: letters, digits and '._:/@+-', no spaces, no '*'",
    _ENV_NAME: "the name of an environment variable: upper case letters, digits and '_'",
    _URL_PATH: "a path that starts with '/', without '?' and '#'",
    _PERIOD: "a period: a number and s, m, h, d or w, such as 30d",
}
"""Every pattern of the schema in words."""

Identifier = Annotated[
    str,
    StringConstraints(pattern=_IDENTIFIER, max_length=64),
]
"""The id of something of ours: lower case, digits, single ``-`` or ``_`` between."""

ModelName = Annotated[
    str,
    StringConstraints(pattern=_MODEL_NAME, max_length=128),
]
"""A model name as clients or upstream servers write it, such as ``llama3.1:8b``."""

EnvName = Annotated[str, StringConstraints(pattern=_ENV_NAME, max_length=128)]
"""The name of an environment variable."""

UrlPath = Annotated[str, StringConstraints(pattern=_URL_PATH, max_length=256)]
"""An absolute path on a server, without query or fragment."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
"""Free text for people."""

Period = Annotated[str, StringConstraints(pattern=_PERIOD)]
"""How long a budget lasts before it starts anew: ``30d``, ``12h``."""

Dollars = Annotated[float, Field(gt=0, le=1_000_000_000)]
"""An amount in US dollars."""

Seconds = Annotated[float, Field(gt=0, le=86_400)]
"""A duration in seconds, at most a day."""

YEAR_S = 31_536_000
Lifetime = Annotated[float, Field(gt=0, le=YEAR_S)]
"""How long something is kept, in seconds, at most a year."""

Gigabytes = Annotated[float, Field(gt=0, le=100_000)]
"""A size in GB (10^9 bytes), as the model catalogues print it."""

Count = Annotated[int, Field(gt=0, le=1_000_000_000)]
"""A positive whole number."""


class EnvRef(Source):
    """A secret, named by the environment variable that holds it; the value is never written."""

    env: EnvName = Field(description="Environment variable that holds the secret")


class Health(Source):
    """How to ask a server whether it is ready."""

    path: UrlPath = Field(description="Path asked with GET, from the server's root")
    expect_status: int = Field(default=200, ge=100, le=599, description="HTTP status when ready")
    timeout_s: Seconds = Field(description="How long one probe may take, in seconds")
