"""A service of our own that repeats the prompt: no provider and no account, for demos, tests and load tests."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from itertools import islice
from uuid import uuid4

from endpoints.providers import _base
from endpoints.providers._base import Batch, Chat, Choice, Chunk, Completion, Delta, Usage, content_text
from endpoints.providers._settings import Settings, rate_limit, setting
from wire.errors import ProviderError

# A word has the white space after it, the first one also that before it, so that the words make up the whole text.
_WORD = re.compile(r"\s*\S+\s*|\s+")
# Words that are due at the same moment travel together, but not a whole book at once.
_MOST_DELTAS = 256


@dataclass(frozen=True, kw_only=True)
class ServiceSettings(Settings):
    words_per_second: float | None = setting(
        "Words per Second", "How fast the words come; without it, at once.", updatable=True, minimum=0.001
    )
    first_word_delay_ms: int | None = setting(
        "First Word Delay", "Milliseconds until the first word comes.", updatable=True, minimum=0
    )
    words_per_delta: int = setting(
        "Words per Delta",
        "How many words a piece of the stream has.",
        updatable=True,
        minimum=1,
        default=1,
        listed_default=1,
    )
    fail_after_words: int | None = setting(
        "Fail after Words", "After so many words the answer fails; 0 is before the first.", updatable=True, minimum=0
    )
    requests_per_minute: int | None = rate_limit(None)


class Provider(_base.Provider):
    label = "Echo"
    description = (
        "Repeats the prompt word by word. It needs no provider and no account, and is made for demos, tests and "
        "load tests."
    )
    task_types = ("completion", "chat_completion")
    streaming_task_types = ("completion", "chat_completion")
    service_settings = ServiceSettings
    completion_name = "Echo completions"
    needs_validation = False

    async def complete(self, chat: Chat) -> Completion:
        texts: list[str] = []
        async for batch in self.stream(chat):
            texts += [choice.delta.content or "" for chunk in batch for choice in chunk.choices]
            last = batch[-1]
        return Completion(("".join(texts),), finish_reason="stop", usage=last.usage, id=last.id, model=last.model)

    async def stream(self, chat: Chat) -> AsyncGenerator[Batch, None]:
        answer_id = f"echo-{uuid4().hex}"
        texts = [content_text(message.content) or "" for message in chat.messages]
        clock = asyncio.get_running_loop().time
        delay = (self.settings.first_word_delay_ms or 0) / 1000
        start = clock() + delay
        await asyncio.sleep(delay)
        spoken, batch = 0, Batch()
        try:
            for seconds, words in self._pieces(texts[-1] if texts else ""):
                # Each wait ends at a moment counted from the start, so that late wake-ups do not add up.
                wait = start + seconds - clock()
                if wait > 0 or len(batch) == _MOST_DELTAS:
                    if batch:
                        yield batch
                        batch = []
                    await asyncio.sleep(wait)
                batch.append(_chunk(answer_id, Choice(Delta("".join(words), None if spoken else "assistant"))))
                spoken += len(words)
        except ProviderError:
            if batch:
                yield batch
            raise
        batch.append(_chunk(answer_id, Choice(Delta(), "stop")))
        heard = spoken + sum(1 for text in texts[:-1] for _ in _WORD.finditer(text))
        batch.append(Chunk(answer_id, [], "echo", Usage(heard, spoken, heard + spoken)))
        yield batch

    def _pieces(self, text: str) -> Iterator[tuple[float, list[str]]]:
        """Yield the words of each delta, with the seconds from the first word to when they are due."""
        settings, spoken = self.settings, 0
        found = (match[0] for match in _WORD.finditer(text))
        while True:
            size = settings.words_per_delta
            if settings.fail_after_words is not None:
                size = min(size, settings.fail_after_words - spoken)
                if size == 0:
                    raise ProviderError(f"echo was told to fail after {spoken} words", status=500)
            words = list(islice(found, size))
            if not words:
                return
            yield (spoken / settings.words_per_second if settings.words_per_second else 0.0), words
            spoken += len(words)


def _chunk(answer_id: str, choice: Choice) -> Chunk:
    return Chunk(answer_id, [choice], "echo")
