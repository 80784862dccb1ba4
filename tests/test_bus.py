"""The bus: one instant for readers, order and bounds for listeners, staleness by the site's clock."""

import threading

import numpy as np
from twisted.internet.task import Clock

from scada.bus import TagBus
from scada.clock import NS
from scada.tags import Batch, Device, Quality, TagDef

from .fakes import site_clock

METER = Device("T01-meter", (TagDef("power", "W", stale_after=5 * NS), TagDef("energy", "kWh")), ("Transformer",))


def make(values: list[float], at: int = 1, device: str = "T01-meter", quality: Quality = Quality.GOOD) -> Batch:
    return Batch(device, np.array(values), np.full(len(values), quality, dtype=np.uint8), at, at)


def bus(reactor: Clock) -> TagBus:
    made = TagBus(site_clock(reactor), reactor)
    made.add_device(METER)
    return made


def test_a_new_tag_is_waiting_not_zero() -> None:
    """Before the first value there is NaN and a quality that says why."""
    value, quality, at = bus(Clock()).snapshot().get("T01-meter/power")

    assert np.isnan(value)
    assert (quality, at) == (Quality.BAD_WAITING, 0)


def test_listeners_get_batches_in_order_once_per_turn() -> None:
    """What was published within a turn arrives as one list."""
    reactor = Clock()
    subject = bus(reactor)
    heard: list[list[float]] = []
    subject.subscribe(lambda batches: heard.append([float(batch.values[0]) for batch in batches]), name="test")
    for number in range(3):
        subject.publish(make([number, 0]))
    reactor.advance(0)
    subject.publish(make([3, 0]))
    reactor.advance(0)

    assert heard == [[0, 1, 2], [3]]


def test_a_slow_listener_loses_the_oldest_and_it_is_counted() -> None:
    """A bounded queue says what it dropped."""
    reactor = Clock()
    subject = bus(reactor)
    heard: list[float] = []
    subject.subscribe(lambda batches: heard.extend(float(batch.values[0]) for batch in batches), name="slow", bound=2)
    for number in range(5):
        subject.publish(make([number, 0]))
    reactor.advance(0)

    assert heard == [3, 4]
    assert subject.drops() == {"slow": 3}


def test_one_listener_that_fails_does_not_silence_the_others() -> None:
    """A bug in one consumer stays its own."""
    reactor = Clock()
    failures: list[str] = []
    subject = TagBus(site_clock(reactor), reactor, lambda name, error: failures.append(f"{name}: {error!r}"))
    subject.add_device(METER)
    heard: list[int] = []
    subject.subscribe(lambda batches: 1 / 0, name="broken")  # type: ignore[arg-type, return-value]
    subject.subscribe(lambda batches: heard.append(len(batches)), name="sound")
    subject.publish(make([1, 2]))
    reactor.advance(0)

    assert heard == [1]
    assert failures == ["broken: ZeroDivisionError('division by zero')"]


def test_silence_makes_a_tag_stale_and_keeps_its_value() -> None:
    """Only the tags that have a limit, only after it, once; listeners hear of it."""
    reactor = Clock()
    subject = bus(reactor)
    now = site_clock(reactor).now()
    subject.publish(make([230.0, 7.0], at=now))
    heard: list[list[int]] = []
    subject.subscribe(lambda batches: heard.extend(batch.quality.tolist() for batch in batches), name="test")
    reactor.advance(5)
    early = subject.sweep()
    reactor.advance(1)
    changed = (subject.sweep(), subject.sweep())
    reactor.advance(0)

    assert early == 0
    assert changed == (1, 0)
    assert subject.snapshot().get("T01-meter/power")[:2] == (230.0, Quality.BAD_STALE)
    assert subject.snapshot().get("T01-meter/energy")[:2] == (7.0, Quality.GOOD)
    assert heard == [[Quality.BAD_STALE, Quality.GOOD]]


def test_a_lost_device_says_so_at_once_but_a_tag_that_never_spoke_still_waits() -> None:
    """BAD_NOT_CONNECTED is about values that were there."""
    reactor = Clock()
    subject = bus(reactor)
    subject.disconnected("T01-meter")
    never = subject.snapshot().get("T01-meter/power")[1]
    subject.publish(make([1.0, 2.0]))
    subject.disconnected("T01-meter")
    subject.disconnected("unknown")

    assert never is Quality.BAD_WAITING
    assert subject.snapshot().get("T01-meter/power")[:2] == (1.0, Quality.BAD_NOT_CONNECTED)


def test_a_device_can_be_redefined_and_keeps_what_it_said() -> None:
    """Plug & play: a further point does not disturb the first ones, wherever it lands in the image."""
    reactor = Clock()
    subject = bus(reactor)
    subject.publish(make([1.0, 2.0]))
    subject.add_device(Device("other", (TagDef("x"),)))
    subject.add_device(Device("T01-meter", (*METER.tags, TagDef("frequency", "Hz"))))
    kept = subject.snapshot().get("T01-meter/energy")[0]
    subject.publish(make([3.0, 4.0, 50.0]))
    shot = subject.snapshot()

    assert kept == 2.0
    assert [shot.get(f"T01-meter/{point}")[0] for point in ("power", "energy", "frequency")] == [3.0, 4.0, 50.0]
    assert shot.get("other/x")[1] is Quality.BAD_WAITING


