"""The command `hxtorch`: its commands, help, exit codes and JSON."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from hxtorch.cli import main
from hxtorch.cli.app import find_commands
from hxtorch.cli.command import Command, CommandError, UsageError, as_json, natural, positive
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


# --- Wrong command lines, and places where nothing can be written --------------------------------------------


def outcome(arguments, capsys):
    """Exit code, and what went to the two outputs."""
    try:
        code = main(arguments)
    except SystemExit as stop:
        code = stop.code
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "usage: hxtorch"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["info", "more"], "unrecognized arguments: more"),
        (["map"], "required: script"),
        (["map", "--run", "0", "x.py"], "no whole number of at least 1"),
        (["demo", "--epochs", "none"], "no whole number"),
        (["fidelity", "--rows", "nope"], "No row is called"),
        (["reproduce", "nope"], "known: yinyang"),
        (["study", "nope"], "known: decalibration"),
        (["study", "transfer", "--task", "nope"], "known: yinyang"),
    ],
)
def test_wrong_command_lines_exit_with_2(arguments, message, capsys):
    code, out, err = outcome(arguments, capsys)
    assert code == 2 and message in err and out == ""


def test_errors_of_names_point_at_the_help(failing, capsys):
    failing.append(UsageError("no such thing"))
    assert outcome(["fail"], capsys) == (2, "", "hxtorch fail: error: no such thing\nSee hxtorch fail --help.\n")


def test_errors_of_the_system_name_the_file(failing, capsys):
    failing.append(PermissionError(13, "Permission denied", "/root/figures"))
    assert outcome(["fail"], capsys)[2] == "hxtorch fail: error: /root/figures: Permission denied\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise ValueError('mine')", "failed before run 1."),
        ("x = = 1", "failed before run 1."),
        ("import sys; sys.exit(3)", "ended with exit code 3, before run 1."),
        ("import sys; sys.exit(0)", "with 0 runs of a network, so there is no run 1 to map."),
    ],
)
def test_scripts_that_do_not_come_to_their_network(tmp_path, text, message, capsys):
    script = tmp_path / "script.py"
    script.write_text(text)
    code, out, err = outcome(["map", str(script)], capsys)
    assert code == 1 and out == "" and err.rstrip().endswith(message)
    assert ("Traceback" in err or "SyntaxError" in err) == ("failed" in message)
    assert "runpy" not in err and str(script) in err


@pytest.mark.parametrize("command", [["info"], ["doctor", "--quick"]])
def test_without_a_home_and_with_nothing_to_write(tmp_path, command):
    """The folders of the caches are below a file, where not even root can make one."""
    (tmp_path / "file").touch()
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    environment = {**kept, "XDG_CACHE_HOME": str(tmp_path / "file" / "cache")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "hxtorch.cli", *command, "--json"],
        check=False, capture_output=True, text=True, env=environment, cwd="/proc",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads(done.stdout)
    if command[0] == "doctor":
        notes = [item for item in result["findings"] if "cannot be written" in item["found"]]
        assert result["healthy"] and [item["name"] for item in notes] == [
            "cache of calibrations",
            "cache of kernels",
        ]
