"""The server's English reaches people in their language, and nothing of it is lost on the way."""

import ast
import itertools
import re

import pytest
import yaml
from flask import Flask, g

from hmi import labels, reasons, titles
from hmi.reasons import in_words, known
from hmi.sentences import CODES, MEMBER, SENTENCES
from scada.alarms.kinds import CODE
from scada.drivers.dmesh.numbers import Code
from scada.metering.channels import tags as channel_tags
from scada.site import Medium
from tests.hmi.sentences import SCADA, sentences

NAMES = {"Load groups", "link X1", "module X1", "group X1 epoch X1",      # a folder on the bus; entries of the key file
         "X1 is X1; X1"}        # put together of what is known as a whole
TEMPLATES = SCADA.parent / "config" / "templates" / "modbus"


def test_every_sentence_for_people_is_known() -> None:
    """A refusal, a result or a health text in a language the dispatcher does not read is half of one."""
    found = sentences()
    rooms = {one.where.partition(":")[0].rpartition("/")[0] for one in found}

    assert len(found) > 120
    assert {"dr_dispatch", "alarms", "registry", "historian", "drivers/dmesh", "drivers/modbus"} <= rooms
    assert [str(one) for one in found if one.text not in NAMES and not known(one.text.strip("; "))] == []
    assert not known("the moon is full")
    assert not known("the moon is full: not running")


def test_the_finder_sees_a_sentence_wherever_it_is_made() -> None:
    """One of each kind of place, so that the test above cannot pass by being blind."""
    seen = {one.text for one in sentences()}

    assert {
        "the password is the name",                                     # appended to a list
        "the selection expired at X1: select again",                    # appended, with a value
        "there is no user X1",                                          # given to an exception
        "only a shed can be restored",                                  # appended in a branch
        "there is no load group X1",                                    # yielded
        "server restarted while sending; the concentrator is asked",    # a named text
        "never reached the concentrator",                               # said beside a member's state
        "concentrator not connected",                                   # returned
        "restored by X1",                                               # given by name
        "X1 of X1 Modbus devices answer",                               # a health text
        "not polled yet",                                               # kept in an attribute
        "X1 finds a body too large",                                    # beside a verdict
        "unknown link",                                                 # in a table
    } <= seen


def test_every_sentence_is_found_again_as_itself(app: Flask) -> None:
    """A shorter pattern must not take what a longer one says: half would stay English."""
    wrong = []
    with app.test_request_context():
        for language, sentence in itertools.product(("ro", "ru"), SENTENCES):
            g.language = language
            both = sentence, reasons._translations(sentence)
            filled, expected = (re.sub(r"%\((\w+)\)s", "Q7", text).replace("%%", "%") for text in both)
            if not in_words(filled) == expected != filled:
                wrong.append(f"{language}: {sentence}")

    assert len(SENTENCES) > 400
    assert wrong == []


def test_a_long_text_is_taken_apart_or_shown_as_it_came(app: Flask) -> None:
    """Many sentences are still sentences; one that a peer made endless costs nobody's time."""
    with app.test_request_context():
        g.language = "ro"

        assert in_words("; ".join(["by expiry"] * 100)) == "; ".join(["la expirare"] * 100)
        assert in_words("C01 refused GROUP_SET: BUSY: " + "x" * 700).startswith("C01 refused GROUP_SET")


def test_results_that_arrive_live_are_sentences_too() -> None:
    """What is sent to the browser is translated by the same catalogue."""
    assert set(MEMBER) <= set(SENTENCES)


@pytest.mark.parametrize("code", Code)
def test_every_result_code_of_the_field_has_words(code: Code) -> None:
    assert code.name in CODES


@pytest.mark.parametrize("kind", CODE)
def test_every_kind_of_alarm_has_words(kind: str) -> None:
    assert kind in labels.ALARM_KIND


def tag_titles() -> set[str]:
    """Titles in the definitions of the source, and in the device templates that come with the server."""
    found = set()
    for path in sorted(SCADA.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "TagDef":
                given = [*node.args[2:3], *(one.value for one in node.keywords if one.arg == "title")]
                for title in given:
                    if isinstance(title, ast.Constant):
                        found.add(str(title.value))
                    elif isinstance(title, ast.JoinedStr):
                        found.add("".join(str(p.value) if isinstance(p, ast.Constant) else "20" for p in title.values))
    for path in sorted(TEMPLATES.glob("*.yaml")):
        found |= {point["title"] for point in yaml.safe_load(path.read_text(encoding="utf-8"))["points"]}
    return found


def test_every_title_of_a_tag_is_known() -> None:
    """The finite set of them: titles of devices of one's own are one's own."""
    found = tag_titles() | {tag.title for medium in Medium for tag in channel_tags(medium)}
    plain = {title for title in found if title not in titles.PLAIN}

    assert len(found) > 60
    assert [title for title in sorted(plain) if not any(pattern.fullmatch(title) for pattern, _ in titles.PATTERNS)] == []


def test_a_tag_is_titled_in_the_language_of_the_page(app: Flask) -> None:
    """Also with a phase in it; what is not ours stays."""
    with app.test_request_context():
        g.language = "ro"

        assert titles.in_words("Voltage L2-N") == "Tensiune L2-N"
        assert titles.in_words("Current imbalance") == "Current imbalance"


@pytest.mark.parametrize(
    ("reason", "romanian"),
    [
        ("red load in the group: C01-004, C02-004", "sarcină roșie în grup: C01-004, C02-004"),
        ("3 of 22 members: module lost", "3 din 22 membri: modul pierdut"),
        ("by expiry; must be switched on by hand", "la expirare; trebuie pornit manual"),
        ("3 of 22 members: concentrator not connected", "3 din 22 membri: concentratorul nu este conectat"),
        ("red load in the group: C01-004, C02-004 and 3 more", "sarcină roșie în grup: C01-004, C02-004 și încă 3"),
        ("T01-meter: no answer within 2 s", "T01-meter: niciun răspuns în 2 s"),
        ("INTERLOCK", "o blocare îl interzice (INTERLOCK)"),
        ("the journal in /data cannot be written: the disk is full",
         "jurnalul din /data nu poate fi scris: discul este plin"),
        ("something nobody has said before", "something nobody has said before"),
    ],
)
def test_a_reason_is_read_in_the_language_of_the_page(app: Flask, reason: str, romanian: str) -> None:
    with app.test_request_context():
        g.language = "ro"

        assert in_words(reason) == romanian
