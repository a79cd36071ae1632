"""Starts commands of the program quickly: one process has imported it and forks one for each.

A command that is forked is a process like any other, with an environment, a working directory and
standard streams of its own; only the second that Python needs to import everything is saved.
"""
