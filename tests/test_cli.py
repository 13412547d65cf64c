"""The command `hxtorch`: its commands, help, exit codes and JSON."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hxtorch.cli import main
from hxtorch.cli.app import find_commands
from hxtorch.cli.command import Command, CommandError, as_json, natural, positive
from hxtorch.twin import DEFAULT_CHIP_SEED

COMMANDS = find_commands()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: hxtorch {name}")
    assert "exit codes: 0 done" in text


def test_the_list_of_commands(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"\n    {name}" in text
        assert " ".join(command.help.split()) in " ".join(text.split())


def test_info_as_json(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["standard chip"] == f"twin:{DEFAULT_CHIP_SEED}"
    assert facts["threads of the twin"] >= 1


@pytest.fixture
def failing(monkeypatch):
    """A command `fail` that raises what is put into the returned list."""
    errors = []

    def run(options):
        raise errors[0]

    command = Command("fail", "fail", lambda parser: None, run)
    monkeypatch.setattr("hxtorch.cli.app.find_commands", lambda: {"fail": command})
    return errors


@pytest.mark.parametrize("error", [CommandError("too hot"), ValueError("too hot"), FileNotFoundError("too hot")])
def test_expected_errors_show_their_text_alone(failing, error, capsys):
    failing.append(error)
    assert main(["fail"]) == 1
    assert capsys.readouterr().err == "hxtorch fail: error: too hot\n"
    with pytest.raises(type(error), match="too hot"):
        main(["--traceback", "fail"])


def test_bugs_and_interrupts(failing, capsys):
    failing.append(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        main(["fail"])
    failing[0] = KeyboardInterrupt()
    assert main(["fail"]) == 130
    assert capsys.readouterr().err == "hxtorch fail: stopped\n"


def test_a_reader_that_stops_early_is_no_error():
    """As in `hxtorch info | head -0`: no traceback."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "hxtorch.cli", "info"], check=False, stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    assert "Traceback" not in done.stderr


def test_numbers_on_the_command_line():
    assert (positive("3"), natural("0")) == (3, 0)
    for read, text in ((positive, "0"), (natural, "-1"), (natural, "many")):
        with pytest.raises(Exception, match="is no whole number"):
            read(text)


def test_json_of_arrays_and_missing_numbers():
    value = {"a": np.array([1.5, np.nan]), "b": (np.int64(3), None, True), "c": float("inf")}
    assert json.loads(as_json(value)) == {"a": [1.5, None], "b": [3, None, True], "c": None}
