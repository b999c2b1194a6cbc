"""`benchmarks.counts` over a gateway that does so many turns of an empty loop more for each request.

python -m tests.benchmarks.dearer <turns> --meter bytecodes --budget <file>
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn

from benchmarks import counts, in_process


def spend(turns: int) -> None:
    for _ in range(turns):
        pass


def _main() -> None:
    turns = int(sys.argv.pop(1))
    serve = in_process.serve

    async def application(scope: Any, receive: Any, send: Any) -> None:
        from inference_project.asgi import application as gateway

        if scope["type"] == "http":
            spend(turns)
        await gateway(scope, receive, send)

    def serve_dearer() -> tuple[uvicorn.Config, str]:
        config, key = serve()
        config.app = application
        return config, key

    in_process.serve = serve_dearer
    counts.main()


if __name__ == "__main__":
    _main()
