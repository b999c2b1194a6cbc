"""What may help where a provider does not answer as it should."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_HINTS: Final[Sequence[tuple[int, str, str]]] = (
    (401, "", "Check the key: the provider does not know it. A key of another account or region is refused too."),
    (403, "", "The provider knows the key, but does not let it do this. Check its rights and its region."),
    (404, "", "Check the model and the URL: the provider has nothing there."),
    (408, "", "The provider is slow, or something on the way swallows the request. Check the URL, then try again."),
    (429, "", "The account is at its limit or out of credit. Try again in a while."),
    (400, "GATEWAY_PRIVATE_HOSTS",
     "The gateway calls public addresses only. Name the host in GATEWAY_PRIVATE_HOSTS to open it, and restart."),
    (400, r"status \[5", "The provider has trouble of its own. Try again in a while."),
    (400, "", "Check the settings: the provider understood the request, but does not take it."),
    (500, "the secret|cannot be read",
     "A secret cannot be opened: give it again, or bring its key back to GATEWAY_SECRET_KEYS."),
    (500, "certificate|TLS", "Check the URL. An authority of your own is named in GATEWAY_CA_BUNDLE."),
    (500, "resolve", "The host has no address. Check how it is written, and the DNS of the gateway."),
    (500, "outbound proxy", "Check GATEWAY_OUTBOUND_PROXY."),
    (500, "refused|unreachable|no connection within|no route",
     "Nothing answers there. Check host and port, that the engine runs, and whether GATEWAY_PRIVATE_HOSTS means it."),
)  # fmt: skip
"""Status, a pattern for the text of the error, and a sentence; the first that fits is shown."""


def hint(status: int, error: str) -> str:
    """Return what may help with `error`, "" where nothing is known that would."""
    for known, pattern, sentence in _HINTS:
        if status == known and re.search(pattern, error):
            return sentence
    return ""
