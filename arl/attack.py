"""What an adversary does to a frozen encoder: a fresh decoder Dec^a, equation (5), and the feature attack M, equation (10).

The adversary owns X2 (and perhaps extra images), may query Enc without limit, and sees Z standardised per channel with X2's
statistics. Enc is frozen, so Z is computed once. Both attackers train to a plateau of their loss on a tenth of X2 held out. What is
held, tested and kept is the mean of their weights over the last steps: it recovers more than the weights of any one step do.
"""

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arl import losses
from arl.config import RunConfig
from arl.data import FaceData, batches, full_batches, open_data, open_extra, split, stack
from arl.judges import Recogniser, embed_all, perceptual
from arl.machine import precision, prepare
from arl.messages import say
from arl.models import Decoder, Discriminator, FeatureMap, Shape, decoder_width
from arl.protect import identified, load_encoder
from arl.store import Run, Tensors, obtain, pack, unpack
from arl.training import TrainingError, adam, descend, follow, generator, initialised

CUTS, FACTOR = 1, 0.2  # a plateau cuts the learning rate to a fifth, the next one ends training
TIE = 5e-3  # validation losses nearer than this, relative, are equal
CACHE_BYTES = 4 << 30  # features beyond this are encoded anew for each batch


def attack_decoder(cfg: RunConfig, encoder_run: Run) -> Run:
    """The stored run of Dec^a against `encoder_run` at `cfg.layer`; found, resumed or trained by (5)."""
    data, extra = open_data(cfg), open_extra(cfg)
    spec = decoder_spec(cfg, encoder_run.id)
    return obtain(spec, lambda run: _train_decoder(run, cfg, encoder_run, data, extra))


def decoder_spec(cfg: RunConfig, encoder: str) -> dict[str, Any]:
    """What defines the Dec^a of `cfg` against the run `encoder`."""
    spec = {"kind": "decoder", "version": 3, "encoder": encoder, **cfg.attack_fields()}
    return identified(spec, cfg, open_extra(cfg))


def attack_features(cfg: RunConfig, encoder_run: Run, recogniser: Recogniser) -> Run:
    """The stored run of M against `encoder_run` at `cfg.layer`; found, resumed or trained by (10) to imitate `recogniser`."""
    data, extra = open_data(cfg), open_extra(cfg)
    spec = features_spec(cfg, encoder_run.id, recogniser.spec)
    return obtain(spec, lambda run: _train_feature_map(run, cfg, encoder_run, recogniser, data, extra))


def features_spec(cfg: RunConfig, encoder: str, recogniser: dict[str, Any]) -> dict[str, Any]:
    """What defines the M of `cfg` against the run `encoder`, which imitates the recogniser with that `spec`."""
    spec = {"kind": "features", "version": 2, "encoder": encoder, "recogniser": recogniser}
    return identified(spec | cfg.feature_attack_fields(), cfg, open_extra(cfg))


def load_decoder(cfg: RunConfig, run: Run) -> nn.Module:
    """Standardisation and Dec^a in one module, frozen: Z to X̂, from the run that `attack_decoder` returned."""
    return _load(run, lambda shape: Decoder(shape, cfg.image_size, decoder_width(cfg)))


def load_feature_map(run: Run) -> nn.Module:
    """Standardisation and M in one module, frozen: Z to an estimate of C(X), from the run that `attack_features` returned."""
    return _load(run, lambda shape: FeatureMap(shape, run.result["dimension"]))


def known_embeddings(cfg: RunConfig, data: FaceData, extra: FaceData | None, recogniser: Recogniser) -> Tensor:
    """C(X), one row for each image of `data` and then of `extra`; rows outside X2 and T are NaN, as nobody asks for them."""
    _, x2, t = split(data, cfg)
    index = np.sort(np.concatenate([x2, t]))
    found, _ = recognised(data, index, recogniser)
    rows = torch.full((len(data.images), found.shape[1]), torch.nan)
    rows[torch.from_numpy(index)] = found
    if extra is None:
        return rows
    return torch.cat([rows, recognised(extra, np.arange(len(extra.images)), recogniser)[0]])


