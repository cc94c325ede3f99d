"""An atlas from Python: keywords, a network in memory, the result."""
