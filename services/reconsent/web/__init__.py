"""Pages and API over HTTP, one package for each audience.

`people` has the pages for the recipient of a mail, `everyone` the policies, `programs` the API for
programs that are about to use data, `operators` health, metrics and the local mailbox, `hooks` the
webhooks of mail providers. `app` combines their routers; the packages do not import each other.
"""
