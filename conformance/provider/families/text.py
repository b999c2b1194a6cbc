"""Texts that have to arrive byte for byte."""

from __future__ import annotations

from conformance.provider.fault import ANY, Fault
from conformance.provider.steps import HEAD, LAST_CHUNK, Script, Step, body, ended, started
from conformance.provider.wires import Wire


def _saying(*texts: str) -> Script:
    def script(wire: Wire) -> list[Step]:
        return [HEAD, body(wire.stream(texts), "".join(texts)), LAST_CHUNK]

    return script


def _written(old: str, new: bytes, text: str) -> Script:
    """Send a text of which `old` is written as `new` in JSON."""

    def script(wire: Wire) -> list[Step]:
        return [HEAD, body(wire.stream((text,)).replace(old.encode(), new), text), LAST_CHUNK]

    return script


def _lone_surrogate(wire: Wire) -> list[Step]:
    event = wire.delta("LONE").replace(b"LONE", rb"\ud83d")
    return [*started(wire, "one"), body(event), *ended(wire)]


def _not_utf8(wire: Wire) -> list[Step]:
    event = wire.delta("LONE").replace(b"LONE", b"\xff\xfe")
    return [*started(wire, "one"), body(event), *ended(wire)]


FAULTS = (
    Fault(
        "unicode", "Letters of many scripts.", _saying("Grüße, ", "Ελλάδα, ", "Россия, ", "中文, ", "日本語, ", "हिन्दी")
    ),
    Fault("emoji", "Characters beyond the basic plane, joined ones among them.", _saying("😀", " 👩‍👩‍👧", " 🇪🇺", " 𝒳")),
    Fault("surrogate-escapes", "An emoji as two escapes of JSON.", _written("😀", rb"\ud83d\ude00", "a 😀 b")),
    Fault("lone-surrogate", "Half an emoji, as an escape: no text at all.", _lone_surrogate, ANY, free_text=True),
    Fault("not-utf-8", "Bytes inside a text that are no UTF-8.", _not_utf8, ANY, free_text=True),
    Fault(
        "line-separators",
        "U+2028, U+2029 and U+0085, which some readers take for line ends.",
        _saying("a\u2028b", "c\u2029d", "e\x85f"),
    ),
    Fault(
        "line-ends",
        "Line feeds, carriage returns, both, at both ends of texts.",
        _saying("\n", "a\r\n", "\rb", "\n\n", "c\n"),
    ),
    Fault("nul", "U+0000.", _saying("a \x00 b")),
    Fault("control-characters", "Control characters.", _saying("a\tb", "\x1b[31m", "\x7f", "\x01\x1f", "\x0b\x0c")),
    Fault(
        "combining",
        "Letters with combining marks, which may not be normalized.",
        _saying("e\u0301", " \u00e9", " \ufb01", " \u212b"),
    ),
    Fault(
        "right-to-left",
        "Right-to-left text, direction marks and invisible characters.",
        _saying("שלום", "\u202eabc\u202c", "\u200b\ufeff\u200d"),
    ),
    Fault("long-text", "A text of 100 kB.", _saying("wörd " * 20_000)),
    Fault("empty-deltas", "Empty texts between others.", _saying("", "one", "", "", " two", "")),
    Fault("whitespace", "Texts of blanks and line feeds only.", _saying(" ", "  ", "\n", "\t", " one ", "   ")),
    Fault(
        "json-text",
        "Texts that look like JSON.",
        _saying('{"completion":[{"delta":', '"x"}]}', "null", "{}", "[]", '"'),
    ),
    Fault(
        "error-text",
        "A text that looks like an error.",
        _saying('{"error":{"message":"boom","type":"x"},"status":500}'),
    ),
    Fault(
        "done-text",
        "Texts that look like the end.",
        _saying("[DONE]", " data: [DONE]", "\n\ndata: [DONE]\n\n", "\nevent: error\n"),
    ),
    Fault("backslashes", "Backslashes and quotes.", _saying("\\", '\\"', "\\n", "\\u0041", '"', "'", "\\\\")),
    Fault("html-text", "Markup.", _saying("<script>alert('x')</script>", "&amp; &lt;", "<!--", "-->")),
    Fault("escaped-slashes", "Every character that may be escaped is.", _written("/A", rb"\/\u0041", "a/A b")),
)
