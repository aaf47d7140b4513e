"""`oodseg engines`: what was built can be found, carried and removed, and nothing else is touched."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodseg_ros.cli.main import build_app
from oodseg_ros.errors import UserError
from oodseg_ros.inference.engine_cache import EngineIdentity, draft


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for height, accepted in ((480, True), (720, False)):
        code = "c" * 64
        identity = EngineIdentity("road", "a" * 64, height, 640, 1, "fp16", "sm_89", "tensorrt-10.1", code)
        with draft(identity, tmp_path / "engines") as making:
            making.path(".plan").write_bytes(b"plan of " + str(height).encode())
            making.store(accepted, reason="" if accepted else "was not run", built={"bytes": 12})
    (tmp_path / "engines" / "note.txt").write_text("mine")
    return tmp_path / "engines"


def run(*words: object):
    arguments = ["engines", *map(str, words)]
    return CliRunner(env={"COLUMNS": "60"}).invoke(build_app(arguments), arguments)


def test_all_are_listed_with_what_may_run(folder: Path) -> None:
    told = json.loads(run("list", "--folder", folder, "--json").output)
    assert [(one["height"], one["accepted"]) for one in told["engines"]] == [(480, True), (720, False)]
    shown = run("list", "--folder", folder).output
    assert "640x480" in shown
    assert "not usable: was not run" in shown
    assert re.search(r"^road-a{12}-640x480-\S+-c{8}$", shown, re.MULTILINE)  # whole, to be copied
    assert "no engine in" in run("list", "--folder", folder / "empty").output


def test_one_is_shown_copied_and_removed(folder: Path, tmp_path: Path) -> None:
    name = "road-aaaaaaaaaaaa-640x480"
    shown = run("show", name, "--folder", folder).output
    assert "plan" in shown
    assert re.search(r"accepted +│ yes ", shown)
    assert "{'" not in shown
    assert "reason" not in shown
    done = run("copy", name, "--folder", folder, "--to", tmp_path / "bundle" / "engines")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "bundle" / "engines").iterdir())) == 2
    again = run("copy", name, "--folder", folder, "--to", tmp_path / "bundle" / "engines")
    assert isinstance(again.exception, UserError)
    assert run("remove", name, "--folder", folder).exit_code == 0
    assert {file.name for file in folder.iterdir()} == {"pending", "note.txt"}
    assert len(list((folder / "pending").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show", "road"), "several engines begin with"),
        (("show", "moon"), "no engine is called 'moon'"),
        (("remove",), "say which one"),
        (("copy", "road-aaaaaaaaaaaa-640x480"), "--to FOLDER"),
        (("fly", "road"), "there are list, show, remove, copy"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, words: tuple[str, ...], sentence: str) -> None:
    done = run(*words, "--folder", folder)
    assert isinstance(done.exception, UserError)
    assert sentence in str(done.exception)


def test_a_damaged_engine_is_not_carried(folder: Path, tmp_path: Path) -> None:
    plan = next(folder.glob("*.plan"))
    plan.write_bytes(b"other")
    done = run("copy", plan.stem, "--folder", folder, "--to", tmp_path / "there")
    assert isinstance(done.exception, UserError)
    assert not (tmp_path / "there").exists()
