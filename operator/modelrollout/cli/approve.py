"""`approve`: one person's consent to a stage."""

from datetime import timedelta

import click

from modelrollout.cli.asking import Asked, asking_options, message_of, send
from modelrollout.cli.session import Session, run, with_kubectl

_PATCH = '{"status":{"control":{"approve":[{"requestedBy":"YOUR-USER-NAME","reason":"WHY"}]}}}'


@click.command(
    epilog=with_kubectl(
        f"kubectl patch mr NAME --subresource=status --type=merge -p '{_PATCH}'",
        "(which takes the place of approvals that the operator has not taken out yet)",
    )
)
@click.option("--stage", help="The stage; the next one that lacks an approval when left out.")
@click.option("--group", "groups", multiple=True, help="A group that you are in, of those that the stage asks for.")
@click.option("--independent", is_flag=True, help="Your word that you did not edit spec last.")
@asking_options
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    *,
    name: str,
    reason: str | None,
    wait: bool,
    timeout: timedelta,
    output: str,
    stage: str | None,
    groups: tuple[str, ...],
    independent: bool,
) -> None:
    """Approve a stage of this candidate under this plan, in your own name.

    When the candidate or the plan changes it is void. Approvals of several people are put beside each other.
    """
    message = {
        **message_of(reason),
        **({"stage": stage} if stage else {}),
        **({"groups": list(groups)} if groups else {}),
        **({"independent": True} if independent else {}),
    }
    asked = Asked("approve", message, is_one_of_many=True)
    run(send(session, name, asked, wait=timeout if wait else None, output=output))
