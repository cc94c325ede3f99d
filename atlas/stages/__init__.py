"""The stages of a run: each takes what the cache holds and adds what is missing."""
