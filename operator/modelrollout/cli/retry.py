"""`retry`: try a candidate again that was rolled back."""

from modelrollout.cli.asking import asking

command = asking(
    "retry",
    help="""Try the candidate again that was rolled back, from the plan's first step.

    Without it a candidate that was rolled back is not tried again until its version, artifact or Service changes. The
    message waits in the inbox until the attempt can begin.
    """,
)
