"""A naive second implementation of RULES.md: one account at a time, from raw events, no caches.

uses.py        what versions declare and decisions cover, as plain values   (rules 2 to 6, 10)
register.py    everything recorded, and the facts derived for one account   (7, 17, 18, 27, 28)
permission.py  permission checks, and the ledger as printed                 (18, 20 to 26)
addresses.py, mailboxes.py  spellings of addresses; marks, unsubscribes     (15)
notices.py     stored notices: superseded, closed, open, suppressed         (9, 10, 12, 15)
undelivered.py which questions that did not arrive are asked again          (12 to 15)
answering.py   the page behind a link, and what is posted from it           (8, 17)
rules.py       World: planning, mailing, asking; expiry                     (8 to 16)
steps.py       steps as values; the Player takes them on the model
policies.py, story.py, worlds.py  random worlds as lists of steps, for the model and a real system
independent.py one random world for each seed
cases.py       tests/cases/rules.yaml as lists of steps, with expected results

Nothing here shares code with the program, so that both cannot share a fault.
"""

from __future__ import annotations