def test_the_image_grows_beyond_its_first_capacity() -> None:
    """Ten thousand tags are nothing special."""
    subject = bus(Clock())
    for number in range(200):
        subject.add_device(Device(f"D{number}", tuple(TagDef(f"p{point}") for point in range(50))))
    subject.publish(make(list(range(50)), device="D199"))

    assert len(subject.snapshot().ids) == 10_002
    assert subject.snapshot().get("D199/p49")[0] == 49.0


def test_a_snapshot_is_one_instant_even_from_another_thread() -> None:
    """Both values of a batch change together; no reader ever sees half of it."""
    subject = bus(Clock())
    torn: list[tuple[float, float]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            shot = subject.snapshot()
            power, energy = shot.get("T01-meter/power")[0], shot.get("T01-meter/energy")[0]
            if power != energy and not np.isnan(power):
                torn.append((power, energy))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(5_000):
        subject.publish(make([number, number]))
    done.set()
    reader.join()

    assert torn == []


def test_a_tag_that_a_redefinition_drops_is_gone_and_silent() -> None:
    """Not in a snapshot, not swept every second for ever; what was taken before still has it."""
    reactor = Clock()
    subject = bus(reactor)
    subject.publish(make([230.0, 7.0], at=site_clock(reactor).now()))
    before = subject.snapshot()
    subject.add_device(Device("T01-meter", METER.tags[1:], METER.path))
    subject.publish(make([8.0], at=site_clock(reactor).now()))
    heard: list[object] = []
    subject.subscribe(heard.extend, name="test")
    reactor.advance(60)
    changed = [subject.sweep() for _ in range(3)]
    reactor.advance(0)
    after = subject.snapshot()

    assert (changed, heard) == ([0, 0, 0], [])
    assert [tag for tag in after.ids if tag] == ["T01-meter/energy"]
    assert after.get("T01-meter/power")[1] is Quality.BAD_CONFIG
    assert after.get("T01-meter/energy")[:2] == (8.0, Quality.GOOD)
    assert before.get("T01-meter/power")[:2] == (230.0, Quality.GOOD)


def test_a_dropped_tag_that_comes_back_waits_for_its_first_value() -> None:
    """In its old place, without its old value: nobody else's position moves, and nothing grows."""
    subject = bus(Clock())
    subject.publish(make([230.0, 7.0]))
    for _ in range(3):
        subject.add_device(Device("T01-meter", METER.tags[1:]))
        subject.add_device(METER)
    shot = subject.snapshot()

    assert shot.ids == ("T01-meter/power", "T01-meter/energy")
    assert np.isnan(shot.get("T01-meter/power")[0])
    assert shot.get("T01-meter/power")[1:] == (Quality.BAD_WAITING, 0)
    assert shot.get("T01-meter/energy")[0] == 7.0


def test_a_name_belongs_to_the_part_that_defined_it_first() -> None:
    """Another part's device of the same name is refused, told of once, counted; neither disturbs the other."""
    reactor, told = Clock(), list[str]()
    subject = TagBus(site_clock(reactor), reactor, on_refusal=told.append)
    balancing, modbus = subject.of("balancing"), subject.of("Modbus")
    balancing.add_device(Device("T01", (TagDef("loading", "%"),)))
    modbus.add_device(Device("T01", (TagDef("power", "W"), TagDef("energy", "kWh"))))
    balancing.publish(make([40.0], device="T01"))
    for _ in range(2):
        modbus.publish(make([1.0, 2.0], device="T01"))
    modbus.disconnected("T01")
    shot = subject.snapshot()

    assert shot.ids == ("T01/loading",)
    assert shot.get("T01/loading")[:2] == (40.0, Quality.GOOD)
    assert subject.refused == 3
    assert told == [
        "T01 of Modbus has the name of a device of balancing; it stays without tags",
        "Modbus says values of T01, which belongs to balancing; they are dropped",
    ]


def test_a_batch_that_does_not_fit_is_counted_and_ends_no_poll_loop() -> None:
    """Of an unknown device, or with another number of values than it has tags: nothing is written, nobody hears of it."""
    reactor, told = Clock(), list[str]()
    subject = TagBus(site_clock(reactor), reactor, on_refusal=told.append)
    meters = subject.of("Modbus")
    meters.add_device(METER)
    heard: list[object] = []
    subject.subscribe(heard.extend, name="test")
    meters.publish(make([1.0], device="nobody"))
    meters.publish(make([1.0, 2.0, 3.0]))
    meters.publish(make([1.0]))
    meters.publish(Batch("T01-meter", np.array([1.0, 2.0]), np.zeros(1, dtype=np.uint8), 1, 1))
    reactor.advance(0)

    assert (subject.refused, subject.published, heard) == (4, 0, [])
    assert subject.snapshot().get("T01-meter/power")[1] is Quality.BAD_WAITING
    assert told[0] == "Modbus says values of nobody, which nobody defined; they are dropped"
    assert told[1] == "T01-meter has 2 tags, and Modbus says (3,) values and (3,) qualities; they are dropped"


def test_who_asked_for_the_devices_keeps_what_was_there_then() -> None:
    """Another thread may walk over them while meters come; who asks twice in between gets the same."""
    one = bus(Clock())
    before = one.devices()
    again = one.devices()
    one.add_device(Device("T02-meter", METER.tags))

    assert again is before
    assert list(before) == ["T01-meter"]
    assert list(one.devices()) == ["T01-meter", "T02-meter"]
