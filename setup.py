"""The packages of a wheel, which pyproject.toml can either find or map, not both."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["atlas", "atlas.*"]), "atlas.templates"],
    package_dir={"atlas.templates": "templates"},
)
