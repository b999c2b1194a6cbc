"""The tests mirror the rooms. Importing this package prepares the environment, before Django reads it."""

import atexit
import os
import shutil
import tempfile

_data = tempfile.mkdtemp(prefix="gateway-tests-")
atexit.register(shutil.rmtree, _data, ignore_errors=True)
# What the developer's own shell says about the gateway must not reach the tests.
for name in list(os.environ):
    if name.startswith("GATEWAY_") or name in ("DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY"):
        del os.environ[name]
os.environ["GATEWAY_DATA_DIR"] = _data
os.environ["GATEWAY_PRIVATE_HOSTS"] = "127.0.0.1"
os.environ["DJANGO_SETTINGS_MODULE"] = "inference_project.settings"
