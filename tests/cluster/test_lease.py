"""Who may decide: what one process does next, and that no two ever may, whatever becomes of messages and clocks."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from modelrollout.cluster.lease import NOBODY, Create, Lease, Look, Standing, Terms, Wait, Write, parse_lease

TERMS = Terms(3.0)
OTHERS = Lease("other", 3.0, "7", 4)
MINE = Lease("me", 3.0, "8", 5)
NEW = Lease("nobody yet", 3.0, "1", 0)
RELEASED = Lease("", 3.0, "9", 5)


def fresh() -> Standing:
    return Standing("me", TERMS)


def holding(since: float = 100.0) -> Standing:
    return fresh().saw(RELEASED, since).wrote(MINE, sent_at=since, now=since + 0.1)


@pytest.mark.parametrize(
    ("standing", "now", "step"),
    [
        pytest.param(fresh(), 0.0, Look(), id="one that knows nothing looks"),
        pytest.param(fresh().saw(OTHERS, 100), 100.2, Wait(100.5), id="looks every half second while another holds it"),
        pytest.param(fresh().saw(OTHERS, 100), 100.5, Look(), id="looks when that time has come"),
        pytest.param(fresh().saw(OTHERS, 100).saw(OTHERS, 102.8), 102.9, Wait(103), id="waits for its end exactly"),
        pytest.param(fresh().saw(OTHERS, 100).saw(OTHERS, 102.8), 103, Write("7", 5), id="takes what has stood still"),
        pytest.param(
            fresh().saw(OTHERS, 100).saw(replace(OTHERS, guard="8"), 102.8),
            103,
            Wait(103.3),
            id="a renewal counts anew",
        ),
        pytest.param(
            fresh().saw(replace(OTHERS, duration=10), 100).saw(replace(OTHERS, duration=10), 109),
            109.9,
            Look(),
            id="the holder's own duration counts, not ours",
        ),
        pytest.param(
            fresh().saw(replace(OTHERS, duration=1e9), 100),
            160,
            Write("7", 5),
            id="an absurd duration ends in a minute",
        ),
        pytest.param(fresh().saw(RELEASED, 100), 100, Write("9", 6), id="takes at once what was given back"),
        pytest.param(fresh().saw(MINE, 100), 100, Write("8", 6), id="takes at once what is in its own name"),
        pytest.param(fresh().saw(None, 100), 100, Create(), id="makes one that is missing, in nobody's name"),
        pytest.param(
            fresh().saw(None, 99).saw(NEW, 100).saw(NEW, 102.9),
            102.95,
            Wait(103),
            id="and waits as if somebody held it",
        ),
        pytest.param(fresh().saw(NEW, 100), 103, Write("1", 1), id="takes the new one in the end"),
        pytest.param(holding(), 100.2, Wait(100.75), id="the holder waits"),
        pytest.param(holding(), 100.75, Write("8", 5), id="the holder renews four times in its duration"),
        pytest.param(holding().failed(101), 101.2, Wait(101.25), id="a failed renewal is soon tried again"),
        pytest.param(holding().failed(101), 101.5, Write("8", 5), id="with the guard it knew"),
        pytest.param(holding().failed(101).outdated(), 101.5, Look(), id="and looks if the Lease had changed"),
        pytest.param(holding().failed(101), 102, Write("8", 6), id="what it let run out it has to take again"),
        pytest.param(fresh().failed(100), 100.2, Wait(100.25), id="no answer is no reason to hurry"),
    ],
)
def test_the_next_step(standing: Standing, now: float, step: object):
    assert standing.step(now) == step


@pytest.mark.parametrize(
    ("standing", "stops_at"),
    [
        pytest.param(holding(), 102, id="counts from before the renewal was sent"),
        pytest.param(holding().wrote(replace(MINE, guard="10"), 101, 101.9), 103, id="counts anew after the next"),
        pytest.param(holding().failed(101), 102, id="a renewal without an answer does not count"),
        pytest.param(holding().wrote(MINE, 101, 101.1), 102, id="one that changed nothing does not count"),
        pytest.param(holding().saw(replace(MINE, guard="10"), 101), 102, id="seeing one's own name does not count"),
        pytest.param(holding().saw(OTHERS, 101), float("-inf"), id="another's name ends it"),
        pytest.param(holding().saw(None, 101), float("-inf"), id="a deletion ends it"),
    ],
)
def test_until_when_the_holder_may_write(standing: Standing, stops_at: float):
    assert standing.stops_at == stops_at


def test_what_a_lease_lacks_is_read_so_that_it_is_taken_late():
    found = parse_lease({"metadata": {"resourceVersion": "3"}, "spec": {"holderIdentity": "somebody"}})

    assert found == Lease("somebody", 60.0, "3", 0)


@dataclass
class Node:
    """A process with a clock of its own, which waits for at most one answer."""

    rate: float
    offset: float
    standing: Standing
    waits_for: "Message | None" = None

    def now(self, real: float) -> float:
        return self.offset + self.rate * real


@dataclass(eq=False)
class Message:
    """A call in the air. It may arrive long after its sender has given up, or never."""

    sender: Node
    me: str
    sent_at: float
    step: Look | Create | Write | str
    answer: Lease | str | None = None
    is_answered: bool = False


@dataclass
class Server:
    """Keeps one Lease as the API server does: a write under an old guard is refused."""

    lease: Lease | None = None
    _versions: Iterator[int] = field(default_factory=lambda: count(1))

    def put(self, holder: str, transitions: int) -> Lease:
        self.lease = Lease(holder, TERMS.duration, str(next(self._versions)), transitions)
        return self.lease

    def take(self, message: Message) -> None:
        guard = self.lease.guard if self.lease else None
        match message.step:
            case Look():
                message.answer = self.lease
            case Create():
                message.answer = "conflict" if self.lease else self.put(NOBODY, 0)
            case Write(asked, transitions):
                message.answer = self.put(message.me, transitions) if asked == guard else "conflict"
            case str(asked) if asked == guard:
                self.put("", 0)
        message.is_answered = True


class AnyHistory(RuleBasedStateMachine):
    """Three processes, clocks that run up to a tenth too fast or slow, any delay and any loss, people who interfere."""

    @initialize(rates=st.lists(st.floats(0.9, 1.1), min_size=3, max_size=3))
    def begin(self, rates: list[float]) -> None:
        self.real = 0.0
        self.server = Server()
        self.names = count(1)
        self.air: list[Message] = []
        self.nodes = [Node(rate, i * 1000.0, self.newborn()) for i, rate in enumerate(rates)]

    def newborn(self) -> Standing:
        return Standing(f"process {next(self.names)}", TERMS)

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 1.9, 2.9, 3.4]))
    def time_passes(self, seconds: float) -> None:
        self.real += seconds

    @rule(i=st.integers(0, 2))
    def sends(self, i: int) -> None:
        self.send(self.nodes[i])

    def send(self, node: Node) -> Message | None:
        step = node.standing.step(node.now(self.real))
        if node.waits_for or isinstance(step, Wait):
            return None
        node.waits_for = Message(node, node.standing.me, node.now(self.real), step)
        self.air.append(node.waits_for)
        return node.waits_for

    @rule(i=st.integers(0, 20))
    def arrives(self, i: int) -> None:
        if waiting := [message for message in self.air if not message.is_answered]:
            self.server.take(waiting[i % len(waiting)])

    @rule(i=st.integers(0, 2))
    def is_answered(self, i: int) -> None:
        node = self.nodes[i]
        message = node.waits_for
        if message is None or not message.is_answered:
            return
        node.waits_for, now = None, node.now(self.real)
        match message.step, message.answer:
            case Write(), Lease() as lease:
                node.standing = node.standing.wrote(lease, message.sent_at, now)
            case ((Create() | Write()), (str() | None)):
                node.standing = node.standing.outdated()
            case ((Create() | Look()), (Lease() | None) as lease):
                node.standing = node.standing.saw(lease, now)
            case _:
                raise AssertionError(message)

    @rule(i=st.integers(0, 2), other=st.integers(0, 2), times=st.integers(4, 24))
    def is_told_late(self, i: int, other: int, times: int) -> None:
        """A process whose call arrives at once and is answered only after another has gone on for a while."""
        while not (message := self.send(self.nodes[i])) and self.nodes[i].waits_for is None:
            self.real += 0.25
        if message:
            self.server.take(message)
            self.is_well(other, times)
            self.is_answered(i)

    @rule(i=st.integers(0, 2), other=st.integers(0, 2), times=st.integers(4, 24))
    def is_cut_off(self, i: int, other: int, times: int) -> None:
        """A process whose calls arrive nowhere, while another goes on."""
        for _ in range(times):
            if message := self.send(self.nodes[i]):
                self.air.remove(message)
                self.gives_up_waiting(i)
            self.is_well(other, 2)

    @rule(i=st.integers(0, 2), times=st.integers(1, 12))
    def is_well(self, i: int, times: int) -> None:
        """A process whose calls are answered within a hundredth of a second."""
        for _ in range(times):
            if message := self.send(self.nodes[i]):
                self.real += 0.005
                self.server.take(message)
                self.real += 0.005
                self.is_answered(i)
            else:
                self.real += 0.25

    @rule(i=st.integers(0, 2))
    def gives_up_waiting(self, i: int) -> None:
        node = self.nodes[i]
        if node.waits_for:
            node.standing = node.standing.failed(node.waits_for.sent_at)
            node.waits_for = None

    @rule(i=st.integers(0, 2))
    def stops_and_is_started_again(self, i: int) -> None:
        node = self.nodes[i]
        if node.now(self.real) < node.standing.stops_at and node.standing.lease:
            self.air.append(Message(node, node.standing.me, 0, node.standing.lease.guard))
        node.standing, node.waits_for = self.newborn(), None

    @rule(i=st.integers(0, 2))
    def is_killed_and_started_again(self, i: int) -> None:
        self.nodes[i].standing, self.nodes[i].waits_for = self.newborn(), None

    @rule()
    def somebody_labels_the_lease(self) -> None:
        if lease := self.server.lease:
            self.server.put(lease.holder, lease.transitions)

    @rule()
    def somebody_deletes_the_lease(self) -> None:
        self.server.lease = None

    @invariant()
    def no_two_may_write(self) -> None:
        holders = [node.standing.me for node in self.nodes if node.now(self.real) < node.standing.stops_at]
        assert len(holders) <= 1, holders


AnyHistory.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None, derandomize=True)
TestNoTwoHoldersEver = AnyHistory.TestCase
