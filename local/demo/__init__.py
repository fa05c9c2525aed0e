"""`make demo`: a good model is promoted, a bad one is caught, and an on-call edit brings traffic back.

The one part of `local` that knows the operator: it installs it by its chart and watches it from the outside, as its
users do.
"""
