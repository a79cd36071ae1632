"""What happened and what follows from it: the one way in, and the one way out."""
