"""CNN atlas: rank, render, score and show the units of a convolutional network.

Start reading at `atlas.pipeline.build`, the table of contents of the whole package.
"""

__version__ = "0.1.0"
