"""A server that looks like another one, timed and byte-exact: ``python -m`` this package.

Its process imports the standard library and h11, nothing else, so that it is up in a fraction of
a second and spends its time on streams. It is told what to be, and asked what it did, through
standard input and output (`control`); HTTP is only for clients.
"""
