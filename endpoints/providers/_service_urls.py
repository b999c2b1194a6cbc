"""Addresses that stand for the public ones of services: for private links, egress proxies and tests."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

# `googleaistudio`, or `watsonxai.token` for what is asked elsewhere. Names that mean nothing yet are accepted.
_NAME = re.compile(r"[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)?", re.ASCII)


def parse(text: str) -> dict[str, str]:
    """Read `name=http(s)://host[:port][/prefix],...`. Raise ValueError that names a bad item."""
    items = [item.strip() for item in text.split(",") if item.strip()]
    return dict(_item(item) for item in items)


def _item(item: str) -> tuple[str, str]:
    name, separator, url = (part.strip() for part in item.partition("="))
    if not separator or not _NAME.fullmatch(name):
        raise ValueError(f"[{item[:80]}] is not name=url")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"the address of [{name}] is not http(s)://host[:port][/prefix]")
    if parts.query or parts.fragment:
        raise ValueError(f"the address of [{name}] must not have a query or a fragment")
    return name, url.rstrip("/")
