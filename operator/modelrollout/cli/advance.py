"""`advance`: do not wait any longer in this step."""

from datetime import timedelta

import click

from modelrollout.cli.asking import Asked, asking_options, message_of, send
from modelrollout.cli.session import Session, run, with_kubectl

_PATCH = '{"status":{"control":{"advance":{"reason":"WHY"}}}}'


@click.command(epilog=with_kubectl(f"kubectl patch mr NAME --subresource=status --type=merge -p '{_PATCH}'"))
@click.option(
    "--override-gates",
    is_flag=True,
    help="Also go past gates that do not know, or only hold; needs --reason, which is kept.",
)
@asking_options
def command(
    session: Session,
    *,
    name: str,
    reason: str | None,
    wait: bool,
    timeout: timedelta,
    output: str,
    override_gates: bool,
) -> None:
    """End the minimum duration of the present step: it goes on as soon as all gates pass.

    It never skips a gate that fails, nor one that does not know unless --override-gates says so.
    """
    if override_gates and not (reason and reason.strip()):
        raise click.UsageError("--override-gates goes on without the gates' evidence: give --reason, it is kept")
    message = {**message_of(reason), **({"overrideGates": True} if override_gates else {})}
    run(send(session, name, Asked("advance", message), wait=timeout if wait else None, output=output))
