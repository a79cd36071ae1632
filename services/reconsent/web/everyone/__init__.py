"""Public pages of the policies."""
