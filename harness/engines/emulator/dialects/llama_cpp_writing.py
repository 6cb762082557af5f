"""How ``llama-server`` writes its answers: OpenAI's endpoints, and ``/completion``.

Read in tools/server/server-task.cpp; held against recordings of a running server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.engines.emulator import vocabulary
from harness.engines.emulator.answer import Frame
from harness.engines.emulator.dialects import llama_cpp_state
from harness.engines.emulator.dialects.base import Dialect
from harness.engines.emulator.dialects.llama_cpp_state import FINGERPRINT
from harness.engines.emulator.dialects.shapes import Json, encode, event

if TYPE_CHECKING:
    from harness.engines.emulator.answer import Choice, Reply

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class LlamaCppWriting(Dialect):
    """Keys in another order, ``timings`` at the end, counts for each choice."""

    def identity(self, reply: Reply, kind: str) -> Json:
        """An id of 32 letters and digits."""
        del kind
        return {
            "created": reply.created,
            "model": reply.model,
            "system_fingerprint": FINGERPRINT,
            "id": f"chatcmpl-{_letters(reply.id)}",
        }

    def chunk(self, reply: Reply, choices: list[Json]) -> Json:
        """``ordered_json``, in the order of the source; never ``usage: null``."""
        if reply.surface != "chat":
            return self.arranged(reply, choices, "text_completion", {})
        about = self.identity(reply, "")
        order = ("created", "id", "model", "system_fingerprint")
        ordered = {name: about[name] for name in order}
        return {"choices": choices, **ordered, "object": "chat.completion.chunk"}

    def arranged(self, reply: Reply, choices: list[Json], kind: str, more: Json) -> Json:
        """The order of whole answers, and of all those of the legacy endpoint."""
        about = self.identity(reply, kind)
        unique = about.pop("id")
        return {"choices": choices, **about, "object": kind, **more, "id": unique}

    def opening_chunks(self, reply: Reply, index: int) -> list[Json]:
        """The first delta has null for content; a call begins with its name."""
        if reply.surface != "chat":
            return []
        deltas: list[Json] = [{"role": "assistant", "content": None}]
        if reply.choices[index].called:
            deltas.append(self.call_delta(reply, index, ""))
        return [self.chunk(reply, [self.chat_choice(reply, index, each)]) for each in deltas]

    def call_id(self, unique: str) -> str:
        """``random_string``."""
        return _letters(unique)

    def chat_choice(
        self,
        reply: Reply,
        index: int,
        delta: Json,
        finish: str | None = None,
        logprobs: Any = None,
    ) -> Json:
        """No ``logprobs`` unless asked."""
        del reply
        choice = {"finish_reason": finish, "index": index, "delta": delta}
        return choice if logprobs is None else {**choice, "logprobs": logprobs}

    def logprobs(self, reply: Reply, words: Any, offset: int) -> Json:
        """The shape of chats at both endpoints, without ``refusal``."""
        del offset
        return {"content": [self.chat_logprob(reply, word) for word in words]}

    def logprob_entry(self, word: str, value: float) -> Json:
        """With the id of the token."""
        bytes_ = list(encode(word))
        return {"id": vocabulary.token_id(word), "token": word, "bytes": bytes_, "logprob": value}

    def stream_frames(self, reply: Reply) -> list[Frame]:
        """``timings`` also ride on text that was held back for a stop."""
        frames = super().stream_frames(reply)
        if reply.surface == "chat" and reply.choices[0].cut:
            words = reply.choices[0].tokens
            last = [frame for frame in frames if frame.part == "token"][-1]
            chunk = self.token_chunk(reply, 0, words[-1])
            last.data = event(self.dumps({**chunk, "timings": self.timings(reply)}))
        return frames

    def closing_frames(self, reply: Reply) -> list[Frame]:
        """``timings`` ride on the last chunk of a choice; each counts for itself."""
        if reply.surface == "native_completion":  # ends without a marker of its own
            ended = event(self.dumps(self.native_end(reply, "")))
            return [Frame("done", ended, reply.last_token)]
        frames = super().closing_frames(reply)
        usage = [frame for frame in frames if frame.part == "usage"]
        done = [frame for frame in frames if frame.part == "done"]
        closing: list[Frame] = []
        for index, frame in enumerate(each for each in frames if each.part == "finish"):
            closing.append(frame)
            if reply.surface == "chat" and usage:
                timed = {**self.usage_chunk(reply), "timings": self.timings(reply)}
                usage[0].data = event(self.dumps(timed))
                closing += usage
            elif reply.surface != "chat" or not reply.choices[index].cut:
                timed = {**self.finish_chunk(reply, index), "timings": self.timings(reply)}
                frame.data = event(self.dumps(timed))
        return closing + done

    def finish_chunk(self, reply: Reply, index: int) -> Json:
        """The legacy endpoint counts tokens whether or not it was asked to."""
        if reply.surface == "chat":
            return super().finish_chunk(reply, index)
        usage = {"usage": self.usage(reply)} if reply.usage else {}
        ended = [self.text_choice(reply, index, "", reply.choices[index].finish)]
        return self.arranged(reply, ended, "text_completion", usage)

    def chat_body(self, reply: Reply) -> Json:
        """A whole answer with its timings."""
        choices = []
        for index, choice in enumerate(reply.choices):
            made: Json = {"finish_reason": choice.finish, "index": index}
            made["message"] = self.message(reply, index)
            told = self.all_logprobs(reply, index)
            choices.append(made if told is None else {**made, "logprobs": told})
        return self._whole(reply, choices, "chat.completion")

    def message(self, reply: Reply, index: int) -> Json:
        """Role, content, and calls where there are some."""
        choice = reply.choices[index]
        if choice.called:
            calls = [self.tool_call(reply, index, choice.text)]
            return {"role": "assistant", "content": None, "tool_calls": calls}
        return {"role": "assistant", "content": choice.text}

    def tool_call(self, reply: Reply, index: int, arguments: str) -> Json:
        """The id comes last."""
        call = super().tool_call(reply, index, arguments)
        return {"type": call["type"], "function": call["function"], "id": call["id"]}

    def echoed(self, reply: Reply) -> str:
        """``echo`` is not read."""
        del reply
        return ""

    def completion_body(self, reply: Reply) -> Json:
        """A whole answer of the legacy endpoint."""
        choices = [
            self.text_choice(
                reply, index, choice.text, choice.finish, self.all_logprobs(reply, index)
            )
            for index, choice in enumerate(reply.choices)
        ]
        return self._whole(reply, choices, "text_completion")

    def _whole(self, reply: Reply, choices: list[Json], kind: str) -> Json:
        usage = {"usage": self.usage(reply)} if reply.usage else {}
        return {**self.arranged(reply, choices, kind, usage), "timings": self.timings(reply)}

    def usage(self, reply: Reply) -> Json:
        """The answer's tokens first."""
        counts = super().usage(reply)
        names = ("completion_tokens", "prompt_tokens", "total_tokens")
        ordered = {key: counts[key] for key in names}
        return {**ordered, "prompt_tokens_details": {"cached_tokens": 0}}

    def timings(self, reply: Reply) -> Json:
        """What the settings say it took; the first token belongs to the prompt."""
        prompt, predicted = reply.prompt_tokens, reply.completion_tokens
        prompt_ms, rest = float(reply.ttft_ms), max(0, predicted - 1)
        predicted_ms = max(0.001, reply.itl_ms * rest)
        return {
            "cache_n": 0,
            "prompt_n": prompt,
            "prompt_ms": prompt_ms,
            "prompt_per_token_ms": prompt_ms / prompt,
            "prompt_per_second": prompt / prompt_ms * 1000 if prompt_ms else 0.0,
            "predicted_n": predicted,
            "predicted_ms": predicted_ms,
            "predicted_per_token_ms": predicted_ms / rest if rest else 0.0,
            "predicted_per_second": rest / predicted_ms * 1000,
        }

    # The native endpoint.

    def whole(self, reply: Reply) -> Json:
        """``/completion`` has a shape of its own."""
        if reply.surface != "native_completion":
            return super().whole(reply)
        return self.native_end(reply, reply.choices[0].text)

    def token_chunk(
        self, reply: Reply, index: int, token: str, finish: str | None = None, logprobs: Any = None
    ) -> Json:
        """A partial answer of ``/completion``; or one in OpenAI's shape."""
        if reply.surface != "native_completion":
            return super().token_chunk(reply, index, token, finish, logprobs)
        return self.native_token(reply, token, 1)

    def native_token(self, reply: Reply, token: str, count: int) -> Json:
        """One token of ``/completion``."""
        return {
            "index": 0,
            "content": token,
            "tokens": [vocabulary.token_id(token)],
            "stop": False,
            "id_slot": -1,
            "tokens_predicted": count,
            "tokens_evaluated": reply.prompt_tokens,
        }

    def special_tokens(self, reply: Reply, index: int) -> dict[int, Json]:
        """Native chunks count along, so each is written by itself."""
        if reply.surface != "native_completion":
            return super().special_tokens(reply, index)
        words = reply.choices[index].tokens
        return {k: self.native_token(reply, word, k + 1) for k, word in enumerate(words)}

    def native_end(self, reply: Reply, text: str) -> Json:
        """The last chunk, or the whole answer, of ``/completion``."""
        choice, ask = reply.choices[0], reply.ask
        limit = ask.max_tokens or -1
        settings = llama_cpp_state.request_settings(
            max_tokens=limit, n_predict=limit, stream=ask.stream, **ask.details
        )
        return {
            "index": 0,
            "content": text,
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "model": reply.model,
            "tokens_predicted": reply.completion_tokens,
            "tokens_evaluated": reply.prompt_tokens,
            "generation_settings": settings,
            "prompt": ask.prompt,
            "has_new_line": False,
            "truncated": False,
            "stop_type": _stop_type(choice),
            "stopping_word": choice.stop or "",
            "tokens_cached": reply.prompt_tokens + reply.completion_tokens,
            "timings": self.timings(reply),
        }


def _stop_type(choice: Choice) -> str:
    if choice.stop is not None:
        return "word"
    return "limit" if choice.finish == "length" else "eos"


def _letters(unique: str) -> str:
    """32 letters and digits from hexadecimal ones."""
    number, letters = int(unique, 16) + 1, ""
    while len(letters) < 32:
        number, at = divmod(number * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407, 62)
        number %= 1 << 256
        letters += _ALPHABET[at]
    return letters
