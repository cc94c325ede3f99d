"""Workers that render blocks of units: this process, or those of a Ray cluster."""
