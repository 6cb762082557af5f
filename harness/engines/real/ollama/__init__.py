"""The native API of Ollama in front of a real llama-server: a process of its own.

No registry that the harness installs from has the Ollama server, so its wire is emulated; tokens,
their timing and the end of a cancelled answer are those of the real server behind. Standard
library and h11 only.

Read at Ollama's main of 2026-08-21 (commit fb30760): api/types.go, server/routes.go,
server/sched.go, openai/openai.go.
"""
