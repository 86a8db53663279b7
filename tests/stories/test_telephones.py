"""Two SIP telephones and a browser in one conference, each hearing the others."""

from __future__ import annotations

import math
import struct
import subprocess
import time
import wave
from datetime import UTC, datetime, timedelta

import pytest

from deploy import janus
from tests.conftest import free_port, kill
from tests.stories.conftest import FLAGS, NO_OTHER_HOST, Visitor, wait_for

ALICE, BOB, BROWSER, STRANGER = 500, 1100, 440, 700  # the tones they send, in Hz
SITES = ("BA-1", "NS-1", "STC-1")
QUIET = 0.02  # a tone is heard if its share of all that is heard is larger


class Telephone:
    """A baresip that sends a tone and keeps what it hears."""

    def __init__(self, folder, name, tone):
        self.folder = folder / name
        self.folder.mkdir()
        self.port = free_port()
        self.address = f"{name}@127.0.0.1:{self.port}"
        modules = ("g711", "aufile", "sndfile")
        (self.folder / "config").write_text(
            f"sip_listen 127.0.0.1:{self.port}\nnet_interface 127.0.0.1\n"
            "module_path /usr/lib/baresip/modules\n"
            + "".join(f"module {one}.so\n" for one in modules)
            + "module_app account.so\nmodule_app menu.so\n"
            f"audio_source aufile,{tone_file(self.folder, tone, 8000, 120)}\n"
            f"audio_player aufile,{self.folder / 'played.wav'}\n"
            f"snd_path {self.folder}\nausrc_channels 1\nauplay_channels 1\n"
        )
        account = f"<sip:{self.address}>;regint=0;answermode=auto;audio_codecs=pcmu\n"
        (self.folder / "accounts").write_text(account)
        self.process = None

    def start(self, calls=""):
        command = ["baresip", "-f", str(self.folder)]
        if calls:
            command += ["-e", f"/dial {calls}"]
        with (self.folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def hang_up(self):
        if self.process:
            kill(self.process)
            print(self.folder.name, (self.folder / "log").read_text()[-1500:])

    def hears(self, tone):
        """Return the share that a tone has in the last second of what came."""
        return share_of(tone, *self.heard())

    def heard(self):
        for path in self.folder.glob("*dec*.wav"):
            data = path.read_bytes()
            if len(data) > 44 + 16_000:
                samples = struct.unpack(
                    f"<{(len(data) - 44) // 2}h", data[44 : 44 + (len(data) - 44) // 2 * 2]
                )
                return samples[-8000:], 8000
        return (), 8000


def share_of(tone, samples, rate):
    """Return how much of the power of some sound is at one frequency (Goertzel)."""
    if not samples:
        return 0.0
    power = sum(one * one for one in samples) or 1
    turn = 2 * math.cos(2 * math.pi * tone / rate)
    before = last = 0.0
    for one in samples:
        before, last = last, one + turn * last - before
    found = before * before + last * last - turn * before * last
    return 2 * found / (len(samples) * power)


def tone_file(folder, tone, rate, seconds):
    path = folder / "tone.wav"
    step = 2 * math.pi * tone / rate
    second = b"".join(struct.pack("<h", int(9_000 * math.sin(step * n))) for n in range(rate))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(second * seconds)  # whole numbers of waves fit into a second
    return path


LISTEN = """
() => {
  const mix = document.querySelector('[data-part="mix"]');
  if (!mix || !mix.srcObject) return null;
  if (!window.ear) {
    const context = new AudioContext();
    window.ear = context.createAnalyser();
    window.ear.fftSize = 4096;
    context.createMediaStreamSource(mix.srcObject).connect(window.ear);
    window.rate = context.sampleRate;
  }
  const samples = new Float32Array(window.ear.fftSize);
  window.ear.getFloatTimeDomainData(samples);
  return { samples: Array.from(samples), rate: window.rate };
}
"""


@pytest.fixture
def own_browser(driven, tmp_path):
    tone = f"--use-file-for-fake-audio-capture={tone_file(tmp_path, BROWSER, 48_000, 2)}"
    made = driven.chromium.launch(
        executable_path="/usr/bin/chromium", headless=True, args=[*FLAGS, NO_OTHER_HOST, tone]
    )
    yield made
    made.close()


@pytest.mark.timeout(240)
def test_telephones_and_a_browser_hear_each_other(one_service, tmp_path, own_browser):
    folder = tmp_path / "janus" / "cau-a"
    server = janus.prepare(folder, "cau-a", f"{one_service.url}/hooks/cau-t")
    bridge = janus.start(folder, server)
    telephones = []
    try:
        one_service.set_up(tmp_path / "janus")
        one_service.start()
        with one_service.api("quantri@ninhthuan.example") as api:
            talk(api, one_service, server, tmp_path, own_browser, telephones)
    finally:
        for one in telephones:
            one.hang_up()
        bridge.terminate()
        bridge.wait()


def talk(api, service, server, folder, browser, telephones):
    given = {"code": "cau-t", "name": "Cầu thoại", "driver": "janus_audio", "ports": 20}
    given |= {"networks": ["tslcd", "internet"], **server.as_audio_bridge()}
    assert api.post("/bridges", json=given).status_code == 201
    wait_for(lambda: api.get("/bridges/cau-t").json()["state"] == "up")

    alice, bob, stranger = (
        Telephone(folder, name, tone)
        for name, tone in (("ba-1", ALICE), ("ns-1", BOB), ("xx-1", STRANGER))
    )
    telephones += [alice, bob, stranger]
    set_address(api, "BA-1", f"sip:{alice.address}")
    set_address(api, "NS-1", f"sip:{bob.address}")
    meeting = book(api)
    number = meeting["occurrences"][0]["id"]
    wait_for(lambda: api.get(f"/conferences/{number}").json()["open"], 60)

    bob.start()  # and is called
    dialled = dial_string(api, meeting["uid"])
    alice.start(calls=dialled)
    stranger.start(calls=dialled)
    assert api.post(f"/conferences/{number}/dial", json={"endpoint": "NS-1"}).status_code == 200
    person = join_by_browser(service, browser, meeting)
    wait_for(lambda: len(inside(api, number)) == 3, 40)
    wait_for(lambda: {one["endpoint"] for one in inside(api, number)} == set(SITES), 15)

    wait_for(lambda: alice.hears(BOB) > QUIET and alice.hears(BROWSER) > QUIET, 30)
    wait_for(lambda: bob.hears(ALICE) > QUIET and bob.hears(BROWSER) > QUIET, 30)
    wait_for(lambda: browser_hears(person, ALICE, BOB), 30)
    assert alice.hears(STRANGER) < QUIET  # who was not invited is not heard

    leg = next(one["leg"] for one in inside(api, number) if one["endpoint"] == "NS-1")
    assert api.post(f"/conferences/{number}/mute", json={"leg": leg}).status_code == 200
    wait_for(lambda: alice.hears(BOB) < QUIET < alice.hears(BROWSER), 20)

    bob.hang_up()
    wait_for(lambda: len(inside(api, number)) == 2, 40)


def set_address(api, code, address):
    answer = api.patch(f"/endpoints/{code}", json={"address": address})
    assert answer.status_code == 200, answer.text


def book(api):
    soon = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    given = {"title": "Họp thoại", "start": soon.isoformat(), "minutes": 30, "lead_minutes": 1}
    given |= {"host": "UBND", "bridge": "cau-t"}
    given |= {"endpoints": [{"code": code} for code in SITES]}
    answer = api.post("/meetings", json=given)
    assert answer.status_code == 201, answer.text
    return answer.json()


def dial_string(api, uid):
    """Return what the invitation says is dialled."""
    found = api.get(f"/meetings/{uid}").json()["occurrences"][0]["dial"]
    assert len(found) == 1
    return found[0]


def join_by_browser(service, browser, meeting):
    link = next(one["join_url"] for one in meeting["attendees"] if one["endpoint"] == "STC-1")
    person = Visitor(browser, service.url)
    person.page.goto(link)
    person.page.get_by_role("button", name="Kiểm tra camera và micrô").click()
    person.page.get_by_role("button", name="Vào họp").click()
    return person


def inside(api, number):
    return api.get(f"/conferences/{number}").json()["participants"]


def browser_hears(person, *tones):
    heard = person.page.evaluate(LISTEN)
    time.sleep(0.3)
    if not heard:
        return False
    return all(share_of(tone, heard["samples"], heard["rate"]) > QUIET for tone in tones)
