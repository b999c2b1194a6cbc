"""Which failures are cuts: the connection ended or broke, and the provider did not say that its answer was complete."""

from __future__ import annotations

import pytest

from endpoints.providers import _events, _sse
from endpoints.providers._base import user_message
from tests.fakes.provider import FakeProvider
from tests.providers.endpoints import openai, streamed
from tests.providers.sockets import serving
from wire.errors import ProviderError

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n'


async def failure(fake: FakeProvider, model: str = "gpt-echo", *, whole: bool = False) -> ProviderError:
    async with openai(fake, model, http={"idle_seconds": 0.3}) as provider:
        with pytest.raises(ProviderError) as error:
            await (provider.complete(user_message("hello")) if whole else streamed(provider))
    return error.value


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        HEAD,
        HEAD + b"transfer-encoding: chunked\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(EVENT), EVENT),
        HEAD + b"content-length: 1000\r\n\r\n" + EVENT,
        HEAD + b"connection: close\r\n\r\n" + EVENT,
        HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(EVENT), EVENT),
    ],
    ids=["nothing", "half a head", "no chunk", "no last chunk", "too short", "closed", "no end of the answer"],
)
@pytest.mark.parametrize("whole", [False, True])
async def test_an_answer_that_ends_early_is_cut(fake: FakeProvider, answer: bytes, whole: bool) -> None:
    async with serving(answer) as port:
        fake.url = f"http://127.0.0.1:{port}"
        error = await failure(fake, whole=whole)
    complete_body = answer.endswith((b"0\r\n\r\n", b"close\r\n\r\n" + EVENT))
    assert error.status == 500
    # A whole answer says by its length that it is complete; then it is one that cannot be read.
    assert error.cut is not (whole and complete_body)


async def test_silence_is_no_cut_and_has_status_408(fake: FakeProvider) -> None:
    error = await failure(fake, "idle")
    assert (error.status, error.cut) == (408, False)


@pytest.mark.parametrize("model", ["error:400", "error:503", "error-in-200", "not-json", "no-http", "redirect"])
async def test_what_a_provider_said_is_no_cut(fake: FakeProvider, model: str) -> None:
    assert not (await failure(fake, model)).cut


async def test_a_host_that_was_never_reached_is_no_cut() -> None:
    with FakeProvider.running() as gone:
        pass
    assert not (await failure(gone)).cut


async def test_an_event_that_is_too_large_is_no_cut(fake: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_sse, _events):
        monkeypatch.setattr(module, "MAX_EVENT_BYTES", 1000)
    async with serving(HEAD + b"\r\ndata: ", b"a" * 4096) as port:
        fake.url = f"http://127.0.0.1:{port}"
        error = await failure(fake)
    assert (error.status, error.cut) == (500, False)
