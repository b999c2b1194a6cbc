"""The faults, one file for each family. A family is added to `conformance.provider.catalog`."""
