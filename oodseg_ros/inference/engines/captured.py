"""One image shape on a CUDA device without a queue of small calls: pinned buffers, one stream, one CUDA graph where
it can be captured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from ...errors import EngineError

WARM_UPS = 3
"""Runs before the capture: compilation, choice of kernels and allocation must not be captured."""


class CapturedGraph:
    """Images in host memory → answers in host memory, everything between them launched as one graph.

    Built and called by one thread. The GIL is free while the device works.

    Args:
        function: uint8 `[B, H, W, 3]` on the device → (labels uint8, score float16 or float32) `[B, H, W]` there.
        shape: (batch, height, width).
        device: a CUDA device.
        identity: the engine's, for messages.
        capture: asked with the stream whether a graph can hold the function, or False where it is one already: then
            it is called each time.

    Raises:
        EngineError: the device failed or is out of memory, here or when called. Whoever calls again and again should
            give up: most CUDA errors stay until the process ends.
    """

    def __init__(
        self,
        function: Callable[[Tensor], tuple[Tensor, Tensor]],
        shape: tuple[int, int, int],
        device: torch.device,
        identity: str,
        capture: Callable[[int], bool] | bool = True,
    ) -> None:
        self._identity = identity
        self._function = function  # the captured graph reads its weights and buffers: they must live as long
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._done = torch.cuda.Event(blocking=True)  # waiting threads sleep instead of spinning on a core
        self._host_images = torch.zeros((*shape, 3), dtype=torch.uint8, pin_memory=True)
        with device_errors(identity), torch.inference_mode(), torch.cuda.device(device):
            with torch.cuda.stream(self._stream):
                self._images = self._host_images.to(device)
                for _ in range(WARM_UPS):
                    self._answers = function(self._images)
            self._stream.synchronize()
            self._graph = None
            if capture is True or (capture and capture(self._stream.cuda_stream)):
                self._graph = torch.cuda.CUDAGraph()
                # Other threads go on meanwhile: one shape is captured while another one runs.
                with torch.cuda.graph(self._graph, stream=self._stream, capture_error_mode="thread_local"):
                    self._answers = function(self._images)
            self._host_answers = [torch.empty(a.shape, dtype=a.dtype, pin_memory=True) for a in self._answers]

    def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 `[B, H, W, 3]` → (uint8 `[B, H, W]`, float32 `[B, H, W]`), arrays of the caller's own."""
        self._host_images.numpy()[...] = images
        with device_errors(self._identity):
            with torch.inference_mode(), torch.cuda.device(self._device), torch.cuda.stream(self._stream):
                self._images.copy_(self._host_images, non_blocking=True)
                self.replay()
                for host, answer in zip(self._host_answers, self._answers, strict=True):
                    host.copy_(answer, non_blocking=True)
                self._done.record()
            self._done.synchronize()
        labels, score = (host.numpy() for host in self._host_answers)
        return labels.copy(), score.astype(np.float32)

    def replay(self) -> None:
        """Run once more on the images that are on the device; for whoever times the device alone."""
        if self._graph is None:
            self._answers = self._function(self._images)
        else:
            self._graph.replay()


@contextmanager
def device_errors(identity: str) -> Iterator[None]:
    """What CUDA says of a device that failed or is out of memory becomes an `EngineError`."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        torch.cuda.empty_cache()  # what a retry can use
        raise EngineError(f"{identity}: the device is out of memory ({_first_line(error)})") from error
    except RuntimeError as error:
        raise EngineError(f"{identity}: the device failed ({_first_line(error)})") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
