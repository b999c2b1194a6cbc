"""Does a gateway for language models keep its promises when the provider behind it does not keep any?

    python -m conformance --base-url http://127.0.0.1:8000 --api-key … --dialect elasticsearch

Nothing here knows our gateway: any other one that speaks Elasticsearch's or OpenAI's API is judged by the same words.
"""
