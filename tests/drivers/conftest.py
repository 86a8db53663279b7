from __future__ import annotations

import pytest

from tests.drivers import cisco, makers


def _served(kind):
    @pytest.fixture
    def server():
        made = kind()
        yield made
        made.stop()
        assert made.mistakes == []

    return server


bigbluebutton_server = _served(makers.BigBlueButton)
pexip_server = _served(makers.Pexip)
cms_server = _served(cisco.Cms)
jitsi_server = _served(makers.Jitsi)


class Elsewhere:
    def as_bridge(self):
        return {"settings": {"address": "https://hop.example/1"}, "secrets": {"pin": "2468"}}


@pytest.fixture
def external_server():
    return Elsewhere()
