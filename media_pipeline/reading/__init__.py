"""Reading: what the bytes of one file say about it, without decoding a pixel."""
