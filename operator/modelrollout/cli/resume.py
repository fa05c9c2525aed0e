"""`resume`: go on."""

from modelrollout.cli.asking import asking

command = asking(
    "resume",
    help="""Go on after a hold, a missed deadline, or a change of the route by somebody else.

    After a missed deadline the step gets as much time again.
    """,
)
