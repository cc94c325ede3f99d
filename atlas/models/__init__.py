"""A name becomes a network with weights, and the table of its layers."""
