"""The OpenAPI 3.1 document of the whole HTTP API: `GET /_inference/openapi.json`.

What views, services and privileges declare is read from them; the rest is data, by subject, in the modules here.
"""
