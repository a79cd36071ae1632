"""The commands: each in the file of its name, or of its group's.

`main` puts them together and turns errors into one line and an exit code. A command gets at the
program by `with_program`; a `_report` writes what one prints for people.
"""
