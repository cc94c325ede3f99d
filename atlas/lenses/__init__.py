"""What a network makes of one image: saliency, fooling, feature maps."""
