"""The protector: adversarial training of Enc and f against a simulated adversary, equations (5), (6) and (9).

Training alternates as in Figure 2: (a) Dec and D learn on batches of X2 by (5) while Enc is fixed; (b) Enc and f learn on a batch of
X1 by (9) while Dec is fixed. Without λ there is no adversary, and one network serves every layer.

The adversary must not be outrun. At one pace for both, Dec soon reconstructed no more than the mean face, yet a fresh Dec^a got *more*
out of the features than without protection: Enc had scrambled them, not emptied them. So Dec takes `simulated_steps` for each of Enc's,
at a constant rate; and it enters after a time of (6) alone, `warm`, when Enc has found its features and slows down.
"""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arl import losses
from arl.config import RunConfig
from arl.data import FaceData, attribute_names, batches, full_batches, open_data, open_extra, split, stack, targets
from arl.judges import perceptual, perceptual_id
from arl.machine import precision, prepare
from arl.messages import say
from arl.metrics import mean_mcc
from arl.models import Decoder, Discriminator, backbone, cut, decoder_width, tap_shape
from arl.store import Run, obtain, pack, unpack, write_atomically
from arl.training import TrainingError, adam, descend, fixed, generator, initialised, one_cycle


def train_encoder(cfg: RunConfig) -> Run:
    """The stored run of the Enc and f that `cfg` defines; found, resumed or trained. Raises `TrainingError`."""
    data, extra = open_data(cfg), open_extra(cfg) if cfg.extra == "both" else None
    return obtain(encoder_spec(cfg), lambda run: _train(run, cfg, data, extra))


def encoder_spec(cfg: RunConfig) -> dict[str, Any]:
    """What defines the Enc and f of `cfg`: rows of the paper's tables with the same one share an encoder."""
    extra = open_extra(cfg) if cfg.extra == "both" else None
    spec = {"kind": "encoder", "version": 2, "data": open_data(cfg).spec, **cfg.encoder_fields()}
    return identified(spec, cfg, extra)


def identified(spec: dict[str, Any], cfg: RunConfig, extra: FaceData | None) -> dict[str, Any]:
    """`spec` with what its names stand for: g by its version or content, and the extra images, if it uses them."""
    g = {"perceptual": perceptual_id(cfg)} if "perceptual" in spec else {}
    return spec | g | ({"extra_data": extra.spec} if extra is not None else {})


def _warm_run(cfg: RunConfig, data: FaceData, extra: FaceData | None) -> Run:
    """The stored run of the first `cfg.warm_epochs`, utility alone: one for every λ and layer, and for no protection."""
    plain = cfg.but(lambda1=0, lambda2=0)
    spec = encoder_spec(plain) | {"kind": "warm", "until": cfg.warm_epochs}
    return obtain(spec, lambda run: _train(run, plain, data, extra, until=cfg.warm_epochs))


def load_encoder(cfg: RunConfig, run: Run) -> tuple[nn.Sequential, nn.Sequential]:
    """Enc, frozen, and f at `cfg.layer`, from the run that `train_encoder` returned: on the device, in evaluation mode."""
    tensors, _ = run.load()
    net = backbone(cfg.but(encoder_weights="none"), len(tensors["net/head.2.bias"]))
    unpack(tensors, net=net)
    return cut(net.requires_grad_(False).eval().to(prepare(), memory_format=torch.channels_last), cfg.layer)


