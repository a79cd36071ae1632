"""API for programs that are about to use data."""
