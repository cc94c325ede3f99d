"""What the activation of a unit hangs on, pixels and units, and what it does itself."""
