"""The measured figure: utility, privacy and separability of one configuration on the test set T, with error and yardsticks.

Privacy is what *fresh* attackers recover from a frozen encoder (never the decoder of training): Dec^a for pixels, M for identity.
Beside each figure stand the floor, what an attacker gets who never saw Z, and the ceiling, another photograph of the same person.
"""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import torch
from torch import Tensor

from arl import metrics
from arl.attack import (
    attack_decoder,
    attack_features,
    decoder_spec,
    features_spec,
    load_decoder,
    load_feature_map,
    recognised,
)
from arl.config import RunConfig
from arl.data import FaceData, attribute_names, batches, open_data, open_extra, pictures, split, targets
from arl.judges import Recogniser, embed_all, judge_spec, perceptual, perceptual_id, recogniser
from arl.machine import precision, prepare
from arl.messages import say
from arl.protect import encoder_spec, load_encoder, train_encoder
from arl.store import Run, obtain, run_id, runs_root, sound

PRIVACY = ("face_similarity", "feature_similarity", "ssim", "psnr")


def run(cfg: RunConfig) -> Run:
    """The whole path for `cfg`: train Enc and f, attack with Dec^a and M, judge. Each stage is found, resumed or made.

    The row's result holds, for each metric, `value`, `low`, `high` (95 % bootstrap interval over the images of T) and, for privacy,
    `floors` and `ceilings`; and what it was measured on: data, g, C, the ids of its runs.
    """
    # A g or extra data that cannot be used is refused now, C a few lines below: not after hours of training.
    perceptual_id(cfg), open_extra(cfg)
    if (row := find(cfg)) is not None and all(map(sound, [row, *parts(row).values()])):
        return row
    judge = recogniser(cfg, prepare()) if cfg.recogniser != "rendered" else None
    if max(cfg.lambda2, cfg.mu2, cfg.simulated_mu2) > 0:
        perceptual(cfg, prepare())
    beside = _recogniser_beside(cfg)
    encoder_run = train_encoder(cfg)
    decoder_run = attack_decoder(cfg, encoder_run)
    if beside is not None:
        if beside.poll() is None:
            say("waiting for the recogniser, which a second process trains")
        beside.wait()  # should it have failed, the next line says why
    judge = judge or recogniser(cfg, prepare())
    features_run = attack_features(cfg, encoder_run, judge)
    spec = _row_spec(cfg, judge.spec, encoder_run.id, decoder_run.id, features_run.id)
    return obtain(spec, lambda row: _judge(row, cfg, judge, encoder_run, decoder_run, features_run))


def find(cfg: RunConfig) -> Run | None:
    """The stored row of `cfg`, or None where some part of it is not there yet; reads ids only, trains nothing."""
    judge = judge_spec(cfg)
    encoder = run_id(encoder_spec(cfg))
    decoder, features = run_id(decoder_spec(cfg, encoder)), run_id(features_spec(cfg, encoder, judge))
    row = Run(runs_root() / run_id(_row_spec(cfg, judge, encoder, decoder, features)))
    return row if row.result is not None else None


def parts(row: Run) -> dict[str, Run]:
    """The runs that `row` was measured on: `encoder`, `decoder` (Dec^a), `features` (M)."""
    return {kind: Run(row.folder.with_name(id)) for kind, id in row.result["runs"].items()}


def _row_spec(cfg: RunConfig, judge: dict[str, Any], encoder: str, decoder: str, features: str) -> dict[str, Any]:
    spec = {"kind": "row", "version": 1, "encoder": encoder, "decoder": decoder, "features": features}
    return spec | {"recogniser": judge, "bootstrap": cfg.bootstrap}


def _recogniser_beside(cfg: RunConfig) -> subprocess.Popen | None:
    """A second process that trains C while this one trains Enc and Dec^a, where cores are free; the store keeps them apart."""
    if (
        cfg.recogniser != "rendered"
        or prepare().type != "cpu"
        or "ARL_THREADS" in os.environ
        or (os.cpu_count() or 1) < 2
    ):
        return None
    program = "import sys; from arl import config, judges, machine; "
    program += "judges.recogniser(config.RunConfig.model_validate_json(sys.argv[1]), machine.prepare())"
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-c", program, cfg.model_dump_json()], **quiet)


@torch.no_grad()
def reconstruct(cfg: RunConfig, encoder_run: Run, decoder_run: Run, data: FaceData, index: np.ndarray) -> Tensor:
    """X̂ = Dec^a(Enc(X)), float32 (n, 3, S, S) in [0, 1] on the CPU, for the images `index` of `data`."""
    device = prepare()
    encoder, _ = load_encoder(cfg, encoder_run)
    decoder = load_decoder(cfg, decoder_run)
    with precision(device):
        return torch.cat(
            [decoder(encoder(x).float()).float().cpu() for _, x in batches(data.images, index, 256, device=device)]
        )


