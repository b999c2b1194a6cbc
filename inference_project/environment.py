"""Every setting of the gateway, read from the environment in this one place; a wrong one stops the start by name."""

from __future__ import annotations

import base64
import binascii
import os
import re
import secrets
import ssl
import sys
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import dj_database_url
import redis
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from endpoints.providers import _service_urls
from endpoints.providers._http import PrivateHosts

BASE_DIR = Path(__file__).resolve().parent.parent
Network = IPv4Network | IPv6Network
Words = Annotated[tuple[str, ...], NoDecode]

_HOST = r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*"
_IPV6 = r"\[[0-9a-f:.]+\]"
_ORIGIN = re.compile(rf"https?://(?:{_HOST}|{_IPV6})(?::[0-9]+)?/?")
_TOKEN = re.compile(r"[!-~]{16,}")
_ALLOWED_HOST = re.compile(rf"\*|\.?{_HOST}|{_IPV6}", re.IGNORECASE)


class Environment(BaseSettings):
    """The names are `GATEWAY_` and the field in capitals, unless a field gives its own."""

    model_config = SettingsConfigDict(
        env_prefix="GATEWAY_", env_ignore_empty=True, extra="ignore", arbitrary_types_allowed=True
    )

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    workers: int = Field(1, ge=1, le=64)
    data_dir: Path = BASE_DIR / "var"
    database_url: SecretStr = Field(SecretStr(""), validation_alias="DATABASE_URL")
    redis_url: SecretStr = Field(SecretStr(""), validation_alias="REDIS_URL")
    admin_password: SecretStr = SecretStr("")
    openai_api_key: SecretStr = Field(SecretStr(""), validation_alias="OPENAI_API_KEY")

    public_url: str = ""
    allowed_hosts: Words = ()
    trusted_proxies: Annotated[tuple[Network, ...], NoDecode] = ()
    debug: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    secret_key: SecretStr = SecretStr("")
    secret_keys: Annotated[tuple[SecretStr, ...], NoDecode] = ()

    skip_validation: bool = False
    stream_bom: bool = False
    private_hosts: Annotated[PrivateHosts, NoDecode] = PrivateHosts.parse("")
    service_urls: Annotated[Mapping[str, str], NoDecode] = Field(default_factory=dict)
    ca_bundle: Path | None = None
    outbound_proxy: SecretStr = SecretStr("")
    metrics_token: SecretStr = SecretStr("")
    max_body_bytes: int = Field(10 * 2**20, ge=1024, le=2**30)

    max_streams: int = Field(10_000, ge=1)
    max_streams_per_caller: int = Field(2_000, ge=1)
    max_waiting: int = Field(1_000, ge=0)

    connect_seconds: float = Field(5.0, gt=0, le=300)
    first_delta_seconds: float = Field(120.0, gt=0, le=86_400)
    idle_seconds: float = Field(60.0, gt=0, le=86_400)
    stall_seconds: float = Field(120.0, gt=0, le=86_400)
    total_seconds: float = Field(600.0, gt=0, le=86_400)
    write_seconds: float = Field(30.0, gt=0, le=86_400)
    heartbeat_seconds: float = Field(15.0, ge=0, le=86_400)
    early_heartbeat: bool = False
    drain_seconds: float = Field(30.0, ge=0, le=86_400)
    shutdown_delay_seconds: float = Field(0.0, ge=0, le=86_400)
    max_stale_seconds: float = Field(30.0, gt=0, le=86_400)

    @field_validator("data_dir")
    @classmethod
    def _data_dir(cls, value: Path) -> Path:
        """Make the directory, for the owner's eyes only; one that is there keeps its mode."""
        try:
            value.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError:
            raise ValueError("is not a directory") from None
        except OSError as error:
            raise ValueError(f"cannot be made: {error.strerror}") from None
        if not os.access(value, os.R_OK | os.W_OK | os.X_OK):
            raise ValueError("cannot be written to by this user")
        return value

    @field_validator("database_url")
    @classmethod
    def _database_url(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not _is_database(value.get_secret_value()):
            raise ValueError("must be postgres://user:password@host:port/name or sqlite:////path/of/the/file")
        return value

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _allowed_hosts(cls, value: object) -> tuple[str, ...]:
        hosts = _split(value)
        for number, host in enumerate(hosts, 1):
            if not _ALLOWED_HOST.fullmatch(host):
                raise ValueError(f"host {number} must be a name without scheme and port, .domain, [IPv6] or *")
        return hosts

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> tuple[Network, ...]:
        return tuple(ip_network(word) for word in _split(value))

    @field_validator("secret_keys", mode="before")
    @classmethod
    def _keys(cls, value: object) -> tuple[SecretStr, ...]:
        keys = _split(value)
        for number, key in enumerate(keys, 1):
            if not _is_fernet_key(key):
                raise ValueError(f"key {number} is not 32 bytes in URL-safe base64")
        return tuple(SecretStr(key) for key in keys)

    @field_validator("private_hosts", mode="before")
    @classmethod
    def _private_hosts(cls, value: object) -> object:
        return PrivateHosts.parse(value) if isinstance(value, str) else value

    @field_validator("service_urls", mode="before")
    @classmethod
    def _service_urls(cls, value: object) -> object:
        return _service_urls.parse(value) if isinstance(value, str) else value

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        # Browsers send the origin in small letters.
        origin = value.lower()
        if origin and not _is_origin(origin):
            raise ValueError("must be http(s)://host[:port] and nothing behind it")
        return origin.rstrip("/")

    @field_validator("redis_url")
    @classmethod
    def _redis_url(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not _is_redis(value.get_secret_value()):
            raise ValueError("must be redis[s]://user:password@host:port/number or unix:///path")
        return value

    @field_validator("outbound_proxy")
    @classmethod
    def _outbound_proxy(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not _is_proxy(value.get_secret_value()):
            raise ValueError("must be http://user:password@host:port, user and password only where they are needed")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _metrics_token(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not _TOKEN.fullmatch(value.get_secret_value()):
            raise ValueError("must have 16 characters or more, all of them visible ASCII")
        return value

    @field_validator("secret_key")
    @classmethod
    def _secret_key(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and len(value.get_secret_value()) < 50:
            raise ValueError("must have 50 characters or more")
        return value

    @field_validator("ca_bundle")
    @classmethod
    def _ca_bundle(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=value)
        except ssl.SSLError:
            raise ValueError("is not a PEM file of certificates") from None
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from None
        return value


def read() -> Environment:
    """Return the environment, or leave with a message that names every wrong setting and none of their values."""
    try:
        return Environment()
    except ValidationError as error:
        problems = [f"  {_name(problem['loc'])}: {problem['msg']}" for problem in error.errors(include_input=False)]
        sys.exit("Wrong settings in the environment:\n" + "\n".join(problems))


def names() -> dict[str, str]:
    """Return the environment variable of each field."""
    fields = Environment.model_fields
    return {field: str(info.validation_alias or f"GATEWAY_{field.upper()}") for field, info in fields.items()}


def kept_secret(path: Path, make: str) -> str:
    """Return the generated secret in `path`; on the first start it is made, for the owner's eyes only.

    `make` is `text` or `fernet`. Two processes that start at once end with the same secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() if make == "fernet" else secrets.token_hex(32)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret)
        # A link appears whole or not at all, and never replaces what another process made first.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink(missing_ok=True)
    return path.read_text().strip()


def _name(location: tuple[int | str, ...]) -> str:
    field = str(location[0]) if location else ""
    return names().get(field, field)


def _split(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return tuple(value) if isinstance(value, (list, tuple)) else ()


def _is_origin(text: str) -> bool:
    try:
        port = urlsplit(text).port
    except ValueError:
        return False
    return port != 0 and _ORIGIN.fullmatch(text) is not None


def _is_database(url: str) -> bool:
    try:
        config = dj_database_url.parse(url)
    except ValueError:
        return False
    engine, name = config["ENGINE"], config["NAME"]
    if engine == "django.db.backends.sqlite3":
        # A database in memory would be another one for each thread; a host is a path with too few slashes.
        return ":memory:" not in name and not config.get("HOST")
    return engine == "django.db.backends.postgresql" and bool(name)


def _is_redis(url: str) -> bool:
    try:
        # The connection is not opened; it refuses options that it does not know.
        redis.Redis.from_url(url).connection_pool.make_connection()
    except (ValueError, TypeError, redis.RedisError):
        return False
    return True


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "http" and bool(parts.hostname) and bool(parts.port) and parts.path in ("", "/")
    except ValueError:
        return False


def _is_fernet_key(key: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(key)) == 32
    except (ValueError, binascii.Error):
        return False
