import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from components.errors import AdaptuneError
from serve.app import HOST
from serve.cli import command_again, register


@pytest.fixture
def app():
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    return app


def refused(app, *arguments):
    """The error that the command ends with, before it starts anything."""
    result = CliRunner().invoke(app, ["serve", *map(str, arguments)])
    assert isinstance(result.exception, AdaptuneError), result.output
    return str(result.exception)


def test_without_a_promoted_model_it_says_what_to_do(app, tmp_path):
    message = refused(app, "--home", tmp_path, "--alias", "candidate")
    assert message.startswith(f"{tmp_path / 'registry'}: no model is promoted as `candidate`")
    message = refused(app, "--home", tmp_path, "--alias", "candidate", "--task", "recommendation")
    assert message.startswith(f"{tmp_path / 'registry'}: no recommendation model is promoted as `candidate`")
    assert "adaptune promote SWEEP --alias candidate" in message
    assert list(tmp_path.iterdir()) == []


def test_a_task_that_cannot_be_served_is_refused(app, tmp_path):
    message = refused(app, "--home", tmp_path, "--task", "recommendation", "--task", "weather")
    assert message.startswith(
        "models of 'weather' cannot be served; those of recommendation, question-answering"
    )


def test_a_task_without_a_promoted_model_is_refused_where_it_is_named(app, champion, registry):
    message = refused(app, "--home", registry.root.parent, "--task", "question-answering")
    assert "no question-answering model is promoted as `champion`" in message


def test_a_damaged_model_is_refused(app, champion, registry):
    (champion.folder / "config.json").unlink()
    assert "config.json: missing" in refused(app, "--home", registry.root.parent)


def test_a_taken_port_is_refused(app, champion, registry):
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        message = refused(app, "--home", registry.root.parent, "--port", port)
    assert message == f"port {port}: Address already in use; choose another with --port"


def test_registering_the_command_loads_nothing_heavy():
    program = (
        "import json, sys, typer; from serve.cli import register; register(typer.Typer());"
        "print(json.dumps(list(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"ray", "torch", "fastapi", "pydantic", "pyarrow", "sqlite3"} & set(json.loads(done.stdout))


def test_the_demonstration_names_the_command_that_serves_the_same_models():
    assert command_again("champion", [], Path("runs")) == "adaptune serve"
    again = command_again("candidate", ["captioning"], Path("/my home"))
    assert again == "adaptune serve --alias candidate --task captioning --home '/my home'"
