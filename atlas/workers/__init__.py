"""Who renders which block: this process, or those of a Ray cluster."""
