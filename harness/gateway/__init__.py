"""Everything that knows a gateway: generate, compare, start, stop."""
