"""The facts: the only way to record what happened, and to read what follows from it."""
