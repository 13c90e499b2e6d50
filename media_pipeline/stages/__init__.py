"""The stages: one file, one asset, one table."""
