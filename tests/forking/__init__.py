"""Start commands of the program quickly: one process imports it and forks for each command.

A forked command is a full process with a separate environment, working directory and standard
streams. Only the import of the program, about a second, is saved.
"""
