"""What llama-server tells about itself: ``/props``, ``/slots``, ``/metrics``.

As recorded from a running server (tests/recordings); see also tools/server/README.md. Values that
would describe weights are placeholders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.engines.spec import ServedModel

Json = dict[str, Any]

SLOTS = 4
FINGERPRINT = "b1-0c1e570"
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_SAMPLERS = ["penalties", "dry", "top_n_sigma", "top_k", "typ_p", "top_p", "min_p", "xtc"]


def sampling(**told: Any) -> Json:
    """The sampling settings of a slot or of a request, defaults but for ``told``."""
    settings: Json = {
        "seed": 4294967295,
        "temperature": 0.800000011920929,
        "dynatemp_range": 0.0,
        "dynatemp_exponent": 1.0,
        "top_k": 40,
        "top_p": 0.949999988079071,
        "min_p": 0.05000000074505806,
        "top_n_sigma": -1.0,
        "xtc_probability": 0.0,
        "xtc_threshold": 0.10000000149011612,
        "typical_p": 1.0,
        "repeat_last_n": 64,
        "repeat_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "dry_multiplier": 0.0,
        "dry_base": 1.75,
        "dry_allowed_length": 2,
        "dry_penalty_last_n": 64,
        "mirostat": 0,
        "mirostat_tau": 5.0,
        "mirostat_eta": 0.10000000149011612,
        "adaptive_target": -1.0,
        "adaptive_decay": 0.8999999761581421,
        "max_tokens": -1,
        "n_predict": -1,
        "n_keep": 0,
        "n_discard": 0,
        "ignore_eos": False,
        "stream": False,
        "n_probs": 0,
        "min_keep": 0,
        "chat_format": "Content-only",
        "reasoning_format": "none",
        "reasoning_in_content": False,
        "generation_prompt": "",
        "samplers": [*_SAMPLERS, "temperature"],
        "speculative.types": "none",
        "timings_per_token": False,
        "post_sampling_probs": False,
        "backend_sampling": False,
        "lora": [],
    }
    return settings | told


def request_settings(**told: Any) -> Json:
    """``generation_settings`` of a finished answer: with what a slot does not list."""
    found: Json = {}
    for name, value in sampling(reasoning_format="deepseek", **told).items():
        found[name] = value
        if name == "dry_penalty_last_n":
            found["dry_sequence_breakers"] = ["\n", ":", '"', "*"]
        elif name == "adaptive_decay":
            found["stop"] = told.get("stop", [])
        elif name == "stream":
            found["logit_bias"] = []
        elif name == "min_keep":
            found |= {"grammar": "", "grammar_lazy": False}
            found |= {"grammar_triggers": [], "preserved_tokens": []}
    return found


def props(model: ServedModel) -> Json:
    """``GET /props``."""
    settings = {"params": sampling(), "n_ctx": model.context_length}
    can = {
        "supports_object_arguments": True,
        "supports_parallel_tool_calls": True,
        "supports_preserve_reasoning": False,
        "supports_reasoning_effort": False,
        "supports_string_content": True,
        "supports_system_role": True,
        "supports_tool_calls": True,
        "supports_tools": True,
        "supports_typed_content": True,
    }
    return {
        "default_generation_settings": settings,
        "total_slots": SLOTS,
        "model_alias": model.id,
        "model_ftype": "F16",
        "model_path": f"{model.id}.gguf",
        "modalities": {"vision": False, "video": False, "audio": False},
        "media_marker": "<__media_0000000000000000000000000000000Z__>",
        "endpoint_slots": True,
        "endpoint_props": False,
        "endpoint_metrics": True,
        "ui": False,
        "ui_settings": {},
        "chat_template": TEMPLATE,
        "chat_template_caps": can,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "build_info": FINGERPRINT,
        "is_sleeping": False,
        "cors_proxy_enabled": False,
    }


def slots(model: ServedModel, busy: int) -> list[Json]:
    """``GET /slots``: the first ``busy`` of them are at work."""
    more = {"chat_format": "peg-native", "reasoning_format": "deepseek"}
    token = {"has_next_token": False, "has_new_line": False, "n_remain": -1, "n_decoded": 0}
    return [
        {
            "id": number,
            "n_ctx": model.context_length,
            "speculative": False,
            "is_processing": number < busy,
            "id_task": -1,
            "n_prompt_tokens": 0,
            "n_prompt_tokens_processed": 0,
            "n_prompt_tokens_cache": 0,
            "params": sampling(**more, generation_prompt="<|assistant|>"),
            "next_token": [{**token, "has_next_token": number < busy}],
        }
        for number in range(SLOTS)
    ]


def model_list(models: Sequence[ServedModel], now: int) -> Json:
    """``GET /v1/models``: Ollama's list and OpenAI's in one."""
    details = {"parent_model": "", "format": "gguf", "family": "", "families": [""]}
    empty = {"modified_at": "", "size": "", "digest": "", "type": "model", "description": ""}
    tail = {"tags": [""], "capabilities": ["completion"], "parameters": ""}
    listed = [
        {
            "name": model.id,
            "model": model.id,
            **empty,
            **tail,
            "details": {**details, "parameter_size": "", "quantization_level": ""},
        }
        for model in models
    ]
    data = [
        {
            "id": model.id,
            "aliases": [model.id],
            "tags": [],
            "object": "model",
            "created": now,
            "owned_by": "llamacpp",
            "meta": {
                "vocab_type": 2,
                "n_vocab": 480,
                "n_ctx": model.context_length,
                "n_ctx_train": model.context_length,
                "n_embd": 64,
                "n_params": 135744,
                "size": 272640,
                "ftype": "F16",
            },
        }
        for model in models
    ]
    return {"models": listed, "object": "list", "data": data}


def metrics(counts: dict[str, float]) -> str:
    """``GET /metrics``; a name that ``counts`` lacks is 0."""
    lines = []
    for name, kind, text in _METRICS:
        full = f"llamacpp:{name}"
        value = counts.get(name, 0)
        lines += [f"# HELP {full} {text}", f"# TYPE {full} {kind}", f"{full} {value:g}"]
    return "\n".join(lines) + "\n"


_METRICS = (
    (
        "prompt_tokens_total",
        "counter",
        "Number of prompt tokens processed, excluding cached tokens",
    ),
    ("prompt_tokens_cached_total", "counter", "Number of prompt tokens reused from the cache"),
    ("prompt_seconds_total", "counter", "Total time spent processing prompts"),
    ("tokens_predicted_total", "counter", "Number of generation tokens processed"),
    ("tokens_predicted_seconds_total", "counter", "Total time spent generating tokens"),
    (
        "n_decode_total",
        "counter",
        (
            "Total number of llama_decode() calls, "
            "excluding speculative decoding and multimodal decoding"
        ),
    ),
    ("n_tokens_max", "counter", "Largest observed sequence length (prompt + generation)"),
    (
        "spec_decode_num_draft_tokens_total",
        "counter",
        "Speculative: Total draft tokens generated",
    ),
    (
        "spec_decode_num_accepted_tokens_total",
        "counter",
        "Speculative: Total draft tokens accepted by the target model",
    ),
    (
        "spec_decode_num_drafts_total",
        "counter",
        "Speculative: Total speculative decoding verification steps",
    ),
    ("prompt_tokens_seconds", "gauge", "Average prompt throughput in tokens/s"),
    ("predicted_tokens_seconds", "gauge", "Average generation throughput in tokens/s"),
    ("requests_processing", "gauge", "Number of requests processing"),
    ("requests_deferred", "gauge", "Number of requests deferred"),
    ("n_busy_slots_per_decode", "gauge", "Average number of busy slots per llama_decode() call"),
)
