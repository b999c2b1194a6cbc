"""Numbers as options of a command."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def positive(kind: type[int] | type[float], most: int) -> Callable[[str], float]:
    """Return what reads such a number. It is named where it makes no sense."""

    def parse(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = 0
        if not 0 < number <= most:
            raise argparse.ArgumentTypeError(f"[{text}] is not a number above 0 and up to {most}")
        return number

    return parse