def recognised(data: FaceData, index: np.ndarray, recogniser: Recogniser) -> tuple[Tensor, Tensor]:
    """C's embedding (n, d) and middle layer (n, m) of the images `index`, computed once for all runs."""
    digest = hashlib.sha256(np.ascontiguousarray(index, dtype="<i8").tobytes()).hexdigest()[:16]
    spec = {"kind": "embedding", "recogniser": recogniser.spec, "data": data.spec, "images": digest}

    def make(run: Run) -> dict[str, Any]:
        say(f"{run.id}  {recogniser.name} looks at {len(index)} images")
        embedding, middle = embed_all(recogniser, data.images, index, prepare())
        run.save({"embedding": embedding, "middle": middle.clone()})  # clone: a recogniser may return one tensor twice
        return {"checkpoint": True, "images": len(index)}

    tensors, _ = obtain(spec, make).load()
    return tensors["embedding"], tensors["middle"]


class Standardise(nn.Module):
    """(Z − mean) / deviation per channel, with the statistics of X2: shrinking or shifting Z hides nothing."""

    def __init__(self, mean: Tensor, std: Tensor):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.std


class Features:
    """Standardised Z of the images `index`, and of their mirror images: encoded once, or per batch where that is too large."""

    def __init__(self, encoder: nn.Module, data: FaceData, index: np.ndarray, device: torch.device):
        self.encoder, self.device = encoder, device
        count, total, squares = 0, 0.0, 0.0
        kept: list[Tensor] = []
        for _, x in batches(data.images, index, 256, device=device):
            z = self._encode(x)
            wide = z.double() if device.type != "mps" else z
            over = [0, *range(2, z.ndim)]
            count += z.numel() // z.shape[1]
            total, squares = total + wide.sum(over), squares + wide.square().sum(over)
            self.cached = 2 * len(index) * z[0].numel() * 4 <= CACHE_BYTES
            if self.cached:
                kept.append(torch.stack([z, self._encode(x.flip(-1))]))
        self.shape: Shape = tuple(z.shape[1:])
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=1e-12).sqrt()
        view = (-1, *[1] * (z.ndim - 2))
        self.standardise = Standardise(mean.float().view(view), std.float().view(view))
        self.z = self.standardise(torch.cat(kept, dim=1)) if self.cached else None  # (2, n, C, ...)

    @torch.no_grad()
    def _encode(self, x: Tensor) -> Tensor:
        with precision(self.device):
            return self.encoder(x).float()

    def of(self, rows: Tensor, x: Tensor, mirrored: bool = False) -> Tensor:
        """Z of the images at `rows`, which are `x`; `x` is already mirrored where `mirrored`."""
        if self.z is not None:
            return self.z[int(mirrored), rows.to(self.device)]
        return self.standardise(self._encode(x))


