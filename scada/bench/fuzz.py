"""How much nonsense the DMLP receiver takes: mutated frames and bodies by the million, and nothing may escape."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import attrs

from scada.bench import Figure
from scada.bench.mutate import KEYS, Mutator
from scada.drivers.dmesh import crypto, messages, profile, profile_decode
from scada.drivers.dmesh.frame import HEADER, TRAILER, Frame, FrameDecoder
from scada.drivers.dmesh.messages import FwOffer, Manifest, Packet, ProfileMessage
from scada.drivers.dmesh.rejected import Rejected

INPUTS: Final = 1_000_000
SEED: Final = 20_260_101
LENGTHS: Final = (256, 1024, 4096)      # max_frame
STREAMS_A_DECODER: Final = 50           # what one leaves half done, the next goes on with
SHOWN: Final = 5                        # of those that escaped
Decode = Callable[[bytes], Packet | Rejected]


@attrs.define
class Outcome:
    """What a run has seen."""

    inputs: int = 0
    frames: int = 0                     # inputs at the framer that held at least one whole frame
    accepted: Counter[int] = attrs.field(factory=Counter)       # messages that were valid after all, by type
    refused: Counter[int] = attrs.field(factory=Counter)        # refusals in which the type could be read, by type
    reasons: Counter[str] = attrs.field(factory=Counter)        # of refusal
    escaped: list[str] = attrs.field(factory=list)              # what was wrong, with the input: at most `SHOWN`
    failures: int = 0
    digest: str = ""                    # of all inputs: the same seed gives the same


class Fuzz:
    """Throws inputs at the framer and at the decoders, in turn."""

    def __init__(self, seed: int, decode: Decode = messages.decode) -> None:
        self.outcome = Outcome()
        self._make, self._decode = Mutator(seed), decode
        self._framer, self._fed = FrameDecoder(LENGTHS[0]), 0
        self._digest = hashlib.sha256()

    def run(self, inputs: int) -> Outcome:
        for number in range(inputs):
            at_framer = number % 2 == 0
            data = self._make.stream() if at_framer else self._make.body()
            self._digest.update(data)
            try:
                if at_framer:
                    self._stream(data)
                else:
                    self._body(data)
            except Exception as problem:    # whatever escapes is what this looks for
                self._note(f"input {number}: {type(problem).__name__}: {problem}: {data.hex()}")
        self.outcome.inputs += inputs
        self.outcome.digest = self._digest.hexdigest()
        return self.outcome

    def _note(self, text: str) -> None:
        self.outcome.failures += 1
        if len(self.outcome.escaped) < SHOWN:
            self.outcome.escaped.append(text)

    def _stream(self, data: bytes) -> None:
        if self._fed % STREAMS_A_DECODER == 0:
            self._framer = FrameDecoder(LENGTHS[self._fed // STREAMS_A_DECODER % len(LENGTHS)])
        self._fed += 1
        found = False
        for piece in self._make.pieces(data):
            for event in self._framer.feed(piece):
                if isinstance(event, Frame):
                    found = True
                    self._frame(event)
                else:
                    self._refusal(event)
            _must(self._framer.pending < self._framer.max_frame + HEADER + TRAILER, "more was kept than one frame")
        self.outcome.frames += found

    def _frame(self, event: Frame) -> None:
        _must(len(event.body) <= self._framer.max_frame, "a frame longer than agreed")
        if not event.secured:
            self._body(event.body)
            return
        opened = crypto.unseal(KEYS.to_server, crypto.TO_SERVER, KEYS.sid, event)
        if isinstance(opened, Rejected):
            self._refusal(opened)
        else:
            self._body(opened[1])

    def _body(self, body: bytes) -> None:
        packet = self._decode(body)
        if isinstance(packet, Rejected):
            self._refusal(packet)
            return
        self.outcome.accepted[packet.message.TYPE] += 1
        again = messages.decode(messages.encode(packet.message, packet.corr))
        match packet.message:
            case ProfileMessage(block=block):               # may hold NaN, which equals nothing
                self._kind(profile_decode.decode(block), profile.Profile)
            case _:
                _must(again == packet, "it does not come back as it was read")
        if isinstance(packet.message, FwOffer):
            self._kind(messages.read_manifest(packet.message.manifest), Manifest)

    def _kind(self, found: Any, kind: type) -> None:
        if not isinstance(found, kind):
            self._refusal(found)

    def _refusal(self, what: Any) -> None:
        _must(isinstance(what, Rejected), "neither accepted nor refused")
        self.outcome.reasons[what.reason] += 1
        if what.type in messages.BY_TYPE:
            self.outcome.refused[what.type] += 1


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)


def measure(inputs: int = INPUTS, seed: int = SEED) -> list[Figure]:
    """Inputs per second of one core, making them included. Raises `AssertionError` with the inputs if anything escaped."""
    began = time.perf_counter()
    outcome = Fuzz(seed).run(inputs)
    took = time.perf_counter() - began
    if outcome.failures:
        some = "\n".join(outcome.escaped)
        raise AssertionError(f"{outcome.failures} of {inputs} inputs (seed {seed}) escaped, such as:\n{some}")
    what = "mutated DMLP inputs, half at the framer"
    return [
        Figure("fuzz_inputs", what, outcome.inputs, "inputs"),
        Figure("fuzz_rate", f"{what}: made, decoded, checked", inputs / took, "inputs/s"),
        Figure("fuzz_accepted", f"{what}: valid messages in them", outcome.accepted.total(), "messages"),
        Figure("fuzz_refused", f"{what}: refusals, noise included", outcome.reasons.total(), "refusals"),
        Figure("fuzz_escaped", f"{what}: what raised, or broke a bound", outcome.failures, "inputs"),
    ]
