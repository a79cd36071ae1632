"""Pages for the person who opened a mail."""
