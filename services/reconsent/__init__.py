"""Ask people before their data is used in a new way, and prove what they said."""
