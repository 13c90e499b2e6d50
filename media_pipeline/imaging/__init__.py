"""Decoding in a sandbox, and everything that is measured on pixels; no models, no tables."""
