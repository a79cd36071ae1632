"""Planning: what each account is told of the latest version of its policy. RULES 9 to 15.

`releases` takes a version through all accounts, a range at a time. Most have no notice of it yet:
`first` plans those by one statement. All others, and accounts that changed later, go through
`steps`. `audience` counts what a draft would do.
"""
