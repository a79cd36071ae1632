"""The one way to record what happened: versions, accounts, collections, choices, mail events.

Imports, the stream and the pages all come through here. Each `record_…` takes an open
transaction, locks the accounts concerned in one order, writes what is new in set-based SQL, and
keeps the sets that accounts share (holdings, standings) in step. Nothing is planned or mailed
here: the planner follows the accounts that changed.
"""
