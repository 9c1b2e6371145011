from __future__ import annotations

import pytest

from sm_magics.errors import CellError, ConnectError
from sm_magics.local.start import find


def test_without_a_place_it_shows_where_the_cells_act(notebook):
    shown = notebook.run("%sm_connect").shown
    assert "Connected to local engine" in shown
    assert "account    123456789012" in shown
    assert "s3://sagemaker-us-east-1-123456789012/sm_magics/models" in shown


def test_another_state_directory_is_another_engine(notebook, tmp_path):
    notebook.run("%sm_connect")
    before = notebook.session.connected
    try:
        assert "Connected to local engine" in notebook.run(f"%sm_connect local --state '{tmp_path}'").shown
        assert notebook.session.connected.endpoint_url == find(tmp_path).url != before.endpoint_url
        assert "There are no endpoints yet." in notebook.run("%sm_status").shown
    finally:
        find(tmp_path).stop()


def test_an_engine_that_was_stopped_is_started_again_by_the_next_cell(notebook, tmp_path):
    notebook.run(f"%sm_connect local --state '{tmp_path}'")
    find(tmp_path).stop()
    try:
        notebook.run("%sm_status")
    finally:
        find(tmp_path).stop()


def test_a_state_directory_stays_the_same_wherever_the_notebook_goes(notebook, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "sm_magics.connection.connect_local", lambda state, **_: asked.append(state) or notebook.session.connection()
    )
    monkeypatch.chdir(tmp_path)
    notebook.session.use = lambda connect: connect()
    notebook.run("%sm_connect local --state mine")
    assert asked == [tmp_path / "mine"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("%sm_connect moon", "'moon' is none of "),
        ("%sm_connect local --role arn:aws:iam::1:role/r", "it belongs to %sm_connect aws"),
        ("%sm_connect local --bucket b", "it belongs to %sm_connect aws"),
        ("%sm_connect aws --role arn:aws:iam::1:role/r --state /x", "it belongs to %sm_connect local"),
        ("%sm_connect aws", "add --role"),
        ("%sm_connect --region eu-west-1", "%sm_connect local, or aws"),
    ],
)
def test_an_option_that_says_nothing_is_refused(notebook, line, told):
    assert told in notebook.fails(line, CellError)


def test_another_region_than_the_running_engine_s_is_refused(notebook):
    notebook.run("%sm_connect")
    assert "plays region us-east-1" in notebook.fails("%sm_connect local --region eu-west-1", ConnectError)


def test_a_connection_to_aws_that_fails_leaves_the_last_one(notebook, monkeypatch, tmp_path):
    notebook.run("%sm_connect")
    for variable in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert "no AWS region" in notebook.fails("%sm_connect aws --role arn:aws:iam::1:role/r", ConnectError)
    assert "Connected to local engine" in notebook.run("%sm_connect").shown


def test_aws_is_connected_to_with_what_the_line_says(notebook, monkeypatch, fake_connection):
    asked = []
    made = fake_connection()
    monkeypatch.setattr("sm_magics.connection.connect_aws", lambda **given: asked.append(given) or made)
    line = "%sm_connect aws --role arn:aws:iam::1:role/r --profile team --region eu-west-1 --bucket b"
    assert "Connected to fake" in notebook.run(line).shown
    assert asked == [{"role": "arn:aws:iam::1:role/r", "profile": "team", "region": "eu-west-1", "bucket": "b"}]
    assert notebook.session.connection() is made


class TestConfig:
    def test_without_a_setting_it_shows_all(self, notebook):
        assert "Settings\n\n  display  static\n  wait     true\n  timeout  1h\n" in notebook.run("%sm_config").shown

    def test_settings_are_set_and_last(self, notebook):
        notebook.run("%sm_config display=text wait=false timeout=5m")
        shown = notebook.run("%sm_config").shown
        assert all(line in shown for line in ("display  text", "wait     false", "timeout  5m"))

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("%sm_config dispaly=text", "did you mean display=text?"),
            ("%sm_config display", "did you mean display=...?"),
            ("%sm_config zzz=1", "there are display, wait, timeout"),
            ("%sm_config display=loud", "it takes auto, live, static, text"),
            ("%sm_config wait=perhaps", "it takes true or false"),
            ("%sm_config timeout=soon", "'soon' is no duration"),
        ],
    )
    def test_a_setting_that_is_none_is_refused(self, notebook, line, told):
        assert told in notebook.fails(line, CellError)

    def test_of_several_settings_all_are_set_or_none(self, notebook):
        notebook.fails("%sm_config wait=false timeout=soon", CellError)
        assert notebook.session.settings.wait
