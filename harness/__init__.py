"""Proves or refutes what an LLM gateway promises, with evidence."""

__version__ = "0.1.0"
