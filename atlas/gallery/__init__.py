"""Records become pages: drawing, sentences, JSON, one file a page in `pages`."""
