"""The values that cross from one stage to the next: frozen, numpy and plain types only.

Words (see docs): a *layer* is a module path as torch prints it, a *channel* an index in dimension 1
of its output, a *unit* one channel of one layer. The *activation* of a unit on an image is the
spatial mean of its channel; *mean activation* is the mean of that over the sample images.
"""
