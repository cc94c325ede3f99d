"""Activations become statistics, rankings, classes and matches."""
