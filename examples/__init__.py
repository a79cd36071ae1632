"""Example policies and people, which the demo uses too."""
