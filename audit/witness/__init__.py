"""A witness: signs the newest checkpoint of a log after it was shown that the log only grew.

A second organization, or a second machine, runs it: ``python -m audit.witness``. It speaks C2SP's tlog-witness
(https://c2sp.org/tlog-witness) and needs Python and ``cryptography``, no Django and no database.
"""
