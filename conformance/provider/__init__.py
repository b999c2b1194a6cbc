"""A provider that does one thing wrong at a time, by name: `python -m conformance.provider --port 9000`."""
