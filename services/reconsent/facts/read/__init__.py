"""Reading the facts, and deriving what follows from them."""
