"""The site's data files: a record for each, beside what fills it."""
