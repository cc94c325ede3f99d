"""A network runs up to a layer: taps, habits, shortcuts, redirected ReLU, device."""
