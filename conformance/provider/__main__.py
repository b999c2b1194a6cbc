"""Run the provider alone: `python -m conformance.provider --port 9000`, or `--list` for its faults."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress

from conformance.provider.catalog import FAULTS
from conformance.provider.http import Connection
from conformance.provider.playing import Player


async def serve(host: str, port: int) -> None:
    """Serve until cancelled; print the address first."""
    player = Player()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(player.answer), host, port, backlog=1024)
    print(f"http://{host}:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m conformance.provider", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="print the faults and leave")
    arguments = parser.parse_args()
    if arguments.list:
        for fault in FAULTS.values():
            print(f"{fault.family:14} {fault.name:34} {fault.does}")
        return
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
