"""Who judges: the perceptual network g and the recogniser C."""

from arl.judges.recogniser import (
    RENDERED_SEED,
    DlibRecogniser,
    OnnxRecogniser,
    Perceptual,
    Recogniser,
    RenderedRecogniser,
    embed_all,
    judge_spec,
    perceptual,
    perceptual_id,
    recogniser,
    verification_auc,
)

__all__ = [
    "RENDERED_SEED",
    "DlibRecogniser",
    "OnnxRecogniser",
    "Perceptual",
    "Recogniser",
    "RenderedRecogniser",
    "embed_all",
    "judge_spec",
    "perceptual",
    "perceptual_id",
    "recogniser",
    "verification_auc",
]
