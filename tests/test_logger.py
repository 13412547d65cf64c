"""The loggers of `hxtorch.logger`."""

import logging
import subprocess
import sys

import pytest
import torch

import hxtorch
from hxtorch import logger


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    """Takes the outputs away that pytest has put on the root logger; to be called in the test."""
    root = logging.getLogger()
    level = root.level
    yield lambda: monkeypatch.setattr(root, "handlers", [])
    root.setLevel(level)


def test_any_number_of_arguments_of_any_type_in_both_cases(bare, capsys):
    bare()
    logger.default_config(level=logger.LogLevel.TRACE)
    log = hxtorch.logger.get("a script")
    for name in ("trace", "debug", "info", "warn", "error", "fatal", "warning"):
        for method in (getattr(log, name), getattr(log, name.upper())):
            method("100 %s", 1, None, torch.tensor([2]))
            method()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 28
    assert sum(line.endswith("a script  100 %s 1 None tensor([2])") for line in lines) == 14
    levels = ["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "WARNING"]
    assert [line.split()[0] for line in lines[::4]] == levels


def test_levels(bare, capsys):
    bare()
    logger.default_config()
    log, other = logger.get("one"), logger.get("two")
    logger.set_loglevel(log, logger.LogLevel.ERROR)
    logger.set_loglevel("two", logger.LogLevel.DEBUG)
    log.warn("dropped")
    other.debug("kept")
    assert capsys.readouterr().err.split()[-1] == "kept"
    assert (log.level, other.level) == (logger.LogLevel.ERROR, logger.LogLevel.DEBUG)
    for name in ("one", "two"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_configuring_twice_and_reset(bare, capsys):
    bare()
    root = logger.get_root()
    assert root.get_number_of_appenders() == 0
    logger.default_config(level=logger.LogLevel.WARN)
    logger.default_config(level=logger.LogLevel.INFO)
    assert root.get_number_of_appenders() == 1
    logger.get("x").info("once")
    assert capsys.readouterr().err.count("once") == 1
    logger.reset()
    assert root.get_number_of_appenders() == 0
    assert root.level == logger.LogLevel.WARN


def test_messages_name_the_line_of_the_caller(caplog):
    logging.getLogger().addHandler(caplog.handler)
    logger.get("x").ERROR("here")
    assert caplog.records[0].funcName == "test_messages_name_the_line_of_the_caller"


def test_importing_leaves_logging_alone():
    code = "import logging, hxtorch.snn; root = logging.getLogger(); print(root.handlers, root.level)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["[]", "30"]
