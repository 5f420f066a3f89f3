"""The Keras network as tf2onnx exports it: a Loop for each recurrent layer."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow
import tf2onnx

from peer_runners import Job

OPSET = 18


def write(job: Job) -> None:
    """The export, for one sample of the frames of the job."""
    model = keras.models.load_model(job.file("keras"), compile=False)
    shape = (1, job.frames, *model.input_shape[2:])

    # tf2onnx's own entry for Keras models does not know Keras 3; a function of TensorFlow it takes.
    def forward(frames: Any) -> Any:
        outputs = model(frames, training=False)
        outputs = outputs if isinstance(outputs, list) else [outputs]
        # Named in an order that sorting keeps.
        return {f"output_{i:02}": output for i, output in enumerate(outputs)}

    signature = [tensorflow.TensorSpec(shape, tensorflow.float32, "frames")]
    tf2onnx.convert.from_function(
        tensorflow.function(forward, input_signature=signature),
        input_signature=signature,
        opset=OPSET,
        output_path=str(job.file("loop")),
    )
