"""What follows from the facts, read and derived."""
