"""What is asked of a system, and what fails in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from harness.routing import listed

if TYPE_CHECKING:
    from harness.registry import Registry


def names(registry: Registry) -> st.SearchStrategy[str]:
    """Names a client may send: known ones, near misses, pattern matches, any text at all."""
    routes = registry.routes
    known = tuple(
        dict.fromkeys((*listed(registry), *routes.exact, *routes.aliases, *registry.load_balancing))
    )
    kinds = [
        st.sampled_from(known),
        st.sampled_from(known).flatmap(_near_misses),
        st.text(max_size=12),
    ]
    if routes.patterns:
        prefixes = st.sampled_from([pattern.prefix for pattern in routes.patterns])
        kinds.append(st.builds(str.__add__, prefixes, st.text("ab1./:-", max_size=4)))
    return st.one_of(kinds)


def _near_misses(name: str) -> st.SearchStrategy[str]:
    """``name`` with one letter too many, one too few, or in the other case."""
    return st.sampled_from(
        (f"{name}x", f"{name}/", f" {name}", f"{name} ", name[:-1], name[1:], name.swapcase())
    )


def fault_sets(registry: Registry) -> st.SearchStrategy[frozenset[str]]:
    """Sets of providers that are dead, from none to all."""
    return st.frozensets(st.sampled_from(tuple(registry.providers)))
