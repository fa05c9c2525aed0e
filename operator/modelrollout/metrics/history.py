"""How evenly a version's bad requests came, minute by minute, in the hour before a stage."""

from datetime import timedelta

from modelrollout.core.evidence import Minutes, NoData, Unknown
from modelrollout.metrics import queries
from modelrollout.metrics.counting import Ask, Counting, Look

SPAN = timedelta(minutes=65)
"""An hour, and five minutes for scrapes that failed."""


async def minutes_of(look: Look, counting: Counting) -> Minutes | NoData:
    """Return the sums over the minutes that end at the look's, or why there are none: five numbers, one request."""
    total, bad = counting.each_minute()
    found = await look.numbers([
        Ask(queries.over_minutes("count", total, SPAN), "minutes of the baseline"),
        Ask(queries.over_minutes("count", queries.positive(total), SPAN), "minutes with requests of the baseline"),
        Ask(queries.over_minutes("sum", total, SPAN), "requests of the baseline"),
        Ask(queries.over_minutes("sum", bad, SPAN), "bad requests of the baseline"),
        Ask(queries.over_minutes("sum", queries.square_share(bad, total), SPAN), "their spread"),
    ])  # fmt: skip
    numbers = []
    for number in found:
        if isinstance(number, NoData):
            return number
        if not 0 <= number <= 1e30:
            return NoData(Unknown.MALFORMED, f"source {look.name} gives {number:g} for a count of the baseline")
        numbers.append(number)
    minutes, busy, requests, failed, squares = numbers
    return Minutes(round(minutes), round(busy), requests, failed, squares)
