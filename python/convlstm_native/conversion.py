"""Any readable model to portable ONNX, with a record of how its frames are made."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from convlstm_native import onnx_writer, readers
from convlstm_native.errors import InputError
from convlstm_native.media import PIXEL_FORMATS, FrameFormat
from convlstm_native.scoring.atomic import replacing
from convlstm_native.spec import NetworkSpec, Preprocessing


def convert(
    source: str | Path,
    target: str | Path,
    categories: Sequence[str] = (),
    config: readers.Config | None = None,
    **rules: Any,
) -> NetworkSpec:
    """Write ``source`` as portable ONNX to ``target``; returns the network as written.

    ``rules`` are fields of :class:`Preprocessing` (``size``, ``color``, ``scale``, ``mean``,
    ``fps``) and replace what the model says; what neither says is the default, at the size of the
    network. ``categories`` name what each output scores, in the order of the outputs. ``config`` is that
    of :func:`convlstm_native.readers.read`.

    Raises :class:`InputError` for a value out of range or a wrong number of categories, the errors
    of :func:`convlstm_native.readers.read`, and :class:`UnsupportedModelError` where the rules
    contradict the network. ``target`` is written whole or not at all.
    """
    spec = readers.read(source, config)
    if rules:
        spec = _with_rules(spec, rules)
    if categories:
        spec = _with_categories(spec, categories)
    model = onnx_writer.to_onnx(spec)
    with replacing(target) as file:
        file.write(model.SerializeToString())
    return spec


def _with_rules(spec: NetworkSpec, rules: dict[str, Any]) -> NetworkSpec:
    form = FrameFormat.of(spec)
    given = dataclasses.replace(form.rules or _default_rules(spec), **rules)
    if given.color not in PIXEL_FORMATS:
        raise InputError(
            f"color: expected one of {', '.join(PIXEL_FORMATS)}, found {given.color!r}"
        )
    if not math.isfinite(given.scale) or given.scale == 0:
        raise InputError(f"scale: expected a finite number other than 0, found {given.scale}")
    if given.fps is not None and not 0 < given.fps < math.inf:
        raise InputError(f"fps: expected a finite number above 0, found {given.fps}")
    described = dataclasses.replace(
        spec, inputs=(dataclasses.replace(spec.inputs[0], preprocessing=given),)
    )
    FrameFormat.of(described)
    return described


def _default_rules(spec: NetworkSpec) -> Preprocessing:
    """Rules that fit the shape of the network's frames and change nothing else."""
    shape = spec.inputs[0].shape
    if len(shape) != 3:
        raise InputError(
            f"preprocessing: expected a network that takes pictures, found frames {shape}"
        )
    first = _data_format(spec) == "channels_first"
    channels, *size = shape if first else (shape[2], *shape[:2])
    return Preprocessing(
        size=(size[0], size[1]),
        data_format="channels_first" if first else "channels_last",
        color="gray" if channels == 1 else "rgb",
    )


def _data_format(spec: NetworkSpec) -> str:
    """What the first layer over the frames says; else by the number of channels."""
    for node in spec.nodes:
        if spec.inputs[0].name in node.inputs and hasattr(node.layer, "data_format"):
            return str(node.layer.data_format)
    return "channels_first" if spec.inputs[0].shape[0] in (1, 3) else "channels_last"


def _with_categories(spec: NetworkSpec, categories: Sequence[str]) -> NetworkSpec:
    if len(categories) != len(spec.outputs):
        raise InputError(
            f"categories: expected {len(spec.outputs)}, one an output, found {len(categories)}"
        )
    outputs = tuple(
        dataclasses.replace(output, category=category)
        for output, category in zip(spec.outputs, categories, strict=True)
    )
    return dataclasses.replace(spec, outputs=outputs)
