"""Secrets of the environment do not get into what is written down."""

import pytest

from nas_ray.redaction import redacted


@pytest.mark.parametrize(
    "name", ["AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "db_password", "GOOGLE_APPLICATION_CREDENTIALS"]
)
def test_a_secret_is_replaced_by_its_name(name):
    said = redacted("403 for s3cr3t-value at host", {name: "s3cr3t-value"})
    assert said == f"403 for <{name}> at host"


def test_of_two_secrets_the_longer_is_replaced_whole():
    environment = {"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefgh-ijkl"}
    assert redacted("abcdefgh-ijkl, abcdefgh", environment) == "<B_TOKEN>, <A_TOKEN>"


def test_what_is_no_secret_stays():
    environment = {"HOME": "/home/someone", "KEY": "short", "TOKEN": ""}
    text = "no file /home/someone/short"
    assert redacted(text, environment) == text


def test_by_default_it_is_the_environment_of_the_process(monkeypatch):
    monkeypatch.setenv("NAS_RAY_TEST_TOKEN", "of-this-process")
    assert redacted("got of-this-process") == "got <NAS_RAY_TEST_TOKEN>"
