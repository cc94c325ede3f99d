"""Units become pictures: recipes, parameterizations, the ascent, attempts, scores."""
