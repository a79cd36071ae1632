"""Policies and people that a newcomer can run, and that the demo tells its story with."""
