"""Everything that talks to the outside: the database, the buses, the mail providers."""
