"""Say which packages there are: those of services/, and three folders beside it."""

from __future__ import annotations

from setuptools import find_packages, setup

# Others read these folders too, so they lie at the top; installed, they belong to the program.
BESIDE = ("templates", "schemas", "examples")

setup(packages=[*find_packages("services"), *(f"reconsent.{folder}" for folder in BESIDE)])
