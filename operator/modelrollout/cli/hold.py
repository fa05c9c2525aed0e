"""`hold`: stay where it is."""

from modelrollout.cli.asking import asking

command = asking(
    "hold",
    help="""Keep the present shares until somebody says resume.

    Gates go on guarding: a failure still rolls back.
    """,
)
