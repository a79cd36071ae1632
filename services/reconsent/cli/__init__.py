"""The commands, each in the file named after it or its group.

`main` combines them and turns errors into one line and an exit code. A command gets the program
from `with_program`; a `_report` module formats its output for people.
"""
