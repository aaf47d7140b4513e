from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oodseg_ros.cli.main import main


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["oodseg", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_keys_sign_check_and_a_refusal(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(tiny_bundle, tmp_path / "tiny")
    key = tmp_path / "maker"
    assert run(monkeypatch, "sign", "--new-key", key) == 0
    assert run(monkeypatch, "sign", bundle, "--check", f"{key}.pub") == 2
    assert "is not signed" in capsys.readouterr().err.replace("\n", " ")
    assert run(monkeypatch, "sign", bundle, "--key", key) == 0
    assert run(monkeypatch, "sign", bundle, "--check", f"{key}.pub") == 0
    assert "all files as signed" in " ".join(capsys.readouterr().out.split())
    assert run(monkeypatch, "sign") == 2
    assert run(monkeypatch, "sign", bundle) == 2
