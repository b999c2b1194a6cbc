"""Two first starts at once, as an orchestrator makes them: both come up, and one of them made what there is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.gateway import Gateway


def started_at_once(data_dirs: list[Path], **environment: str) -> list[str]:
    """Start a gateway on each of `data_dirs`; return the password that each printed, if it did."""

    def start(data_dir: Path) -> str:
        with Gateway.started(data_dir, **environment) as gateway:
            assert gateway.call("GET", "/readyz", key="").status == 200
            assert "curl -N" in gateway.printed
            return gateway.password

    with ThreadPoolExecutor(len(data_dirs)) as pool:
        return list(pool.map(start, data_dirs))


def test_two_starts_on_one_data_directory_make_one_admin(tmp_path: Path) -> None:
    passwords = started_at_once([tmp_path, tmp_path])
    assert sorted(map(bool, passwords)) == [False, True]


def test_two_starts_on_one_postgresql_make_one_admin(tmp_path: Path, postgresql: str) -> None:
    passwords = started_at_once([tmp_path / "one", tmp_path / "other"], DATABASE_URL=postgresql)
    assert sorted(map(bool, passwords)) == [False, True]
