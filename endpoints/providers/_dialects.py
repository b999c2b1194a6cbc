"""Chat completions in OpenAI's shape from servers that keep some words of their own in it.

https://cloud.ibm.com/apidocs/watsonx-ai#text-chat-stream,
https://huggingface.co/docs/text-generation-inference/reference/api_reference
"""

from __future__ import annotations

from dataclasses import replace

from endpoints.providers._base import Choice, Chunk, Completion
from endpoints.providers._failures import Failures
from endpoints.providers._openai_chunks import ChunkReader, read_completion

_FINISH_REASONS = {
    "eos_token": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "token_limit": "length",
    "time_limit": "length",
    "cancelled": "error",
}


class DialectReader(ChunkReader):
    def take(self, name: bytes, data: bytes) -> Chunk | None:
        if name == b"close":
            # watsonx.ai may say that it closes the connection; whether the answer is complete was said before.
            return None
        chunk = super().take(name, data)
        if chunk is not None:
            for choice in chunk.choices:
                if choice.finish_reason in _FINISH_REASONS:
                    self._finish(choice, data)
                if choice.delta.tool_calls:
                    _forget_empty_names(choice)
        return chunk

    def _finish(self, choice: Choice, data: bytes) -> None:
        choice.finish_reason = self.finish_reason = _FINISH_REASONS[choice.finish_reason or ""]
        if self.finish_reason == "error":
            self.fail(data)


def read_dialect(body: bytes, failures: Failures) -> Completion:
    """Return the completion in a whole answer. Raise ProviderError."""
    completion = read_completion(body, failures)
    reason = completion.finish_reason or ""
    return replace(completion, finish_reason=_FINISH_REASONS.get(reason, completion.finish_reason))


def _forget_empty_names(choice: Choice) -> None:
    """watsonx.ai repeats the name of a function as "" in later pieces, which readers that replace it would take."""
    for call in choice.delta.tool_calls or ():
        if call.function is not None and call.function.name == "":
            call.function.name = None
