"""Sample images: found, checked, decoded, cut, identified."""