@torch.no_grad()
def _judge(
    row: Run, cfg: RunConfig, judge: Recogniser, encoder_run: Run, decoder_run: Run, features_run: Run
) -> dict[str, Any]:
    device = prepare()
    data = open_data(cfg)
    _, x2, t = split(data, cfg)
    names, y = attribute_names(data, cfg), targets(data, cfg)[t].numpy() > 0.5

    # What the attackers and the classifier make of T.
    encoder, classifier = load_encoder(cfg, encoder_run)
    m = load_feature_map(features_run)
    batched: list[tuple[Tensor, ...]] = []
    with precision(device):
        for _, x in batches(data.images, t, 256, device=device):
            z = encoder(x).float()
            batched.append(tuple(v.float().cpu() for v in (z.flatten(1), classifier(z), m(z))))
    z, logits, m_z = (torch.cat(part) for part in zip(*batched, strict=True))
    x, x_hat = pictures(data, t), reconstruct(cfg, encoder_run, decoder_run, data, t)
    _, seen = embed_all(judge, (x_hat * 255).round().byte().numpy(), np.arange(len(t)), device)

    # The yardsticks: what C makes of the originals, of another photograph of the person, of a stranger, of the mean face.
    known = np.sort(np.concatenate([x2, t]))
    embedding, middle = recognised(data, known, judge)
    at = {int(row): i for i, row in enumerate(known)}
    here = torch.tensor([at[int(i)] for i in t])
    stranger, same = (torch.from_numpy(p) for p in metrics.partners(data.identities[known], here.numpy(), cfg.seed))
    has_same, has_stranger = same >= 0, stranger >= 0
    mean_face = torch.from_numpy(_mean_image(data, x2))[None]
    _, mean_middle = embed_all(judge, (mean_face * 255).round().byte().numpy(), np.arange(1), device)
    mean_embedding = embedding[torch.tensor([at[int(i)] for i in x2])].mean(0, keepdim=True)

    def figure(values: Tensor, mean_of_x2: Tensor, of_stranger: Tensor, of_same: Tensor) -> dict[str, Any]:
        floor = of_stranger[has_stranger].mean().item() if has_stranger.any() else None
        ceiling = of_same[has_same].mean().item() if has_same.any() else None
        return {
            **metrics.interval(values.numpy(), seed=cfg.seed, resamples=cfg.bootstrap),
            "floors": {"mean face": mean_of_x2.mean().item(), "stranger": floor},
            "ceilings": {"same person": ceiling},
        }

    x_stranger, x_same = pictures(data, known[stranger]), pictures(data, known[same.clamp(min=0)])
    images = {
        "face_similarity": metrics.cosine(seen, middle[here]),
        "feature_similarity": metrics.cosine(m_z, embedding[here]),
    }
    images |= {"ssim": metrics.ssim(x_hat, x), "psnr": metrics.psnr(x_hat, x)}
    row.save({name: values.float() for name, values in images.items()} | {"t": torch.from_numpy(t)})
    mcc = metrics.mcc_intervals((logits > 0).numpy(), y, seed=cfg.seed, resamples=cfg.bootstrap)
    return {
        "checkpoint": True,
        "mean_mcc": mcc.pop("mean"),
        "mcc": dict(zip(names, mcc.pop("attributes"), strict=True)),
        "face_similarity": figure(
            images["face_similarity"],
            metrics.cosine(mean_middle.expand_as(seen), middle[here]),
            metrics.cosine(middle[stranger], middle[here]),
            metrics.cosine(middle[same], middle[here]),
        ),
        "feature_similarity": figure(
            images["feature_similarity"],
            metrics.cosine(mean_embedding.expand_as(m_z), embedding[here]),
            metrics.cosine(embedding[stranger], embedding[here]),
            metrics.cosine(embedding[same], embedding[here]),
        ),
        "ssim": figure(
            images["ssim"],
            metrics.ssim(mean_face.expand_as(x), x),
            metrics.ssim(x_stranger, x),
            metrics.ssim(x_same, x),
        ),
        "psnr": figure(
            images["psnr"],
            metrics.psnr(mean_face.expand_as(x), x),
            metrics.psnr(x_stranger, x),
            metrics.psnr(x_same, x),
        ),
        **metrics.separability_intervals(z.numpy(), data.identities[t], seed=cfg.seed, resamples=cfg.bootstrap),
        "measured_on": {
            "setting": setting(cfg),
            "test_set": f"T, {len(t)} images unseen by Enc and attackers, of: {data.title} (split by {cfg.split}, seed {cfg.seed})",
            "g": f"{decoder_run.result['g']} for Dec^a, {encoder_run.result['g']} for the simulated Dec",
            "C": f"{judge.name}; face similarity by its {judge.middle_name}, feature similarity by its embedding",
            "plateau": decoder_run.result["plateau"] and features_run.result["plateau"],
        },
        "runs": {"encoder": encoder_run.id, "decoder": decoder_run.id, "features": features_run.id},
        "config": cfg.model_dump(mode="json"),
    }


def setting(cfg: RunConfig) -> str:
    """`cfg` in a few words, for logs and outputs."""
    attributes = f"{len(cfg.attributes)} attributes" if len(cfg.attributes) > 3 else ", ".join(cfg.attributes)
    symbols = {"lambda1": "λ1", "lambda2": "λ2", "simulated_mu1": "μ1", "simulated_mu2": "μ2", "mu1": "μ1", "mu2": "μ2"}

    def set_to(*names: str) -> str:
        return " ".join(f"{symbols[name]}={getattr(cfg, name):g}" for name in names if getattr(cfg, name))

    simulated, attacker = set_to("simulated_mu1", "simulated_mu2"), set_to("mu1", "mu2")
    parts = [f"{cfg.encoder} at {cfg.layer}", attributes, set_to("lambda1", "lambda2") or "no protection"]
    parts += [f"simulated Dec with {simulated}"] if cfg.protected and simulated else []
    parts += [f"attacker with {attacker}"] if attacker else []
    parts += [f"{cfg.extra_images} extra images for {cfg.extra}"] if cfg.extra != "none" else []
    return " · ".join(parts)


def _mean_image(data: FaceData, index: np.ndarray) -> np.ndarray:
    """The mean of the images `index`, float32 (3, S, S) in [0, 1]: the best guess without Z."""
    total = np.zeros(data.images.shape[1:], np.float64)
    for start in range(0, len(index), 1024):
        total += data.images[index[start : start + 1024]].sum(0, dtype=np.float64)
    return (total / len(index) / 255).astype(np.float32)
