"""What all commands have in common on the terminal: JSON for scripts, quiet, and nothing that is cut."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from oodseg_ros.cli import main as cli
from oodseg_ros.cli.output import Output, stages, table
from oodseg_ros.errors import UserError, why


def invoke(*words: object, columns: int = 80):
    arguments = [str(word) for word in words]
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(cli.build_app(arguments), arguments)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_speaks_json_and_can_be_quiet(name: str) -> None:
    command = import_module(f"oodseg_ros.cli.{cli.COMMANDS[name]}").command
    assert {"json", "quiet"} <= set(inspect.signature(command).parameters)


@pytest.mark.parametrize("file", sorted(Path(cli.__file__).parent.glob("*.py")), ids=lambda file: file.stem)
def test_tables_and_bars_are_made_in_one_place(file: Path) -> None:
    """There they are never cut, and leave no empty line where nobody watches."""
    if file.stem != "output":
        assert not re.findall(r"(?<!\.)\b(?:Table|Progress|track)\(", file.read_text())


@pytest.mark.parametrize("columns", [40, 80])
def test_a_bundle_is_shown_whole_in_a_narrow_terminal(columns: int) -> None:
    card = json.loads(invoke("info", "road_lite", "--json").output)["card"]
    shown = invoke("info", "road_lite", columns=columns).output
    assert "…" not in shown
    for command in {metric["command"] for metric in card["metrics"]}:
        assert shown.count(f"made by: {command}\n") == 1
    if columns == 80:
        for metric in card["metrics"]:
            assert f" {metric['name']} " in shown


def test_cells_go_on_in_the_next_line() -> None:
    name = "a" * 30 + "b" * 30
    made = table("name", "value", numbers=True)
    made.add_row(name, "1")
    console = Console(file=io.StringIO(), width=24)
    console.print(made)
    shown = console.file.getvalue()
    assert re.sub(r"[^ab]", "", shown.split("┩", 1)[1]) == name
    assert max(map(len, shown.splitlines())) <= 24


def test_where_nobody_watches_there_is_no_bar_and_no_empty_line(capsys: pytest.CaptureFixture) -> None:
    shown = Output(json=False, quiet=False)
    with shown.progress("{task.description}") as bar:
        bar.add_task("working", total=1)
        with stages(bar)("preparing"):
            assert [task.description for task in bar.tasks] == ["working", "preparing"]
        assert [task.description for task in bar.tasks] == ["working"]
    shown.console.print("done")
    assert capsys.readouterr().out == "done\n"


def test_what_a_list_leaves_out_is_counted(capsys: pytest.CaptureFixture) -> None:
    shown = Output(json=False, quiet=False)
    shown.warn_losses({f"reason {index}": index for index in range(1, 8)}, [f"n{index}" for index in range(12)])
    shown.warn_left_out({f"frame {index}": "torn" for index in range(7)})
    lines = capsys.readouterr().out.splitlines()
    assert lines[4:6] == ["3 frames skipped: reason 3", "and 3 more, 28 in all"]
    assert lines[15:17] == ["note: n9", "and 2 notes more; --json lists all"]
    assert lines[-1] == "and 2 frames more were left out, 7 in all; --json lists all"


def test_an_error_of_a_file_does_not_name_it_twice(tmp_path: Path) -> None:
    for words in (("replay", "road_lite", tmp_path / "none.mcap"), ("run", "road_lite", tmp_path / "none.mcap")):
        done = invoke(*words, "--out", tmp_path / "out")
        assert isinstance(done.exception, UserError)
        assert str(done.exception).count("none.mcap") == 1
        assert "Errno" not in str(done.exception)
    with pytest.raises(OSError) as raised:
        (tmp_path / "none").read_text()
    assert why(raised.value) == "No such file or directory"
    assert why(ValueError("odd")) == "odd"


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code = "from oodseg_ros.cli.main import main; main()"
    words = ["demo", "--out", str(tmp_path / "file" / "demo"), "--frames", "1"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


def test_both_places_of_a_bare_name_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    told = str(invoke("info", "mine").exception)
    assert told.startswith("no bundle at mine nor at ")
    assert "models/mine (no such folder)" in told
    assert "road_lite" in told


@pytest.mark.parametrize(
    ("command", "file"), [("demo", "index.html"), ("demo", "demo.json"), ("faults", "faults.json")]
)
def test_demo_and_faults_replace_nothing_in_silence(tmp_path: Path, command: str, file: str) -> None:
    (tmp_path / file).write_text("of an earlier run")
    done = invoke(command, "--out", tmp_path)
    assert isinstance(done.exception, UserError)
    assert "--overwrite" in str(done.exception)
    assert (tmp_path / file).read_text() == "of an earlier run"


def test_the_faults_are_listed_for_scripts(tmp_path: Path) -> None:
    told = json.loads(invoke("faults", "--out", tmp_path, "--list", "--json").stdout)["faults"]
    names = [fault["name"] for fault in told]
    assert len(names) == len(set(names)) > 50
    assert all(name in invoke("faults", "--out", tmp_path, "--list").stdout for name in names)


def test_new_keys_are_told_as_json(tmp_path: Path) -> None:
    told = json.loads(invoke("sign", "--new-key", tmp_path / "key.pem", "--json").stdout)
    assert Path(told["private_key"]).is_file()
    assert Path(told["public_key"]).is_file()


COMPLETED = [
    ("oodseg cal", 1, {"calibrate", "calibrate-objects"}),
    ("oodseg run road_lite --prec", 3, {"--precision"}),
    ("oodseg evaluate --keep", 2, {"--keep-scores"}),
]


@pytest.mark.parametrize(("typed", "word", "wanted"), COMPLETED)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_and_options(tmp_path: Path, shell: str, typed: str, word: int, wanted: set) -> None:
    """The function that `--install-completion` writes, called by the shell itself."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    tool = tmp_path / "oodseg"
    tool.write_text(f"#!{sys.executable}\nfrom oodseg_ros.cli.main import main\nmain()\n")
    tool.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    if shell == "bash":
        script = f'eval "$(env _OODSEG_COMPLETE=source_bash oodseg)"; COMP_WORDS=({typed}); COMP_CWORD={word}; '
        script += '_oodseg_completion oodseg; printf "%s\\n" "${COMPREPLY[@]}"'
    else:
        script = f'eval "$(env _OODSEG_COMPLETE=complete_zsh _TYPER_COMPLETE_ARGS="{typed}" oodseg)"'
        script = "_arguments() { print -l -- $@ }; _describe() { print -l -- $@ }; " + script
    done = subprocess.run([shell, "-c", script], env=env, capture_output=True, text=True, timeout=120)
    found = {word for line in done.stdout.splitlines() for word in re.findall(r"[a-z-]+", line)}
    assert wanted <= found, done.stdout + done.stderr


def test_bars_of_libraries_do_not_mix_with_ours() -> None:
    code = (
        "import sys; sys.argv = ['oodseg', '--version']\n"
        "from oodseg_ros.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "from tqdm.auto import tqdm; list(tqdm(range(3), desc='Loading weights'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stderr == ""


@pytest.mark.parametrize(
    "words",
    [
        ("calibrate", "none", "camvid", "--root", "none", "--target", "pixels=0.1"),
        ("calibrate-objects", "none", "none"),
    ],
)
def test_a_copy_that_is_there_is_said_before_the_work(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert str(invoke(*words, "--out", tmp_path).exception) == f"{tmp_path} exists; give another --out"