def _train_decoder(
    run: Run, cfg: RunConfig, encoder_run: Run, data: FaceData, extra: FaceData | None
) -> dict[str, Any]:
    device = prepare()
    encoder, _ = load_encoder(cfg, encoder_run)
    data, owned, held_out = _adversary_data(cfg, data, extra)
    steps = full_batches(owned, cfg, "the adversary's images")
    features = Features(encoder, data, np.concatenate([owned, held_out]), device)

    with initialised(cfg.seed, 11):
        decoder = Decoder(features.shape, cfg.image_size, decoder_width(cfg)).to(
            device, memory_format=torch.channels_last
        )
        discriminator = Discriminator(cfg.image_size, cfg.discriminator, decoder_width(cfg)).to(
            device, memory_format=torch.channels_last
        )
    g = perceptual(cfg, device) if cfg.mu2 > 0 else None
    if g is not None:
        g.calibrate(data.images, owned, cfg.seed)
    parts: dict[str, Any] = {"model": decoder, "average": deepcopy(decoder), "adam": adam(decoder)}
    if cfg.mu1 > 0:
        parts |= {"discriminator": discriminator, "discriminator_adam": adam(discriminator, beta1=0.5)}

    def learn(epoch: int, lr: float) -> dict[str, float]:
        decoder.train()
        seen: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=device))
        shuffled = generator(cfg.seed, 12, epoch)
        mine = batches(data.images, owned, cfg.batch_size, device=device, generator=shuffled, drop_last=True)
        for step, (rows, x) in enumerate(mine, (epoch - 1) * steps):
            mirrored = bool(torch.rand((), generator=shuffled) < 0.5)
            x = x.flip(-1) if mirrored else x
            with precision(device):
                x_hat = decoder(features.of(rows, x, mirrored))
                pixel, adversarial, perceived = losses.pixel_loss(x_hat, x), 0.0, 0.0
                if cfg.mu1 > 0:
                    fake = discriminator(x_hat)  # for both players: D changes only after Dec^a has used it
                    adversarial = losses.adversarial_loss(fake, cfg.gan_loss)
                if cfg.mu2 > 0:
                    perceived = losses.perceptual_distance(g(x_hat), g(x), g.scale)
                attack = losses.attacker_loss(pixel, adversarial, perceived, cfg.mu1, cfg.mu2)  # equation (5)
            descend(attack, parts["adam"], lr, keep_graph=cfg.mu1 > 0)
            follow(parts["average"], decoder, step)
            seen["attack"] += attack.detach()
            if cfg.mu1 > 0:
                with precision(device):
                    objective = losses.discriminator_objective(discriminator(x), fake)
                descend(-objective, parts["discriminator_adam"], lr / 4)  # equation (3); at Dec^a's rate D wins at once
                seen["discriminator"] += objective.detach()
        return {name: total.item() / steps for name, total in seen.items()}

    @torch.no_grad()
    def validate() -> float:  # (5) without the GAN's term, whose value is relative to a moving D
        average = parts["average"].eval()
        total = torch.zeros((), device=device)
        for rows, x in batches(data.images, held_out, 256, device=device):
            with precision(device):
                x_hat = average(features.of(rows + len(owned), x))
                perceived = losses.perceptual_distance(g(x_hat), g(x), g.scale) if cfg.mu2 > 0 else 0.0
                total += losses.attacker_loss(losses.pixel_loss(x_hat, x), 0.0, perceived, 0.0, cfg.mu2) * len(x)
        return total.item() / len(held_out)

    state = _to_plateau(run, cfg, parts, learn, validate)
    result = {"checkpoint": True, "shape": features.shape, "g": g.name if g is not None else "none", **state}
    run.save(pack(model=parts["average"], standardise=features.standardise), epoch=state["epoch"], result=result)
    return result


def _train_feature_map(
    run: Run, cfg: RunConfig, encoder_run: Run, recogniser: Recogniser, data: FaceData, extra: FaceData | None
) -> dict[str, Any]:
    device = prepare()
    encoder, _ = load_encoder(cfg, encoder_run)
    c = known_embeddings(cfg, data, extra, recogniser).to(device)
    data, owned, held_out = _adversary_data(cfg, data, extra)
    steps = full_batches(owned, cfg, "the adversary's images")
    features = Features(encoder, data, np.concatenate([owned, held_out]), device)
    with initialised(cfg.seed, 21):
        m = FeatureMap(features.shape, c.shape[1]).to(device, memory_format=torch.channels_last)
    parts: dict[str, Any] = {"model": m, "average": deepcopy(m), "adam": adam(m)}

    def learn(epoch: int, lr: float) -> dict[str, float]:
        m.train()
        total, shuffled = torch.zeros((), device=device), generator(cfg.seed, 22, epoch)
        mine = batches(data.images, owned, cfg.batch_size, device=device, generator=shuffled, drop_last=True)
        for step, (rows, x) in enumerate(mine, (epoch - 1) * steps):
            with precision(device):
                loss = losses.feature_attack_loss(m(features.of(rows, x)), c[owned[rows]])  # equation (10)
            descend(loss, parts["adam"], lr)
            follow(parts["average"], m, step)
            total += loss.detach()
        return {"attack": total.item() / steps}

    @torch.no_grad()
    def validate() -> float:
        average = parts["average"].eval()
        total = torch.zeros((), device=device)
        for rows, x in batches(data.images, held_out, 256, device=device):
            total += losses.feature_attack_loss(average(features.of(rows + len(owned), x)), c[held_out[rows]]) * len(x)
        return total.item() / len(held_out)

    state = _to_plateau(run, cfg, parts, learn, validate)
    result = {"checkpoint": True, "shape": features.shape, "dimension": c.shape[1], "C": recogniser.name, **state}
    run.save(pack(model=parts["average"], standardise=features.standardise), epoch=state["epoch"], result=result)
    return result


