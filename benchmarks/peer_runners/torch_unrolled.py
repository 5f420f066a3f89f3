"""The hand-written PyTorch network as ONNX, its time loop unrolled: any runtime can optimize it whole."""

from __future__ import annotations

import warnings

import torch
from convlstm_native.readers import read
from torch import nn

from peer_runners import Job
from peer_runners.torch_fused import Steps, Tensor

OPSET = 17


class Unrolled(nn.Module):  # type: ignore[misc]
    """A clip (T, *frame) to the outputs, (T, ...) each, from zero states."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, clip: Tensor) -> list[Tensor]:
        """All frames; T is fixed when this is traced."""
        steps, results = self.steps, []
        states = steps.zeros(torch.float32)
        for frame in steps.pictures(clip).split(1):
            result, states = steps(frame, states)
            results.append(result)
        outputs: list[Tensor] = steps.tail(results)
        return outputs


def write(job: Job) -> None:
    """The export, for the frames of the job; by tracing, since that is what unrolls a loop."""
    steps = Steps(read(job.file("keras"))).eval()
    clip = torch.zeros(job.frames, *steps.frames.shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that tracing is on its way out, and makes shapes constant
        torch.onnx.export(
            Unrolled(steps),
            (clip,),
            str(job.file("unrolled")),
            opset_version=OPSET,
            input_names=["clip"],
            output_names=[f"output_{k}" for k in range(len(steps.outputs))],
            dynamo=False,
        )
