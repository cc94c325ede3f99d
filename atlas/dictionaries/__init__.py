"""Dictionaries: directions of a layer's activations, found, read from a file, and measured."""
