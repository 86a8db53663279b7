"""Settings: what is taken, and what the service refuses to start with."""

from __future__ import annotations

import pytest

from confbridge.config import from_environment
from confbridge.errors import BadConfig
from tests.conftest import KEY


def settings(**given: str):
    return from_environment({"CONFBRIDGE_SECRET_KEY": KEY} | given)


def test_everything_has_a_default():
    found = settings()
    assert found.database_url.startswith("sqlite:////")
    assert found.base_url == "http://127.0.0.1:8000"
    assert found.timezone == "Asia/Ho_Chi_Minh"
    assert not found.is_https


def test_the_address_follows_host_and_port():
    found = settings(CONFBRIDGE_HOST="10.0.0.5", CONFBRIDGE_PORT="8080")
    assert found.base_url == "http://10.0.0.5:8080"


def test_a_secret_may_stand_in_a_file(tmp_path):
    (tmp_path / "key").write_text(KEY + "-from-a-file\n")
    found = from_environment({"CONFBRIDGE_SECRET_KEY_FILE": str(tmp_path / "key")})
    assert found.secret_key == KEY + "-from-a-file"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("DATABASE_URL", "mysql://x"),
        ("BASE_URL", "hoinghi.example"),
        ("PORT", "http"),
        ("PORT", "70000"),
        ("MAIL_URL", "post:office"),
        ("MAIL_FROM", "nobody"),
        ("TIMEZONE", "Asia/Atlantis"),
        ("SECRET_KEY_FILE", "/no/such/file"),
    ],
)
def test_nonsense_is_refused_by_name(name, value):
    with pytest.raises(BadConfig, match=name.removesuffix("_FILE")):
        settings(**{f"CONFBRIDGE_{name}": value})
