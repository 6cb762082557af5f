"""The differences between recorded servers and the emulator that stay, one line of reason each.

A difference without an entry fails the test, and so does an entry that nothing needs any more.
"""

from __future__ import annotations

from harness.engines.recordings.comparison import Accepted

_UNION = "Of pydantic's errors for a wrong content the emulator tells those about its type alone."
_MESSAGES = "The server speaks Anthropic's Messages API too; here only the anthropic dialect does."
_RESPONSES = "OpenAI's Responses API is not emulated."

ACCEPTED: tuple[Accepted, ...] = (
    # llama-server
    Accepted(
        "llama_cpp_native",
        "chat.tools.*",
        "*",
        "Its grammar for a forced call lets text come first, and random weights never get to the "
        "call; the emulator calls, in the shape of server_chat_msg_diff_to_json_oaicompat.",
    ),
    Accepted(
        "llama_cpp_native",
        "slots",
        "body*.params.*",
        "A real slot remembers the settings of its last request; an emulated one has the defaults.",
    ),
    Accepted("llama_cpp_native", "messages*", "*", _MESSAGES),
    Accepted("llama_cpp_native", "responses", "status", _RESPONSES),
    # llama-cpp-python
    Accepted(
        "llama_cpp_python",
        "chat.no_model",
        "body.model",
        "Not asked for a name it answers with the path of its file; the emulator has none.",
    ),
    Accepted("llama_cpp_python", "bad.messages.content", "body.error.message", _UNION),
    # vLLM
    Accepted("vllm", "bad.messages.content", "body.error.message", _UNION),
    Accepted("vllm", "messages*", "*", _MESSAGES),
    Accepted("vllm", "responses", "status", _RESPONSES),
    Accepted(
        "vllm",
        "sleeping",
        "status",
        "Sleep exists in a server started with VLLM_SERVER_DEV_MODE=1, as the emulated one is.",
    ),
    Accepted(
        "vllm",
        "metrics",
        "metric http_*",
        "Counters of its HTTP framework, about handlers rather than the engine.",
    ),
    Accepted(
        "vllm",
        "metrics",
        "metric vllm:tool_call_parser*",
        "Calls that its tool parser made of text; an emulated call is never parsed.",
    ),
    Accepted(
        "vllm",
        "metrics",
        "metric vllm:cache_config_info",
        "Only an engine that batches has a cache (EmulatorSpec.batching); this one keeps time.",
    ),
    Accepted(
        "vllm",
        "metrics",
        "metric p*",
        "Counters of its Python process: memory, descriptors, garbage collection.",
    ),
)
