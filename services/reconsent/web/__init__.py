"""Pages and API over HTTP, one room for each audience.

`people` is for the person who opened a mail, `everyone` has the policies, `programs` the calls for
those about to use data, `operators` health, metrics and the mailbox on this machine, `hooks` the
calls from mail providers. `app` puts their routers together; the rooms do not know each other.
"""