def _train(
    run: Run, cfg: RunConfig, data: FaceData, extra: FaceData | None, until: int | None = None
) -> dict[str, Any]:
    """Train to `cfg.epochs`, or to epoch `until`, which may go on from there; returns the run's result."""
    device = prepare()
    warm = _warm_run(cfg, data, extra) if until is None and cfg.warm_epochs else None
    names = attribute_names(data, cfg)
    x1, x2, _ = split(data, cfg)
    watched = x2[:1000]  # utility on images that Enc never learns from
    if extra is not None:  # ‡: a stronger simulated adversary and, where the extra images have labels, a better teacher
        data, added = stack(data, extra)
        x2 = np.concatenate([x2, added])
        x1 = np.concatenate([x1, added]) if set(names) <= set(extra.attribute_names) else x1
    y = targets(data, cfg)

    with initialised(cfg.seed, 1):
        net = backbone(cfg, len(names)).to(device, memory_format=torch.channels_last)
        encoder, classifier = cut(net, cfg.layer)
        z_shape = tap_shape(encoder, cfg.image_size)
        decoder = Decoder(z_shape, cfg.image_size, decoder_width(cfg)).to(device, memory_format=torch.channels_last)
        discriminator = Discriminator(cfg.image_size, cfg.discriminator, decoder_width(cfg)).to(
            device, memory_format=torch.channels_last
        )
    g = perceptual(cfg, device) if cfg.protected and (cfg.lambda2 > 0 or cfg.simulated_mu2 > 0) else None
    if g is not None:
        g.calibrate(data.images, x2, cfg.seed)

    parts: dict[str, Any] = {"net": net, "net_adam": adam(net)}
    if cfg.protected:
        parts |= {"decoder": decoder, "decoder_adam": adam(decoder)}
    if cfg.protected and cfg.simulated_mu1 > 0:
        parts |= {"discriminator": discriminator, "discriminator_adam": adam(discriminator, beta1=0.5)}
    start = 0
    if (kept := run.resume()) is not None:
        unpack(kept[0], **parts)
        start = kept[1]["epoch"]
    elif warm is not None:
        unpack(warm.load()[0], net=net, net_adam=parts["net_adam"])
        write_atomically(run.folder / "metrics.jsonl", (warm.folder / "metrics.jsonl").read_bytes())
        start = cfg.warm_epochs

    steps, _ = full_batches(x1, cfg, "X1"), full_batches(x2, cfg, "X2")
    for epoch in range(start + 1, (until or cfg.epochs) + 1):
        net.train(), decoder.train()
        seen: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=device))
        public = _endless(data, x2, cfg, epoch, device)
        private = batches(
            data.images,
            x1,
            cfg.batch_size,
            device=device,
            generator=generator(cfg.seed, 2, epoch),
            flip=True,
            drop_last=True,
        )
        for step, (rows, x) in enumerate(private):
            lr = cfg.lr * one_cycle((epoch - 1 + step / steps) / cfg.epochs)

            # (a) the simulated adversary, equation (5), on public data; Enc fixed
            for _ in range(cfg.simulated_steps if cfg.protected else 0):
                with precision(device):
                    v = next(public)
                    with fixed(encoder), torch.no_grad():
                        z = encoder(v)
                    v_hat = decoder(z)
                    adversarial = perceived = 0.0
                    if cfg.simulated_mu1 > 0:
                        fake = discriminator(v_hat)  # for both players: D changes only after Dec has used it
                        adversarial = losses.adversarial_loss(fake, cfg.gan_loss)
                    if cfg.simulated_mu2 > 0:
                        perceived = losses.perceptual_distance(g(v_hat), g(v), g.scale)
                    attack = losses.attacker_loss(
                        losses.pixel_loss(v_hat, v), adversarial, perceived, cfg.simulated_mu1, cfg.simulated_mu2
                    )
                descend(attack, parts["decoder_adam"], cfg.simulated_lr, keep_graph=cfg.simulated_mu1 > 0)
                seen["adversary"] += attack.detach() / cfg.simulated_steps
                if cfg.simulated_mu1 > 0:  # D, equation (3)
                    with precision(device):
                        objective = losses.discriminator_objective(discriminator(v), fake)
                    descend(-objective, parts["discriminator_adam"], cfg.simulated_lr / 4)
                    seen["discriminator"] += objective.detach() / cfg.simulated_steps

            with precision(device), fixed(decoder):  # (b) the protector, equation (9), on private data; Dec fixed
                z = encoder(x)
                logits = classifier(z)
                utility = losses.utility_loss(logits.float(), y[x1[rows]].to(device, non_blocking=True))
                pixel = perceived = 0.0
                if cfg.protected:
                    x_hat = decoder(z)
                    pixel = losses.pixel_loss(x_hat, x)
                    seen["pixel"] += pixel.detach()
                if cfg.lambda2 > 0:
                    perceived = losses.perceptual_distance(g(x_hat), g(x), g.scale)
                    seen["perceptual"] += perceived.detach()
                protector = losses.protector_loss(utility, pixel, perceived, cfg.lambda1, cfg.lambda2)
            descend(protector, parts["net_adam"], lr)
            seen["utility"] += utility.detach()
            seen["feature_scale"] += z.detach().float().std()

        line = {name: total.item() / steps for name, total in seen.items()}
        _check(line, cfg)
        line["mcc"] = _utility(net, data, watched, y[watched], cfg, device)
        run.log(epoch=epoch, **line)
        run.save(pack(**parts), epoch=epoch)

    if until is not None:  # Enc goes on from here: its optimiser is kept
        run.save(pack(**parts), epoch=until, result={"checkpoint": True, **run.metrics[-1]})
        return {"checkpoint": True, **run.metrics[-1]}
    if abs(mcc := run.metrics[-1]["mcc"]) < 0.02:
        say(f"{run.id}  utility has collapsed (mean MCC {mcc:.3f}): a smaller lambda1 or lambda2 keeps more of it")
    result = {"checkpoint": True, "attributes": names, "g": g.name if g is not None else "none", **run.metrics[-1]}
    run.save(pack(net=net), epoch=cfg.epochs, result=result)
    return result


def _endless(data: FaceData, index: np.ndarray, cfg: RunConfig, epoch: int, device: torch.device) -> Iterator[Tensor]:
    """Batches of X2 for as long as an epoch of X1 lasts, reshuffled at each pass."""
    shuffled = generator(cfg.seed, 3, epoch)
    while True:
        for _, x in batches(
            data.images, index, cfg.batch_size, device=device, generator=shuffled, flip=True, drop_last=True
        ):
            yield x


@torch.no_grad()
def _utility(
    net: nn.Module, data: FaceData, index: np.ndarray, y: Tensor, cfg: RunConfig, device: torch.device
) -> float:
    """Mean MCC of f∘Enc on the images `index`."""
    net.eval()
    logits = [net(x).float().cpu() for _, x in batches(data.images, index, 512, device=device)]
    return mean_mcc((torch.cat(logits) > 0).numpy(), y.numpy() > 0.5)


def _check(line: dict[str, float], cfg: RunConfig) -> None:
    """Stop, with advice, where going on makes no sense."""
    weights = f"lambda1={cfg.lambda1:g}, lambda2={cfg.lambda2:g}, lr={cfg.lr:g}"
    if not all(math.isfinite(v) for v in line.values()):
        raise TrainingError(f"training: a loss is no longer finite ({weights}); try half the lr, or a smaller lambda")
    if not 1e-6 < line["feature_scale"] < 1e6:
        raise TrainingError(
            f"training: the features' scale is {line['feature_scale']:.1e} ({weights}), accepted: 1e-6 to 1e6; try half the lr, "
            "or a smaller lambda"
        )
