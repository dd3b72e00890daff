"""The measured figure: utility, privacy and separability of one configuration on the test set T, with error and yardsticks.

Privacy is what *fresh* attackers recover from a frozen encoder (never the decoder of training): Dec^a for pixels, M for identity.
Beside each figure stand the floor, what an attacker gets who never saw Z, and the ceiling, another photograph of the same person.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from arl import metrics
from arl.attack import attack_decoder, attack_features, known_embeddings, load_decoder, load_feature_map, recognised
from arl.config import RunConfig
from arl.data import FaceData, attribute_names, batches, open_data, open_extra, split, targets
from arl.judges import Recogniser, embed_all, recogniser
from arl.models import precision, prepare
from arl.protect import load_encoder, train_encoder
from arl.runs import Run, obtain, run_id, say

PRIVACY = ("face_similarity", "feature_similarity", "ssim", "psnr")


def run(cfg: RunConfig) -> Run:
    """The whole path for `cfg`: train Enc and f, attack with Dec^a and M, judge. Each stage is found, resumed or made.

    The row's result holds, for each metric, `value`, `low`, `high` (95 % bootstrap interval over the images of T) and, for privacy,
    `floors` and `ceilings`; and what it was measured on: data, g, C, the ids of its runs.
    """
    encoder_run = train_encoder(cfg)
    judge = recogniser(cfg, prepare())
    decoder_run = attack_decoder(cfg, encoder_run)
    features_run = attack_features(cfg, encoder_run, judge)
    spec = {"kind": "row", "version": 1, "encoder": encoder_run.id, "decoder": decoder_run.id, "features": features_run.id}
    spec |= {"recogniser": judge.spec, "bootstrap": cfg.bootstrap}
    return obtain(spec, lambda row: _judge(row, cfg, judge, encoder_run, decoder_run, features_run))


@torch.no_grad()
def reconstruct(cfg: RunConfig, encoder_run: Run, decoder_run: Run, data: FaceData, index: np.ndarray) -> Tensor:
    """X̂ = Dec^a(Enc(X)), float32 (n, 3, S, S) in [0, 1] on the CPU, for the images `index` of `data`."""
    device = prepare()
    encoder, _ = load_encoder(cfg, encoder_run)
    decoder = load_decoder(cfg, decoder_run)
    with precision(device):
        return torch.cat([decoder(encoder(x).float()).float().cpu() for _, x in batches(data.images, index, 256, device=device)])


@torch.no_grad()
def _judge(row: Run, cfg: RunConfig, judge: Recogniser, encoder_run: Run, decoder_run: Run, features_run: Run) -> dict[str, Any]:
    device = prepare()
    data = open_data(cfg)
    _, x2, t = split(data, cfg)
    names, y = attribute_names(data, cfg), targets(data, cfg)[t].numpy() > 0.5
    encoder, classifier = load_encoder(cfg, encoder_run)
    m = load_feature_map(features_run)
    z, logits, guesses = [], [], []
    with precision(device):
        for _, x in batches(data.images, t, 256, device=device):
            z.append(encoder(x).float())
            logits.append(classifier(z[-1]).float().cpu())
            guesses.append(m(z[-1]).float().cpu())
    z = torch.cat(z).cpu().flatten(1)
    x = torch.from_numpy(data.images[t]).float() / 255
    x_hat = reconstruct(cfg, encoder_run, decoder_run, data, t)
    raise NotImplementedError
