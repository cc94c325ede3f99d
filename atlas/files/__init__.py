"""Files: atomic writes, safe names, locks, digests."""
