"""Nothing is begun again in silence; saves are complete or not there; a stop comes between two steps."""

from __future__ import annotations

import signal
from pathlib import Path

import lightning
import pytest
import torch
from torch.utils.data import DataLoader

from oodseg_ros.errors import ConfigError
from oodseg_ros.training.recipe import load_recipe
from oodseg_ros.training.resume import (
    FILE,
    AtomicCheckpoints,
    SaveCheckpoint,
    StopSignals,
    state_of_run,
    store_recipe,
    undamaged,
    write_atomically,
)
from oodseg_ros.training.run_stage import Processes, batches_of


def test_a_crash_in_the_middle_of_a_save_keeps_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpoints().save_checkpoint({"step": torch.tensor(1)}, path)

    def dies_half_way(content: object, stream) -> None:
        stream.write(b"half of a checkpoint")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", dies_half_way)
    with pytest.raises(OSError, match="no space"):
        write_atomically({"step": torch.tensor(2)}, path)
    assert torch.load(path, weights_only=True)["step"] == 1


class Counting(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.interrupt_at = -1
        self.seen: list[list[float]] = []

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        self.seen.append(batch.tolist())
        if self.global_step == self.interrupt_at:
            # Not a real signal: in one process with rclpy's tests that ends in handlers of contexts that are gone.
            signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
        return (self.weight - batch.mean()) ** 2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(module: Counting, path: Path, every: int = 100, resume_at: int = 0) -> SaveCheckpoint:
    signals = StopSignals()
    saving = SaveCheckpoint(path, every, signals)
    trainer = lightning.Trainer(
        max_steps=10,
        min_epochs=0,
        accelerator="cpu",
        callbacks=[saving],
        plugins=[AtomicCheckpoints()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader = DataLoader(torch.arange(20.0), batch_sampler=batches_of(Processes(), 2, resume_at, 10))
    with signals:
        trainer.fit(module, loader, ckpt_path=str(path) if resume_at else None, weights_only=True)
    return saving


def test_a_damaged_file_of_an_earlier_run_is_not_gone_on_with(tmp_path: Path) -> None:
    """torch.load gives the changed numbers."""
    path, weights = tmp_path / "stage1_uem.pt", torch.arange(100, dtype=torch.float32)
    write_atomically({"weights": weights}, path)
    assert undamaged(path) == path
    content = bytearray(path.read_bytes())
    content[content.find(weights.numpy().tobytes()) + 202] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"stage1_uem\.pt is damaged\. Delete it"):
        undamaged(path)
    path.write_bytes(content[:200])
    with pytest.raises(ConfigError, match=r"is damaged\. Delete it"):
        undamaged(path)


def test_ctrl_c_ends_after_the_step_with_a_checkpoint(tmp_path: Path) -> None:
    module = Counting()
    module.interrupt_at = 3
    before = signal.getsignal(signal.SIGINT)
    assert fit(module, tmp_path / "last.ckpt").stopped
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 4
    assert torch.equal(checkpoint["state_dict"]["weight"], module.weight)
    assert signal.getsignal(signal.SIGINT) is before


def test_checkpoints_come_in_time(tmp_path: Path) -> None:
    assert not fit(Counting(), tmp_path / "last.ckpt", every=4).stopped
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 8
    assert list(tmp_path.iterdir()) == [tmp_path / "last.ckpt"]


@pytest.mark.parametrize("stop_at", [2, 5, 7, 9])
def test_a_resumed_run_sees_what_is_left_and_ends_with_the_same_weights(tmp_path: Path, stop_at: int) -> None:
    whole, first, second = Counting(), Counting(), Counting()
    fit(whole, tmp_path / "whole.ckpt")
    first.interrupt_at = stop_at - 1
    fit(first, tmp_path / "last.ckpt")
    fit(second, tmp_path / "last.ckpt", resume_at=stop_at)
    assert first.seen + second.seen == whole.seen
    assert torch.equal(second.weight, whole.weight)


def test_only_what_changes_weights_is_compared(small_recipe: Path, tmp_path: Path) -> None:
    recipe, folder = load_recipe(small_recipe), tmp_path / "run"
    store_recipe(recipe, folder, resume=False, write=True)
    (folder / "stage1_inlier.pt").touch()
    store_recipe(recipe.model_copy(update={"workers": 3, "description": "other"}), folder, resume=True, write=True)
    with pytest.raises(ConfigError, match=r"seed was 2000, is 7\. .*another --out"):
        store_recipe(recipe.model_copy(update={"seed": 7}), folder, resume=True, write=True)
    faster = [recipe.stages[0].model_copy(update={"lr": 0.5}), *recipe.stages[1:]]
    with pytest.raises(ConfigError, match=r"recipe: stages\[0\]\.lr was [0-9.e-]+, is 0\.5\. Undo"):
        store_recipe(recipe.model_copy(update={"stages": faster}), folder, resume=True, write=True)
    with pytest.raises(ConfigError, match=r"stages was .*, is "):
        store_recipe(recipe.model_copy(update={"stages": faster[:1]}), folder, resume=True, write=True)
    with pytest.raises(ConfigError, match=r"crop\[0\] was 64, is 96"):
        store_recipe(recipe.model_copy(update={"crop": (96, 96)}), folder, resume=True, write=True)


def test_resume_and_overwrite_contradict_each_other(small_recipe: Path, tmp_path: Path) -> None:
    recipe, folder = load_recipe(small_recipe), tmp_path / "run"
    store_recipe(recipe, folder, resume=False, write=True)
    (folder / "stage1_inlier.pt").touch()
    with pytest.raises(ConfigError, match="give one of them, not both"):
        store_recipe(recipe, folder, resume=True, write=True, overwrite=True)
    assert (folder / "stage1_inlier.pt").exists()


def test_whether_there_is_a_run_to_go_on_with(small_recipe: Path, tmp_path: Path) -> None:
    recipe, folder = load_recipe(small_recipe), tmp_path / "run"
    assert not store_recipe(recipe, folder, resume=True, write=True)
    assert not store_recipe(recipe, folder, resume=True, write=True)  # refused before its first step
    (folder / "stage1_inlier.pt").touch()
    assert store_recipe(recipe, folder, resume=True, write=True)


def test_a_run_that_was_refused_before_its_first_step_is_in_nobodys_way(small_recipe: Path, tmp_path: Path) -> None:
    recipe, folder = load_recipe(small_recipe), tmp_path / "run"
    store_recipe(recipe, folder, resume=False, write=True)
    for resume in (False, True):
        mended = recipe.model_copy(update={"seed": 7 + resume})
        store_recipe(mended, folder, resume=resume, write=True)
        assert f'"seed": {7 + resume}' in (folder / FILE).read_text()


def test_an_earlier_run_is_replaced_only_where_that_is_asked_for(small_recipe: Path, tmp_path: Path) -> None:
    recipe, folder = load_recipe(small_recipe), tmp_path / "run"
    store_recipe(recipe, folder, resume=True, write=False)
    assert not (folder / FILE).exists()
    store_recipe(recipe, folder, resume=False, write=True)
    (folder / "stage1_inlier").mkdir()
    (folder / "stage1_inlier" / "metrics.csv").write_text("step,loss\n")
    with pytest.raises(
        ConfigError, match=r"interrupted in stage 1 of 2 \(inlier\).*step 0 of 4.*--resume.*--overwrite"
    ):
        store_recipe(recipe, folder, resume=False, write=True)
    assert (folder / "stage1_inlier" / "metrics.csv").is_file()
    other = recipe.model_copy(update={"seed": 7})
    store_recipe(other, folder, resume=False, write=True, overwrite=True)
    store_recipe(other, folder, resume=True, write=True)
    assert [file.name for file in folder.iterdir()] == [FILE]
    for name in ("stage1_inlier.pt", "stage2_uem.pt"):
        (folder / name).touch()
    assert state_of_run(folder) == "finished, 2 of 2 stages"


def test_only_one_signal_raises_and_a_third_changes_nothing() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals() as signals:
        handler = signal.getsignal(signal.SIGTERM)
        signals.stepping = True
        handler(signal.SIGTERM, None)
        assert signals.asked
        with pytest.raises(KeyboardInterrupt):
            handler(signal.SIGTERM, None)
        handler(signal.SIGTERM, None)
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
    assert signal.getsignal(signal.SIGTERM) is before


def test_outside_of_a_step_the_first_signal_raises() -> None:
    with StopSignals(), pytest.raises(KeyboardInterrupt):
        signal.getsignal(signal.SIGINT)(signal.SIGINT, None)
