"""Pages and calls for operators."""
