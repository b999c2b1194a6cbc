"""The profile shows each load by parts and functions, and counts system calls of the gateway alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter

import pytest

from benchmarks.in_process import LOADS
from benchmarks.profile import part_of
from benchmarks.system_calls import count
from tests.gateway import ROOT


def test_a_profile_has_parts_and_functions_of_each_load() -> None:
    command = [sys.executable, "-m", "benchmarks.profile", "--lines", "5"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    sections = ended.stdout.split("\n\n\n")
    assert len(sections) == len(LOADS) + 1
    for load, section in zip(LOADS, sections, strict=False):
        assert re.match(rf"{load.title.capitalize()}: [\d.]+ µs of CPU", section.strip())
        assert len(re.findall(r"^ +[\d.]+% +[\d.]+  \S.*:\d+ \w+|<built-in|<method", section, re.MULTILINE)) >= 5
        for room in ("endpoints/providers/", "streaming/"):
            assert re.search(rf"^ +[\d.]+% +[\d.]+  {room}$", section, re.MULTILINE), section
    assert sections[-1].startswith("System calls of the gateway\n")


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (f"{ROOT}/wire/sse.py", "wire/"),
        (f"{ROOT}/endpoints/catalog.py", "endpoints/"),
        (f"{ROOT}/endpoints/providers/_sse.py", "endpoints/providers/"),
        (f"{ROOT}/benchmarks/in_process.py", "client and provider of this profile"),
        ("<string>", "code made at run time"),
    ],
)
def test_a_function_belongs_to_its_room(path: str, part: str) -> None:
    assert part_of((path, 1, "name")) == part


def test_functions_of_packages_and_of_the_standard_library_are_told_apart() -> None:
    assert part_of((re.__file__, 1, "name")) == "the rest of the standard library"
    assert part_of((str(pytest.__file__), 1, "name")) == "pytest"


_TRACE = """\
read(9<TCP:[127.0.0.1:7000->127.0.0.1:50001]>, "before", 10) = 6
access("/benchmarks/request/7000/8000", F_OK) = -1 ENOENT (No such file or directory)
write(11<TCP:[127.0.0.1:50000->127.0.0.1:7000]>, "POST", 4) = 4
epoll_pwait(5<anon_inode:[eventpoll]>, [], 1024, -1, NULL, 8) = 1
read(12<TCP:[127.0.0.1:7000->127.0.0.1:50000]>, "POST", 256000) = 4
write(13<TCP:[127.0.0.1:50002->127.0.0.1:8000]>, "POST", 4) = 4
read(14<TCP:[127.0.0.1:8000->127.0.0.1:50002]>, "POST", 256000) = 4
getpid() = 1
access("/benchmarks/request/7000/8000", F_OK) = -1 ENOENT (No such file or directory)
write(12<TCP:[127.0.0.1:7000->127.0.0.1:50000]>, "between", 7) = 7
access("/benchmarks/lone/7000/8000", F_OK) = -1 ENOENT (No such file or directory)
write(12<TCP:[127.0.0.1:7000->127.0.0.1:50000]>, "delta", 5) = 5
access("/benchmarks/lone/7000/8000", F_OK) = -1 ENOENT (No such file or directory)
"""


def test_only_calls_of_the_gateway_within_a_load_are_counted() -> None:
    assert count(_TRACE.splitlines()) == {
        "request": Counter(epoll_pwait=1, read=1, write=1, getpid=1),
        "lone": Counter(write=1),
    }


def test_a_number_of_lines_that_makes_no_sense_is_named() -> None:
    command = [sys.executable, "-m", "benchmarks.profile", "--lines", "0"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "argument --lines: [0] is not a number above 0" in ended.stderr
