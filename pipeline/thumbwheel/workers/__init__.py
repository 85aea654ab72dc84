"""Several processes that learn as one: `port` says what they do together, `alone` and `gloo` are those who do it.

A new way to add up over processes is a file beside `gloo`, and passes the same tests.
"""
