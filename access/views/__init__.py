"""The security API, `/_security/...`, by subject. Bodies and messages are Elasticsearch's."""
