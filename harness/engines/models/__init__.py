"""Tiny models made here in a fraction of a second, for real servers to serve.

One set of weights, written as a Hugging Face folder and as GGUF. Their greedy text is the same in
every server, depends on every token of the prompt and on the seed, and begins with the signature
of the engine that serves it, as the text of an emulated engine does. Standard library only.
"""

from harness.engines.models.model import ModelError, ModelFiles, TinyModel, ensure

__all__ = ["ModelError", "ModelFiles", "TinyModel", "ensure"]
