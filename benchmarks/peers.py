"""Other gateways, as they are installed, with one worker, without telemetry, with the log level of production.

They pass OpenAI's stream on as it is; with a key where they have keys of their own.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.environments import npm, npm_version, program, python, python_version
from benchmarks.processes import Program, started
from benchmarks.targets import OpenAITarget, Target
from tests.gateway import free_port

_PROVIDER_KEY = "benchmark-key"
_NGINX = """\
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {directory}/pid;
error_log stderr error;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
    uwsgi_temp_path {directory}; scgi_temp_path {directory};
    keepalive_requests 1000000;
    upstream provider {{ server 127.0.0.1:{provider}; keepalive 256; keepalive_requests 1000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://provider;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
# The newest that Portkey's gateway answers with; those after it break its answers ("TypeError: immutable").
_HONO_NODE_SERVER = {"@hono/node-server": "1.13.8"}
# It would listen at all addresses of the machine.
_LOOPBACK_ONLY = """\
const net = require('net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const callback = rest.find((one) => typeof one === 'function');
  return listen.call(this, { port: port.port ?? port, host: '127.0.0.1' }, callback);
};
"""


def nginx_version() -> str:
    shown = subprocess.run([program("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    return shown.strip().rpartition("/")[2]


@contextmanager
def nginx(provider: Program, open_files: int) -> Iterator[Target]:
    """A proxy of bytes, without buffering."""
    port = free_port()
    with _directory() as directory:
        # Its worker is another user, if it is started as root.
        directory.chmod(0o755)
        config = _NGINX.format(directory=directory, provider=provider.port, port=port, files=open_files)
        (directory / "nginx.conf").write_text(config)
        command = [program("nginx"), "-p", str(directory), "-c", str(directory / "nginx.conf"), "-e", "stderr"]
        with started(command, port, directory, {}) as running:
            yield OpenAITarget(running)


def litellm_version() -> str:
    return python_version(_litellm_environment(), "litellm")


@contextmanager
def litellm(provider: Program, open_files: int) -> Iterator[Target]:
    """LiteLLM's proxy with a master key, without a database."""
    port, key = free_port(), f"sk-{secrets.token_hex(16)}"
    model = {"model": "openai/gpt-5", "api_base": f"http://127.0.0.1:{provider.port}/v1", "api_key": _PROVIDER_KEY}
    config = {
        "model_list": [{"model_name": "gpt-5", "litellm_params": model}],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": key},
    }
    with _directory() as directory:
        # JSON is YAML.
        (directory / "config.yaml").write_text(json.dumps(config))
        variables = {
            "HOME": str(directory),
            "LITELLM_LOG": "ERROR",
            # Without, it fetches a list of prices from the network.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            # It would open no more than 500 at once.
            "AIOHTTP_CONNECTOR_LIMIT": str(open_files),
            "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": str(open_files),
        }
        command = [str(_litellm_environment() / "bin" / "litellm"), "--config", "config.yaml"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        with started(command, port, directory, variables) as running:
            yield OpenAITarget(running, headers=f"Authorization: Bearer {key}\r\n")


def portkey_version() -> str:
    return npm_version(_portkey_package())


@contextmanager
def portkey(provider: Program, open_files: int) -> Iterator[Target]:
    """Portkey's gateway; the key is the provider's, it has none of its own."""
    port = free_port()
    package = _portkey_package()
    with _directory() as directory:
        (directory / "loopback.cjs").write_text(_LOOPBACK_ONLY)
        command = [program("node"), "--require", "./loopback.cjs", str(package / "build" / "start-server.js")]
        command += [f"--port={port}", "--headless"]
        headers = (
            f"Authorization: Bearer {_PROVIDER_KEY}\r\nx-portkey-provider: openai\r\n"
            f"x-portkey-custom-host: http://127.0.0.1:{provider.port}/v1\r\n"
        )
        with started(command, port, directory, {"NODE_ENV": "production"}) as running:
            yield OpenAITarget(running, headers=headers)


def openai_forward_version() -> str:
    return python_version(_forward_environment(), "openai-forward")


@contextmanager
def openai_forward(provider: Program, open_files: int) -> Iterator[Target]:
    """openai-forward with a key of its own, which it exchanges for the provider's."""
    port, key = free_port(), f"fk-{secrets.token_hex(16)}"
    forward = {"base_url": f"http://127.0.0.1:{provider.port}", "route": "/", "type": "openai"}
    variables = {
        "FORWARD_CONFIG": json.dumps([forward]),
        "OPENAI_API_KEY_CONFIG": json.dumps({_PROVIDER_KEY: [0]}),
        "FORWARD_KEY_CONFIG": json.dumps({key: 0}),
    }
    # What its own command runs, which would listen at all addresses of the machine.
    command = [str(_forward_environment() / "bin" / "python"), "-m", "uvicorn"]
    command += ["openai_forward.app:app", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with _directory() as directory, started(command, port, directory, variables) as running:
        yield OpenAITarget(running, headers=f"Authorization: Bearer {key}\r\n")


def _litellm_environment() -> Path:
    return python("litellm", "litellm[proxy]")


def _portkey_package() -> Path:
    return npm("portkey", "@portkey-ai/gateway", _HONO_NODE_SERVER)


def _forward_environment() -> Path:
    # It imports a second package that it does not ask for.
    return python("openai-forward", "openai-forward", "pyyaml")


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        yield Path(name)
