"""A higher meeting taking the time of a lower one, by the pages."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from confbridge.database import db
from confbridge.models import Account, Meeting
from tests import factories
from tests.factories import sign_in
from tests.services.scheduling import monday_series, morning, occurrence, seen
from tests.web.forms import NEW, filled, send, start


@pytest.fixture
def ann(client, cast):
    return sign_in(client, cast.ann)


@pytest.fixture
def series(cast) -> Meeting:
    return monday_series(cast.ann)


@pytest.fixture
def lower(app, cast) -> Meeting:
    """A meeting that Phuong of the Provincial Party Committee may displace."""
    return factories.meeting(cast.ann, ["E-1"], start=morning().isoformat(), title="Thấp hơn")


@pytest.fixture
def phuong(client, cast):
    committee = factories.organisation("TU", cast.home, level="party")
    return sign_in(client, factories.account("Phuong", committee))


@pytest.mark.parametrize(
    "button",
    [{"intent": "draft"}, {"intent": "wait"}, {"take": start(morning(hour=14))}, {}],
)
def test_only_its_own_button_displaces(phuong, cast, lower, button):
    ticked = {"displace": str(lower.occurrence.id), "displace_reason": "Bão số 5"}
    send(phuong, NEW, **filled(**ticked), **button)
    assert seen(lower.uid, cast.ann).state == "scheduled"
    given = filled(**ticked, intent="displace")
    assert send(phuong, NEW, **given).status_code in {303, 409}


def test_displacing_is_done_by_its_button(phuong, cast, lower):
    assert 'name="displace"' in send(phuong, NEW, **filled()).text
    ticked = {"displace": str(lower.occurrence.id), "displace_reason": "Bão số 5"}
    assert send(phuong, NEW, **filled(**ticked, intent="displace")).status_code == 303
    assert seen(lower.uid, cast.ann).state == "postponed"


@pytest.mark.parametrize("lacking", ["displace", "displace_reason"])
def test_displacing_without_a_reason_or_a_meeting_says_so_and_loses_nothing(
    phuong, cast, lower, lacking
):
    ticked = {"displace": str(lower.occurrence.id), "displace_reason": "Bão số 5"}
    del ticked[lacking]
    answer = send(phuong, NEW, **filled(**ticked, intent="displace"))
    assert answer.status_code == 422
    assert 'id="problem-displace"' in answer.text
    assert 'class="displace" open' in answer.text
    kept = "checked" if lacking == "displace_reason" else "Bão số 5"
    assert kept in answer.text.partition('class="displace"')[2].partition("</details>")[0]
    assert seen(lower.uid, cast.ann).state == "scheduled"


def test_an_occurrence_is_moved_onto_a_lower_meeting_by_its_page(phuong, cast, lower):
    codes = ["E-1", "E-2"]
    mine = monday_series(phuong_of(cast), codes, start=morning(hour=14).isoformat())
    address = f"/meetings/{mine.uid}/occurrences/{mine.occurrences[0].id}"
    given = {"start": start(), "minutes": "60", "endpoint": codes}
    assert 'value="displace"' in send(phuong, address, on=address, **given).text
    given |= {"displace": str(lower.occurrence.id), "intent": "displace"}
    answer = send(phuong, address, on=address, **given)
    assert (answer.status_code, 'id="problem-displace"' in answer.text) == (422, True)
    given["displace_reason"] = "Bão số 5"
    assert send(phuong, address, on=address, **given).status_code == 303
    assert seen(lower.uid, cast.ann).state == "postponed"


def phuong_of(cast):
    return db.session.scalars(select(Account).where(Account.name == "Phuong")).one()


def test_a_refused_change_of_one_meeting_keeps_who_was_ticked(ann, cast, series):
    factories.meeting(cast.ann, ["E-3"], start=morning(hour=14).isoformat())
    address = f"/meetings/{series.uid}/occurrences/{series.occurrences[0].id}"
    given = {"start": start(morning(hour=14)), "minutes": "60", "endpoint": ["E-1", "E-3"]}
    answer = send(ann, address, on=address, **given)
    ticked = {code for code in ("E-1", "E-2", "E-3") if f'value="{code}" checked' in answer.text}
    assert ticked == {"E-1", "E-3"}
    assert f'value="{given["start"]}"' in answer.text


def test_one_of_a_series_that_gave_way_is_listed_with_its_new_times(phuong, cast, client):
    made = monday_series(cast.ann)
    one = made.occurrences[0]
    ticked = {"displace": str(one.id), "displace_reason": "Bão số 5", "intent": "displace"}
    assert send(phuong, NEW, **filled(**ticked)).status_code == 303
    sign_in(client, cast.ann)
    assert made.number in client.get("/meetings/waiting").text
    address = f"/meetings/{made.uid}/occurrences/{one.id}"
    page = client.get(address).text
    assert page.count('name="take"') == 3
    there = page.partition('name="take" value="')[2].partition('"')[0]
    given = {"take": there, "minutes": "60", "endpoint": ["E-1", "E-2"]}
    assert send(client, address, on=address, **given).status_code == 303
    assert occurrence(one.id).state == "scheduled"
