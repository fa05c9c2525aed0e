"""`rollback`: back to the baseline, at once."""

from modelrollout.cli.asking import asking

command = asking(
    "rollback",
    help="""Give the baseline all traffic back, at once.

    Works in every phase, with the metrics down too, and after a promotion for as long as the earlier version is kept
    (spec.rollback.retainBaseline). With --wait it ends when the traffic is back.
    """,
    is_done_when_answered=False,
)
