"""ConvLSTM inference on CPUs: load an ONNX or Keras file, predict, stream, score folders of videos.

>>> import convlstm_native as cn
>>> model = cn.Model.load(cn.demo_model())
>>> [output.name for output in model.outputs][:2]
['cat_comedy', 'cat_action']
"""

from convlstm_native.conversion import convert
from convlstm_native.errors import (
    ConvLSTMError,
    InputError,
    ModelFormatError,
    UnsupportedModelError,
)
from convlstm_native.model import Model, TensorInfo, available_isas, demo_model, fma_peak
from convlstm_native.profile import LayerProfile, Profile, ProfileRecord
from convlstm_native.spec import NetworkSpec
from convlstm_native.stream import Stream
from convlstm_native.summary import LayerSummary, Summary
from convlstm_native.threads import default_threads

__all__ = [
    "ConvLSTMError",
    "InputError",
    "LayerProfile",
    "LayerSummary",
    "Model",
    "ModelFormatError",
    "NetworkSpec",
    "Profile",
    "ProfileRecord",
    "Stream",
    "Summary",
    "TensorInfo",
    "UnsupportedModelError",
    "available_isas",
    "convert",
    "default_threads",
    "demo_model",
    "fma_peak",
]
