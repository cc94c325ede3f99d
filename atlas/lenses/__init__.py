"""Results of all lenses on one image: saliency, fooling, feature maps."""
