"""Whether a candidate's prefix cache has filled enough for its speed to be compared with the baseline's."""

from modelrollout.api.fields import render_share

NEAR = 0.8
"""Share of the baseline's hit rate from which on the candidate's counts as near. What a cold cache costs is of the
order of what it does not hit, so a fifth less is within what latency gates allow."""
SMALL = 0.05
"""Hit rates that lie no further apart than this cannot explain a difference in speed."""


def cold_cache(candidate: float, baseline: float) -> str | None:
    """Return a sentence while the candidate's prefix cache hits far less than the baseline's; both are fractions."""
    if candidate >= baseline * NEAR or baseline - candidate <= SMALL:
        return None
    return (
        f"the candidate's prefix cache hits {render_share(round(candidate, 4))} of what it is asked, the baseline's"
        f" {render_share(round(baseline, 4))}: its speed is judged from {render_share(round(baseline * NEAR, 4))} on. The"
        " cache fills with traffic; if it does not, give the candidate more, or look at how requests are routed to pods"
    )
