"""Settings from the environment: a wrong one stops the start and is named, and its value is not shown."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from inference_project import environment
from tests.gateway import ROOT

WRONG = {
    "GATEWAY_PORT": "70000",
    "GATEWAY_WORKERS": "many",
    "GATEWAY_DEBUG": "perhaps",
    "GATEWAY_LOG_LEVEL": "LOUD",
    "GATEWAY_PUBLIC_URL": "gateway.example.org",
    "GATEWAY_TRUSTED_PROXIES": "10.0.0.0/8,nonsense",
    "GATEWAY_SECRET_KEY": "short-and-secret",
    "GATEWAY_SECRET_KEYS": "not-a-key-and-secret",
    "GATEWAY_PRIVATE_HOSTS": "10.0.0.0/99",
    "DATABASE_URL": "mysql://user:secret@127.0.0.1/gateway",
    "REDIS_URL": "http://127.0.0.1",
    "GATEWAY_ALLOWED_HOSTS": "https://gateway.example.org",
    "GATEWAY_SERVICE_URLS": "googleaistudio=nowhere",
    "GATEWAY_CA_BUNDLE": "/does/not/exist",
    "GATEWAY_MAX_BODY_BYTES": "-1",
    "GATEWAY_CONNECT_SECONDS": "0",
    "GATEWAY_IDLE_SECONDS": "-5",
    "GATEWAY_TOTAL_SECONDS": "forever",
    "GATEWAY_WRITE_SECONDS": "0",
    "GATEWAY_DRAIN_SECONDS": "-1",
    "GATEWAY_MAX_STALE_SECONDS": "nan",
    "GATEWAY_SKIP_VALIDATION": "2",
    "GATEWAY_STREAM_BOM": "x",
}
MORE_WRONG = [
    ("DATABASE_URL", "foo"),
    ("DATABASE_URL", "postgres://user:canary@127.0.0.1:notaport/gateway"),
    ("DATABASE_URL", "postgres://user:canary@127.0.0.1"),
    ("DATABASE_URL", "sqlite://"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "sqlite://var/gateway.sqlite3"),
    ("REDIS_URL", "redis://localhost:abc"),
    ("REDIS_URL", "redis://localhost?unknown=1"),
    ("GATEWAY_PUBLIC_URL", "https://gateway.example.org:abc"),
    ("GATEWAY_PUBLIC_URL", "https://gateway.example.org:99999"),
    ("GATEWAY_PUBLIC_URL", "https://gateway.example.org?x"),
    ("GATEWAY_PUBLIC_URL", "https://user:canary@gateway.example.org"),
    ("GATEWAY_PUBLIC_URL", "https://gateway.example.org/path"),
    ("GATEWAY_ALLOWED_HOSTS", "gateway.example.org:8000"),
    ("GATEWAY_CA_BUNDLE", __file__),
    ("GATEWAY_DATA_DIR", __file__),
    ("GATEWAY_DATA_DIR", f"{__file__}/below"),
]
RIGHT = [
    ("DATABASE_URL", "postgres://user:canary@127.0.0.1:5432/gateway?sslmode=require"),
    ("DATABASE_URL", "postgresql:///gateway?host=/run/postgresql"),
    ("DATABASE_URL", "sqlite:////tmp/gateway.sqlite3"),
    ("REDIS_URL", "rediss://user:canary@redis.example.org:6379/1"),
    ("REDIS_URL", "unix:///run/redis.sock?db=1"),
    ("GATEWAY_PUBLIC_URL", "https://gateway.example.org"),
    ("GATEWAY_PUBLIC_URL", "http://[::1]:8000/"),
    ("GATEWAY_ALLOWED_HOSTS", "gateway.example.org, .example.net,10.0.0.1,[::1],*"),
]


def start(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    # A check that needs no database, so that nothing but the settings can fail.
    command = [sys.executable, "manage.py", "check"]
    variables = {"PATH": os.environ["PATH"], "GATEWAY_DATA_DIR": str(tmp_path)} | variables
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_all_wrong_settings_are_named_at_once_without_their_values(tmp_path: Path) -> None:
    finished = start(tmp_path, **WRONG)
    assert finished.returncode == 1
    missing = [name for name in WRONG if f"  {name}: " not in finished.stderr]
    assert missing == []
    assert "secret" not in finished.stderr.replace("SECRET", "").replace("Secret", "")
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(("variable", "value"), MORE_WRONG)
def test_a_wrong_value_is_named_and_no_password_shown(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SystemExit) as left:
        environment.read()
    said = str(left.value)
    assert f"  {variable}: " in said
    assert "canary" not in said


@pytest.mark.parametrize(("variable", "value"), RIGHT)
def test_a_right_value_is_taken(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    environment.read()


def test_a_public_url_is_kept_as_browsers_send_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PUBLIC_URL", "HTTPS://Gateway.example.org/")
    assert environment.read().public_url == "https://gateway.example.org"


def test_a_data_directory_is_made_for_the_owners_eyes_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GATEWAY_DATA_DIR", str(tmp_path / "new" / "data"))
    assert stat.S_IMODE(environment.read().data_dir.stat().st_mode) == 0o700


def test_empty_settings_count_as_absent(tmp_path: Path) -> None:
    assert start(tmp_path, **dict.fromkeys(WRONG, "")).returncode == 0


def test_generated_secrets_are_for_the_owners_eyes_only_and_stay(tmp_path: Path) -> None:
    first = environment.kept_secret(tmp_path / "keys" / "key", "fernet")
    assert Fernet(first)
    assert environment.kept_secret(tmp_path / "keys" / "key", "fernet") == first
    assert stat.S_IMODE((tmp_path / "keys" / "key").stat().st_mode) == 0o600
    assert os.listdir(tmp_path / "keys") == ["key"]


def test_production_settings_pass_the_deployment_checks(tmp_path: Path) -> None:
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    variables = {
        "PATH": os.environ["PATH"],
        "GATEWAY_DATA_DIR": str(tmp_path),
        "GATEWAY_PUBLIC_URL": "https://gateway.example.org",
        "GATEWAY_TRUSTED_PROXIES": "10.0.0.0/8",
        "GATEWAY_SECRET_KEY": "k" * 25 + "0123456789abcdefghijklmnopqrstuvw",
        "GATEWAY_SECRET_KEYS": Fernet.generate_key().decode(),
    }
    finished = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("variable", sorted(environment.names().values()))
def test_every_setting_stands_in_the_readme(variable: str) -> None:
    assert f"`{variable}`" in (ROOT / "README.md").read_text()
