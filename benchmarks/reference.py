"""A piece of work that never changes, in whose cost the cost of everything else is told.

It is a tour of the standard library, so that neither this project nor an update of a package changes it: much code
that runs once, as on the path of a request, half of it Python's and half of it C's.
"""

from __future__ import annotations

import hmac
import json
import logging
import string
import textwrap
import urllib.parse
from collections import Counter
from datetime import UTC, datetime, timedelta
from email import message_from_string
from fractions import Fraction
from ipaddress import ip_network

_TEXT = "A word is known by the company it keeps, and a page by the words that are on it. " * 4
_MESSAGE = "From: one@example.org\nTo: two@example.org\nSubject: a word\nX-Number: 7\n\n" + _TEXT
_URL = "https://user@example.org:8080/path/of/words;version=1?word=one&word=two&number=7#here"
_START = datetime(2026, 1, 1, tzinfo=UTC)


def work() -> str:
    """Do it once, and return what came out of it."""
    parts = [
        textwrap.fill(_TEXT, 40),
        str(message_from_string(_MESSAGE)),
        urllib.parse.urlencode(urllib.parse.parse_qs(urllib.parse.urlsplit(_URL).query), doseq=True),
        json.dumps({"words": json.loads(json.dumps(_TEXT.split()))}, indent=1),
        string.Template("$one and ${two}").substitute(one="a word", two="another"),
        (_START + timedelta(days=70)).strftime("%A %d %B %Y"),
        str(sum((Fraction(1, number) for number in range(1, 8)), Fraction())),
        str(ip_network("10.0.0.0/28").num_addresses + len(Counter(_TEXT))),
        logging.Formatter("%(levelname)s %(message)s").format(
            logging.LogRecord("words", logging.INFO, "path", 1, "%s", ("a word",), None)
        ),
    ]
    return hmac.new(b"key", "\n".join(parts).encode(), "sha256").hexdigest()
