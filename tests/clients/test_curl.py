"""curl: the line that a first start prints, and the words arriving one by one."""

from __future__ import annotations

import re
import subprocess
import time

from tests.gateway import Gateway, deltas


def test_the_printed_line_streams_words_one_by_one(gateway: Gateway) -> None:
    line = re.search(r"^  (curl -N .*)$", gateway.printed, re.MULTILINE)
    assert line, gateway.printed
    # As a person would paste it; there is no other way to see that its quoting holds.
    process = subprocess.Popen(line[1], shell=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S602
    assert process.stdout is not None
    words, times = [], []
    for text in process.stdout:
        if text.startswith("data: ") and "[DONE]" not in text:
            words.append(deltas(text.removeprefix("data: ")))
            times.append(time.monotonic())
    assert process.wait(10) == 0
    assert "".join(words).startswith("The quick brown fox")
    assert len(words) > 10
    # Eight words a second, so sixteen of them cannot come in less than a second unless something held them back.
    assert times[-1] - times[0] > 1
