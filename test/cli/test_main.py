"""The command line as a person meets it: real processes for the start, the app itself for the rest."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodseg_ros.cli import main as cli
from oodseg_ros.errors import UserError


def call(*arguments: str) -> subprocess.CompletedProcess:
    code = "from oodseg_ros.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_help_lists_every_command_and_imports_no_network():
    code = (
        "import sys; from oodseg_ros.cli.main import main\n"
        "try: main()\n"
        "finally: print('HEAVY', [m for m in ('torch', 'transformers', 'cv2', 'rclpy') if m in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=120, check=True
    )
    for name in cli.COMMANDS:
        assert name in shown.stdout
    assert "HEAVY []" in shown.stdout


def test_user_errors_are_one_line_without_traceback(tmp_path):
    result = call("info", str(tmp_path / "none"))
    assert result.returncode == 2
    assert result.stderr.startswith("error: no bundle at")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr


def test_unknown_command_is_named():
    result = call("nonsense")
    assert result.returncode == 2
    assert "No such command 'nonsense'" in result.stderr


@pytest.mark.parametrize("option", ["-q", "--quiet", "--json"])
def test_an_option_of_commands_is_sent_behind_the_command(option: str) -> None:
    arguments = [option, "info", "road_lite"]
    done = CliRunner(env={"COLUMNS": "200"}).invoke(cli.build_app(arguments), arguments)
    assert done.exit_code == 2
    assert "it belongs behind the command" in done.output


def test_version():
    result = CliRunner().invoke(cli.build_app(["--version"]), ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("oodseg_ros ")


def test_only_the_asked_command_is_imported(monkeypatch):
    imported = []
    monkeypatch.setattr(cli, "import_module", lambda name, package: imported.append(name) or pytest.fail)
    monkeypatch.setattr(cli, "COMMANDS", {"run": "run", "info": "info"})
    monkeypatch.setattr(pytest.fail, "command", lambda: None, raising=False)
    cli.build_app(["info", "run"])
    assert imported == [".info"]


def test_a_missing_package_is_named(monkeypatch, capsys):
    def fail(_):
        raise ModuleNotFoundError("No module named 'lightning'", name="lightning")

    monkeypatch.setattr(cli, "build_app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert "lightning is not installed" in capsys.readouterr().err


def test_a_missing_module_of_ours_is_not_hidden(monkeypatch):
    def fail(_):
        raise ModuleNotFoundError("No module named 'oodseg_ros.gone'", name="oodseg_ros.gone")

    monkeypatch.setattr(cli, "build_app", fail)
    with pytest.raises(ModuleNotFoundError):
        cli.main()


def test_one_file_per_command():
    folder = Path(cli.__file__).parent
    files = {file.stem for file in folder.glob("*.py")} - {"__init__", "main", "options", "output"}
    assert files == set(cli.COMMANDS.values())


def test_text_with_brackets_is_printed_as_it_is(monkeypatch, capsys):
    def fail(_):
        raise UserError("an image [/h, w, 3] is needed [red]")

    monkeypatch.setattr(cli, "build_app", fail)
    with pytest.raises(SystemExit) as exit_code:
        cli.main()
    assert exit_code.value.code == 2
    assert capsys.readouterr().err == "error: an image [/h, w, 3] is needed [red]\n"


def test_colons_in_names_stay_colons(tmp_path) -> None:
    """Rich would print `scenes:abc` as a picture."""
    arguments = ["run", "road_lite", "scenes:abc", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", "from oodseg_ros.cli.main import main; main()", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "scenes:abc" in done.stderr
