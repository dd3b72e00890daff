"""Who judges: the perceptual network g and the recogniser C. Neither ever sees the private data in training.

Each has a `name`, which stands in every output, and the recogniser a `spec`, which goes into run ids.
"""

from arl.judges.base import Recogniser, Window, embed_all, verification_auc
from arl.judges.check import IMAGES, Checked, check, check_perceptual, sample, wanted
from arl.judges.dlib_resnet import DlibRecogniser
from arl.judges.onnx_file import OnnxRecogniser
from arl.judges.own import likeness, own_recogniser, own_spec
from arl.judges.perceptual import Perceptual, perceptual, perceptual_id
from arl.judges.recogniser import judge_spec, recogniser
from arl.judges.rendered import RENDERED_SEED, RenderedRecogniser

__all__ = [
    "IMAGES",
    "RENDERED_SEED",
    "Checked",
    "DlibRecogniser",
    "OnnxRecogniser",
    "Perceptual",
    "Recogniser",
    "RenderedRecogniser",
    "Window",
    "check",
    "check_perceptual",
    "embed_all",
    "judge_spec",
    "likeness",
    "own_recogniser",
    "own_spec",
    "perceptual",
    "perceptual_id",
    "recogniser",
    "sample",
    "verification_auc",
    "wanted",
]
