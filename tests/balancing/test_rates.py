"""What a feed's register can bring in an hour follows from its transformer and its tag."""

from scada.balancing.rates import OVERLOAD, WITHOUT_A_TRANSFORMER, rates_of
from scada.site import BalanceGroup, Directory, Medium, Site, Transformer
from scada.tags import Device, TagDef

TAG = "T01-meter/energy_import"


def directory(medium=Medium.ELECTRICITY, transformer="T01"):
    group = BalanceGroup("BG", medium, transformer=transformer, feed_tag=TAG)
    return Directory(Site(transformers=(Transformer("T01", rated_kva=160.0),), balance_groups=(group,)))


def devices(counter):
    return {"T01-meter": Device("T01-meter", (TagDef("energy_import", "kWh", counter=counter),))}


def test_a_transformer_bounds_what_passes_in_an_hour():
    """Twice its nameplate, and a counter not a step back."""
    rates = rates_of(directory(), devices(counter=True), TAG)

    assert (rates.forth, rates.back) == (OVERLOAD * 160.0, 0.0)


def test_a_net_register_may_fall_as_fast_as_it_rises():
    """Generation is no reset."""
    assert rates_of(directory(), devices(counter=False), TAG).back == OVERLOAD * 160.0


def test_without_a_transformer_or_for_water_only_the_absurd_is_refused():
    """A district's feed has no nameplate here."""
    assert rates_of(directory(transformer=""), {}, TAG).forth == WITHOUT_A_TRANSFORMER
    assert rates_of(directory(medium=Medium.WATER), {}, TAG).forth == WITHOUT_A_TRANSFORMER
