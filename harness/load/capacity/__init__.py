"""How many requests an engine holds at a time: by arithmetic, by filling it, and by its speed.

`arithmetic` turns the geometry of a model and the memory of a card (`geometry`, `catalogue`) into
blocks and requests, as vLLM does; `filling` puts so many requests of exact lengths on a running
engine and one more; `racing` and `climbing` measure how fast they are together.
"""