def _to_plateau(
    run: Run,
    cfg: RunConfig,
    parts: dict[str, Any],
    learn: Callable[[int, float], dict[str, float]],
    validate: Callable[[], float],
) -> dict[str, Any]:
    """Train `parts["model"]` until the validation loss of `parts["average"]` no longer falls, and leave its chosen weights there.

    Of the epochs whose loss is within `TIE` of the lowest the last is chosen: the few images held out cannot tell them apart, and which of
    them is lowest is chance, while the recogniser sees more in the later ones. A checkpoint an epoch.
    """
    state: dict[str, Any] = {"epoch": 0, "cuts": 0, "waited": 0, "lowest": None, "chosen": None, "chosen_epoch": 0}
    chosen: Tensors = {}
    if (kept := run.resume()) is not None:
        tensors, state = kept
        unpack(tensors, **parts)
        chosen = {name: t for name, t in tensors.items() if name.startswith("chosen/")}
    while state["epoch"] < cfg.attack_epochs and state["cuts"] <= CUTS:
        state["epoch"] += 1
        lr = cfg.attack_lr * FACTOR ** state["cuts"]
        line = learn(state["epoch"], lr)
        loss = validate()
        if not all(math.isfinite(v) for v in (*line.values(), loss)):
            raise TrainingError(f"attack: a loss is no longer finite (attack_lr={cfg.attack_lr:g}); try half of it")
        if state["lowest"] is None or loss <= state["lowest"] * (1 + TIE):
            state |= {"chosen": loss, "chosen_epoch": state["epoch"]}
            chosen = {name: t.clone() for name, t in pack(chosen=parts["average"]).items()}
        if state["lowest"] is None or loss < state["lowest"] * (1 - 1e-3):
            state |= {"lowest": loss, "waited": 0}
        else:
            state["waited"] += 1
            if state["waited"] >= cfg.attack_patience:
                state |= {"cuts": state["cuts"] + 1, "waited": 0}
        run.log(epoch=state["epoch"], **line, validation=loss, lr=lr)
        run.save(pack(**parts) | chosen, **state)
    unpack(chosen, chosen=parts["average"])
    plateau = state["cuts"] > CUTS
    if not plateau:
        say(f"{run.id}  ended at attack_epochs={cfg.attack_epochs} before its plateau: a longer attack may leak more")
    return {
        "epoch": state["epoch"],
        "plateau": plateau,
        "validation": state["chosen"],
        "chosen_epoch": state["chosen_epoch"],
    }


def _adversary_data(cfg: RunConfig, data: FaceData, extra: FaceData | None) -> tuple[FaceData, np.ndarray, np.ndarray]:
    """The adversary's images, with the extra ones: those that it learns from and the tenth of X2 that tells it when to stop."""
    _, x2, _ = split(data, cfg)
    order = torch.randperm(len(x2), generator=generator(cfg.seed, 4)).numpy()
    held_out, owned = np.sort(x2[order[: max(1, len(x2) // 10)]]), np.sort(x2[order[max(1, len(x2) // 10) :]])
    if extra is not None:
        data, added = stack(data, extra)
        owned = np.concatenate([owned, added])
    return data, owned, held_out


def _load(run: Run, build: Callable[[Shape], nn.Module]) -> nn.Module:
    """The standardisation and the attacker stored in `run`, as one frozen module on the device."""
    tensors, _ = run.load()
    model = build(tuple(run.result["shape"]))
    standardise = Standardise(tensors["standardise/mean"], tensors["standardise/std"])
    unpack(tensors, model=model)
    both = nn.Sequential(standardise, model).requires_grad_(False).eval()
    return both.to(prepare(), memory_format=torch.channels_last)
