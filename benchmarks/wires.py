"""The bytes of a stream as each of the vendors sends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wire:
    """Where a vendor is asked, what every stream begins and ends with, and the event of one delta.

    `marker` is what only the event of a delta has in it, once. The text of `delta` is ` word`. `tail` are the events
    at the end.
    """

    path: str
    marker: bytes
    head: bytes
    delta: bytes
    tail: bytes

    def event(self, text: bytes) -> bytes:
        """Return the event of a delta with another text, which begins with a space."""
        return self.delta.replace(b" word", text, 1)


def _openai(choices: str, usage: str = "null") -> str:
    start = (
        '{"id":"chatcmpl-R3c0rdedAnswer000000000000001","object":"chat.completion.chunk","created":1784728648,'
        '"model":"gpt-5-2025-08-07","service_tier":"default","system_fingerprint":null,'
    )
    return f'{start}"choices":[{choices}],"usage":{usage},"obfuscation":"EeXxvZr"}}'


def _watsonx(choices: str, more: str = "") -> str:
    model = "meta-llama/llama-4-maverick-17b-128e-instruct-fp8"
    start = (
        f'{{"id":"chatcmpl-0000000000000000","object":"chat.completion.chunk","model_id":"{model}","model":"{model}",'
    )
    return f'{start}"choices":[{choices}],"created":1749736055,"created_at":"2026-06-12T13:47:35.542Z"{more}}}'


def _gemini(candidate: str) -> str:
    usage = '{"promptTokenCount": 6,"candidatesTokenCount": 5,"totalTokenCount": 11}'
    start = f'{{"candidates": [{{"content": {candidate},"index": 0}}],"usageMetadata": {usage}'
    return f'{start},"modelVersion": "gemini-2.5-flash","responseId": "AAAAAAAAAAAAAAAAAAAAAAA"}}'


def _data(*events: str, line_end: str = "\n") -> bytes:
    return "".join(f"data: {data}{line_end}{line_end}" for data in events).encode()


def _named(**events: str) -> bytes:
    return "".join(f"event: {name}\ndata: {data}\n\n" for name, data in events.items()).encode()


def _numbered(*events: str) -> bytes:
    return "".join(f"id: 2\nevent: message\ndata: {data}\n\n" for data in events).encode()


_OPENAI_USAGE = '{"prompt_tokens":13,"completion_tokens":11,"total_tokens":24}'
OPENAI = Wire(
    "/v1/chat/completions",
    b'"delta":{"content":" ',
    _data(_openai('{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}')),
    _data(_openai('{"index":0,"delta":{"content":" word"},"finish_reason":null}')),
    _data(
        _openai('{"index":0,"delta":{},"finish_reason":"stop"}'),
        _openai("", _OPENAI_USAGE),
        "[DONE]",
    ),
)
ANTHROPIC = Wire(
    "/v1/messages",
    b'"text_delta"',
    _named(
        message_start='{"type":"message_start","message":{"model":"claude-sonnet-4-20250514","id":"msg_01",'
        '"type":"message","role":"assistant","content":[],"stop_reason":null,"usage":{"input_tokens":43,'
        '"output_tokens":8}}}',
        content_block_start='{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}   }',
        ping='{"type": "ping"}',
    ),
    _named(
        content_block_delta='{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}     }'
    ),
    _named(
        content_block_stop='{"type":"content_block_stop","index":0      }',
        message_delta='{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        '"usage":{"input_tokens":43,"output_tokens":12}     }',
        message_stop='{"type":"message_stop"       }',
    ),
)
COHERE = Wire(
    "/v2/chat",
    b"event: content-delta",
    _named(
        **{
            "message-start": '{"id":"f17a5f6c","type":"message-start","delta":{"message":{"role":"assistant",'
            '"content":[],"tool_plan":"","tool_calls":[],"citations":[]}}}',
            "content-start": '{"type":"content-start","index":0,'
            '"delta":{"message":{"content":{"type":"text","text":""}}}}',
        }
    ),
    _named(**{"content-delta": '{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":" word"}}}}'}),
    _named(
        **{
            "content-end": '{"type":"content-end","index":0}',
            "message-end": '{"type":"message-end","delta":{"finish_reason":"COMPLETE",'
            '"usage":{"tokens":{"input_tokens":496,"output_tokens":11}}}}',
        }
    )
    + _data("[DONE]"),
)
GEMINI = Wire(
    ":streamGenerateContent",
    b'{"text": " ',
    b"",
    _data(_gemini('{"parts": [{"text": " word"}],"role": "model"}'), line_end="\r\n"),
    _data(_gemini('{"parts": [{"text": ""}],"role": "model"},"finishReason": "STOP"'), line_end="\r\n"),
)
WATSONX = Wire(
    "/ml/v1/text/chat_stream",
    b'"delta":{"content":" ',
    _numbered(_watsonx('{"index":0,"finish_reason":null,"delta":{"role":"assistant","content":""}}')),
    _numbered(_watsonx('{"index":0,"finish_reason":null,"delta":{"content":" word"}}')),
    _numbered(
        _watsonx('{"index":0,"finish_reason":"stop","delta":{"content":""}}'),
        _watsonx("", f',"usage":{_OPENAI_USAGE}'),
    ),
)
