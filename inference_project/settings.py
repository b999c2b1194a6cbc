"""Django's settings. Values that a deployment chooses come from `environment`, which names and checks them."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url

from inference_project import environment
from inference_project.appearance import UNFOLD as UNFOLD

ENVIRONMENT = environment.read()
BASE_DIR = environment.BASE_DIR
DATA_DIR = ENVIRONMENT.data_dir.resolve()

SECRET_KEY = ENVIRONMENT.secret_key.get_secret_value() or environment.kept_secret(DATA_DIR / "secret_key", "text")
SECRET_KEYS: tuple[str, ...] = tuple(key.get_secret_value() for key in ENVIRONMENT.secret_keys) or (
    environment.kept_secret(DATA_DIR / "encryption_key", "fernet"),
)
API_KEY_PEPPER = hmac.digest(SECRET_KEY.encode(), b"gateway api key", "sha256")

DEBUG = ENVIRONMENT.debug
DEFAULT_EXCEPTION_REPORTER_FILTER = "inference_project.exception_reports.Filter"
PUBLIC_URL = ENVIRONMENT.public_url
_HTTPS = PUBLIC_URL.startswith("https://")
_PUBLIC_HOST = urlsplit(PUBLIC_URL).hostname
ALLOWED_HOSTS = [
    *ENVIRONMENT.allowed_hosts,
    *([_PUBLIC_HOST] if _PUBLIC_HOST else []),
    *([] if ENVIRONMENT.allowed_hosts or _PUBLIC_HOST else ["localhost", "127.0.0.1", "[::1]"]),
]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
TRUSTED_PROXIES = ENVIRONMENT.trusted_proxies

INSTALLED_APPS = [
    # Its commands come before those of daphne, its templates before those of unfold, and those before Django's.
    "inference_project",
    "daphne",
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "channels",
    "access",
    "endpoints",
    "streaming",
]

MIDDLEWARE = [
    "wire.middleware.Elastic",
    "wire.middleware.BrowserSecurity",
    "wire.middleware.BrowserSession",
    "wire.middleware.BrowserCommon",
    "wire.middleware.BrowserCsrf",
    "wire.middleware.BrowserAuthentication",
    "wire.middleware.BrowserMessages",
    "wire.middleware.BrowserPolicy",
]

ROOT_URLCONF = "inference_project.urls"
ASGI_APPLICATION = "inference_project.asgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

_SQLITE: dict[str, Any] = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA_DIR / "gateway.sqlite3",
    # Readers never wait, and writers wait instead of failing.
    "OPTIONS": {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA cache_size=-16000;"
        "PRAGMA temp_store=MEMORY",
    },
}


def _database(url: str) -> dict[str, Any]:
    if not url:
        return _SQLITE
    config: dict[str, Any] = dict(dj_database_url.parse(url))
    if config["ENGINE"].endswith("sqlite3"):
        return {**_SQLITE, "NAME": config["NAME"]}
    # Not needed, and not imported, with SQLite.
    from access.database import ANSWER_SECONDS
    from access.postgresql import Connection

    # Under ASGI each request may run in a thread of its own: kept connections would pile up, a pool bounds them. Its
    # attempts to connect begin anew with each request; left to themselves they would pause for minutes.
    pool = {
        "min_size": 1,
        "max_size": 10,
        "timeout": ANSWER_SECONDS,
        "reconnect_timeout": ANSWER_SECONDS,
        "connection_class": Connection,
    }
    config["CONN_MAX_AGE"] = 0
    # Each connection is looked at before it is given out: after a failover all of them are dead.
    config["CONN_HEALTH_CHECKS"] = True
    config["OPTIONS"] = {**config.get("OPTIONS", {}), "pool": pool, "connect_timeout": 2}
    return config


DATABASES = {"default": _database(ENVIRONMENT.database_url.get_secret_value())}
REDIS_URL = ENVIRONMENT.redis_url.get_secret_value()
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "access.User"
AUTHENTICATION_BACKENDS = ["access.backends.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 6}}
]
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _HTTPS
SESSION_COOKIE_SAMESITE = "Lax"
# Only a trusted proxy can say that a page was asked for by https://; without one each page would redirect to itself.
SECURE_SSL_REDIRECT = _HTTPS and bool(TRUSTED_PROXIES)
SECURE_HSTS_SECONDS = 31_536_000 if _HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = _HTTPS
X_FRAME_OPTIONS = "DENY"
# Django looks for its own names in MIDDLEWARE; ours are the same classes, for pages only (see gateway.E004).
# Whether to redirect, gateway.W002 knows better.
SILENCED_SYSTEM_CHECKS = ["security.W001", "security.W002", "security.W003", "security.W008"]
LOGIN_URL = "admin:login"

STATIC_URL = "/static/"
STATIC_ROOT = Path(DATA_DIR / "static")
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = "inference_project.formats"

# The limit itself is enforced while the body is read; Django's own must not be lower.
MAX_BODY_BYTES = DATA_UPLOAD_MAX_MEMORY_SIZE = ENVIRONMENT.max_body_bytes

_ROOMS = ("access", "endpoints", "inference_project", "streaming", "usage", "wire")
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
    },
    "filters": {
        "mistakes": {"()": "django.utils.log.CallbackFilter", "callback": lambda record: record.exc_info is not None}
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
    },
    # DEBUG is for the rooms: at that level libraries write whole requests, prompts and credentials among them. Some
    # write addresses at INFO.
    "root": {"handlers": ["stderr"], "level": "INFO" if ENVIRONMENT.log_level == "DEBUG" else ENVIRONMENT.log_level},
    "loggers": {name: {"level": ENVIRONMENT.log_level} for name in _ROOMS}
    | {
        name: {"level": "WARNING"}
        for name in ("openai", "httpx2", "httpcore2", "aiohttp", "asyncio", "urllib3", "msal", "google")
    }
    | {
        # Django logs each 4xx as a warning and each 5xx as an error without its reason. The caller was told the
        # first, wire.responses logs the second; what is left are the tracebacks of mistakes.
        "django.request": {"level": "ERROR", "filters": ["mistakes"]},
        # A traceback for each wrong Host and each request with too many parameters; the caller was told already.
        "django.security": {"level": "CRITICAL"},
        # One line, with a reason that the page does not show: mostly a GATEWAY_PUBLIC_URL that is not the browser's.
        "django.security.csrf": {"level": "WARNING"},
    },
}
