"""Pages and API over HTTP, one file per audience.

`choose` is for the person who opened a mail, `policies` for everyone, `api` for programs that are
about to use data, `health` for operators, `mailbox` for whoever tries reconsent on one machine.
"""
