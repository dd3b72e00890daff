"""One configuration from its faces to its row: the only place that knows faces, judges and store at once, and opens each once.

`run(cfg)` is all that most users need: Enc and f are trained, attacked and judged; each stage is a run of the store that is found, resumed
or made. Privacy is what *fresh* attackers recover from the frozen encoder.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from arl import devices, feeds, judges, losses, machine, models, parallel, plateau
from arl.adversary import Distance
from arl.attacks import Attack, Player, Schedule, Shapes
from arl.config import RunConfig
from arl.data import (
    FaceData,
    Split,
    attribute_names,
    batches,
    full_batches,
    open_data,
    open_extra,
    split,
    stack,
    targets,
)
from arl.defences import Defence
from arl.defences.adversarial import Adversarial
from arl.feeds import Owned
from arl.gradients import OpenEncoder, check_gradients
from arl.judges.beside import trained_beside
from arl.judges.known import recognised
from arl.measure import measure_row
from arl.messages import ConfigError, UserError, first_line, say
from arl.protect import Halves, TrainingSchedule, halves, protect
from arl.row import Row
from arl.store import Continued, Run, obtain, pack, run_id, run_of, sound, unpack
from arl.training import Journal, initialised, precision
from arl.watched import Watched


def run(cfg: RunConfig) -> Row:
    """The whole path for `cfg`: train Enc and f, attack, judge. Raises `UserError` before anything is trained, or `TrainingError`."""
    return Experiment(cfg).row()


def find(cfg: RunConfig) -> Row | None:
    """The stored row of `cfg`, or None where it is not there yet; trains nothing."""
    return Experiment(cfg).find()


class Experiment:
    """What `cfg` needs, opened when it is first asked for and kept; its stages, found or made."""

    def __init__(self, cfg: RunConfig, made: dict[str, Run] | None = None):
        """`made`: stored runs by stage, `encoder` or an attack's name, that stand for those of `cfg`; nothing is trained in their place."""
        self.cfg, self._made = cfg, made or {}
        self._attackers: dict[str, nn.Module] = {}

    # -- what it stands on --------------------------------------------------------------------------------------

    @cached_property
    def device(self) -> torch.device:
        return machine.prepare()

    @cached_property
    def data(self) -> FaceData:
        return open_data(self.cfg)

    @cached_property
    def extra(self) -> FaceData | None:
        """The paper's extra data, † or ‡."""
        return open_extra(self.cfg, data=self.data)

    @cached_property
    def split(self) -> Split:
        return split(self.data, self.cfg)

    @cached_property
    def attribute_names(self) -> tuple[str, ...]:
        return attribute_names(self.data, self.cfg)

    @cached_property
    def owned(self) -> Owned:
        return Owned.of(self.data, self.extra, self.split.x2, self.cfg)

    @cached_property
    def judge(self) -> judges.Recogniser:
        """C."""
        return judges.recogniser(self.cfg, self.device, self.data if self.cfg.data == "folder" else None)

    @cached_property
    def judge_spec(self) -> dict[str, Any]:
        """What tells one C from another, known before it is trained."""
        return judges.judge_spec(self.cfg) if self.cfg.trains_c else self.judge.spec

    @cached_property
    def sampled(self) -> tuple[np.ndarray, np.ndarray]:
        """Images, uint8 (n, 3, S, S), and who is on them, among which judges find those that they are tried on."""
        return self.data.images, self.data.identities

    @cached_property
    def checked(self) -> judges.Checked | None:
        """How well a C from elsewhere tells these people apart; None for the one that is trained here. Raises `ConfigError`."""
        if self.cfg.trains_c:
            return None
        return judges.check(self.judge, *self.sampled)

    @cached_property
    def beside(self) -> "dict[str, Experiment]":
        """By the name of each further judge, the same experiment as that one sees it: its `judge`, `judge_spec`, `checked`."""
        found = {n: type(self)(self.cfg.replace(recogniser=each)) for n, each in list(self.cfg.judges.items())[1:]}
        for other in found.values():
            other.data, other.split = self.data, self.split
        return found

    @property
    def defence(self) -> Defence:
        """The configuration's, or no protection where it does nothing."""
        return self.cfg.defence if self.cfg.protected else Defence()

    @cached_property
    def g(self) -> judges.Perceptual | None:
        return judges.perceptual(self.cfg, self.device)

    def check(self) -> None:
        """Refuse now, in one line, what would fail after hours of training."""
        if idle := self.cfg.without_effect():
            raise ConfigError(idle[0])
        judges.perceptual_id(self.cfg)
        uses_g = any(player.perceptual_weight for player in self.cfg.players)
        _ = self.g if uses_g else None  # what is only read comes before what is drawn
        _ = self.judge if not self.cfg.trains_c else None
        self.check_sizes()
        _ = self.checked, [other.checked for other in self.beside.values()]
        if uses_g:
            judges.check_perceptual(self.g, self.sampled[0])

    def check_sizes(self) -> None:
        """Refuse labels that these faces have not, and sets that hold no batch."""
        _ = self.extra, self.attribute_names
        full_batches(self.split.x1, self.cfg, "X1")
        feeds.check_sizes(self.owned, self.cfg)
        check_gradients(self.cfg, lambda: self.halves(self.defence).sent.eval(), self.device)

    # -- what defines each stage --------------------------------------------------------------------------------

    @cached_property
    def encoder_spec(self) -> dict[str, Any]:
        """What defines Enc and f: rows of the paper's tables with the same one share an encoder."""
        return self._encoder_spec(self.cfg)

    def _encoder_spec(self, cfg: RunConfig) -> dict[str, Any]:
        spec = {"kind": "encoder", "version": 2, "data": self.data.spec, **cfg.encoder_fields()}
        g = {"perceptual": judges.perceptual_id(cfg)} if cfg.protected and cfg.defence.perceptual_weight else {}
        return spec | g | ({"extra_data": self.extra.spec} if cfg.extra == "both" else {})

    @cached_property
    def warm_spec(self) -> dict[str, Any]:
        """What defines the first epochs, by (6) alone: the same for every defence and layer, and for none."""
        plain = self.cfg.replace(defence=Adversarial(), cuts="half")  # which come at the end
        return self._encoder_spec(plain) | {"kind": "warm", "until": self.cfg.warm_epochs}

    def attack_spec(self, attack: Attack) -> dict[str, Any]:
        """What defines `attack` on this encoder."""
        spec = {"kind": attack.name(), "encoder": run_id(self.encoder_spec), **self.cfg.attack_fields(attack)}
        spec |= {"perceptual": judges.perceptual_id(self.cfg)} if attack.perceptual_weight else {}
        spec |= {"recogniser": self.judge_spec} if attack.target == "embedding" else {}
        spec |= {"own_recogniser": judges.own_spec(self.cfg)} if attack.own_recogniser else {}
        return spec | ({"extra_data": self.extra.spec} if self.extra is not None else {})

    @cached_property
    def row_spec(self) -> dict[str, Any]:
        attacks = {attack.name(): run_id(self.attack_spec(attack)) for attack in self.cfg.attacks}
        spec = {"kind": "row", "version": 1, "encoder": run_id(self.encoder_spec), **attacks}
        others = {name: other.judge_spec for name, other in self.beside.items()}
        spec |= {"recogniser": self.judge_spec, "bootstrap": self.cfg.bootstrap}
        return spec | ({"judges": others} if others else {})

    # -- the stages ---------------------------------------------------------------------------------------------

    def find(self) -> Row | None:
        found = run_of(self.row_spec)
        if (result := found.result) is None:
            return None
        if not {"runs", "measured_on", "mean_mcc"} <= set(result):
            where = found.folder / "result.json"
            raise UserError(
                f"{where}: found no result of a row, accepted: as arl writes it; delete it, and it is made again"
            )
        return Row(found, self.cfg, result)

    def row(self) -> Row:
        """Every stage, found or made."""
        self.check()
        if (row := self.find()) is not None and all(map(sound, [row.run, *row.runs.values()])):
            return row
        attacks = self.attacked()
        run = obtain(self.row_spec, lambda row: measure_row(row, self, attacks))
        return Row(run, self.cfg, run.result)

    def attacked(self) -> dict[str, Run]:
        """The encoder and C, found or made; the run of each attack, by name."""
        attacks = {}
        with trained_beside(self.cfg) as wait_for_c:
            _ = self.encoder
            for attack in sorted(self.cfg.attacks, key=lambda attack: attack.target == "embedding"):
                if attack.target == "embedding":
                    wait_for_c()
                attacks[attack.name()] = self.attack(attack)
            wait_for_c()
        return attacks

    @cached_property
    def warm(self) -> Run:
        """The stored run of the first epochs."""
        return obtain(self.warm_spec, self._warm)

    @cached_property
    def encoder(self) -> Run:
        """The stored run of Enc and f."""
        return self._made.get("encoder") or obtain(self.encoder_spec, self._train)

    def attack(self, attack: Attack) -> Run:
        """The stored run of `attack` on the encoder."""
        made = self._made.get(attack.name())
        return made or obtain(self.attack_spec(attack), lambda run: self._attack(run, attack))

    def halves(self, defence: Defence, weights: str = "none") -> Halves:
        """Enc, f and what `defence` puts between them, before they have learned anything; `weights` as `encoder_weights`."""
        cfg = self.cfg
        try:
            net = models.backbone(len(self.attribute_names), cfg.encoder, cfg.width, weights, cfg.dropout)
        except OSError as error:
            found = f"encoder_weights: {weights!r} could not be loaded ({first_line(error)})"
            raise ConfigError(f"{found}, accepted: 'none' when offline") from None
        model = halves(net.to(self.device, memory_format=torch.channels_last), cfg.layer, defence)
        model.added.to(self.device)
        return model

    def _train(self, run: Run) -> dict[str, Any]:
        cfg, defence = self.cfg, self.defence
        journal = Continued(run, self.warm, cfg.warm_epochs) if cfg.warm_epochs else run
        model = self.protected(journal, defence)
        line = run.metrics[-1]
        if cfg.cuts == "mcc":
            line = line | Watched(self).cut(model)
        if abs(line["mcc"]) < 0.02:
            say(f"{run.id}  utility has collapsed (mean MCC {line['mcc']:.3f}): a weaker defence keeps more of it")
        g = self.g.name if defence.perceptual_weight else "none"
        result = {"checkpoint": True, "attributes": self.attribute_names, "g": g, **line}
        run.save(pack(**model.parts), epoch=cfg.epochs, result=result)
        return result

    def _warm(self, run: Run) -> dict[str, Any]:
        self.protected(run, Defence(), self.cfg.warm_epochs)
        result = {"checkpoint": True, **run.metrics[-1]}
        run.save(run.load()[0], epoch=self.cfg.warm_epochs, result=result)  # with its optimiser: Enc goes on from here
        return result

    def protected(self, journal: Journal, defence: Defence, until: int | None = None) -> Halves:
        """Enc, f and what `defence` puts between them, trained to the end or to epoch `until`, on every device that waits."""
        with parallel.called(parallel.by_rows(defence), self.cfg, "protected", defence, until):
            return self._protect(journal, defence, until)

    def _protect(self, journal: Journal, defence: Defence, until: int | None) -> Halves:
        cfg, data, (x1, x2, _) = self.cfg, self.data, self.split
        if cfg.extra == "both":  # ‡: a stronger simulated adversary; where extra images are labelled, a better teacher
            data, added = stack(self.data, self.extra)
            x2 = np.concatenate([x2, added])
            x1 = np.concatenate([x1, added]) if set(self.attribute_names) <= set(self.extra.attribute_names) else x1
        perceptual = self._perceptual(data, x2) if defence.perceptual_weight else None
        attack = defence.simulated
        with initialised(cfg.seed, 1):
            model = self.halves(defence, cfg.encoder_weights)
            z = models.tap_shape(model.sent, cfg.image_size)
            adversary = self._player(attack, z, perceptual) if attack is not None else None
        devices.compile_if_asked(model.sent, model.classifier, *([] if adversary is None else [adversary.net]))
        schedule = TrainingSchedule(cfg.epochs, cfg.lr, cfg.seed, cfg.weight_decay, cfg.lr_again, cfg.warm_epochs)
        feed = feeds.of_protector(data, x1, x2, cfg, self.device)
        with_g = {"perceptual": perceptual, "watch": Watched(self).mcc, "until": until}
        protect(model, defence, adversary, feed, schedule, journal, **with_g)
        return model

    def _player(
        self, attack: Attack, z: tuple[int, ...], g: Distance | None, standardise: nn.Module | None = None, **known: int
    ) -> Any:
        cfg = self.cfg
        width = models.decoder_width(cfg.encoder, cfg.width)
        opened = OpenEncoder(self.networks[0], standardise) if attack.white_box and standardise is not None else None
        known = {"embedding": 0, "labels": len(self.attribute_names), **known}
        shapes = Shapes(z, cfg.image_size, width, **known, encoder=cfg.encoder, layer=cfg.layer, opened=opened)
        return attack.player(shapes, g).to(self.device, memory_format=torch.channels_last)

    def _attack(self, run: Run, attack: Attack) -> dict[str, Any]:
        known = self._known_embeddings() if attack.target == "embedding" else None
        with parallel.called(parallel.by_rows(attack), self.cfg, "trained", attack, known):
            player, features, state = self.trained(run, attack, known)
        if not state.get("plateau", True):
            ended = f"{run.id}  ended at attack_epochs={self.cfg.attack_epochs} before its plateau"
            say(f"{ended}: a longer attack may leak more")
        what = {"dimension": known.shape[1], "C": self.judge.name} if known is not None else {}
        what = what or {"g": self.g.name if attack.perceptual_weight else "none"}
        result = {"checkpoint": True, "shape": features.shape, **what, **state}
        kept = pack(model=player.net, standardise=features.standardise)
        run.save(kept, epoch=state["epoch"], result=result)
        return result

    def trained(
        self, journal: Journal, attack: Attack, known: Tensor | None
    ) -> tuple[Player, plateau.StandardisedFeatures, dict[str, Any]]:
        """The player of `attack`, trained, the features that it saw, and what is said of it; `known`: C(X), where it is after that."""
        cfg, owned, features = self.cfg, self.owned, self.standardised()
        perceptual = self._compares(attack)
        with initialised(cfg.seed, attack.stream()):
            embedding = 0 if known is None else known.shape[1]
            player = self._player(attack, features.shape, perceptual, features.standardise, embedding=embedding)
        devices.compile_if_asked(player.net)
        wanted = targets(owned.data, cfg) if attack.target == "label" else known
        public = feeds.of_attacker(attack, features, owned, wanted, cfg, self.device, self.networks[1])
        schedule = Schedule(cfg.attack_epochs, cfg.attack_lr, cfg.attack_patience)
        return player, features, attack.train(player, public, schedule, journal)

    def standardised(self) -> plateau.StandardisedFeatures:
        """Z of the adversary's images, as attackers see it."""
        everything = (x for _, x in batches(self.owned.data.images, self.owned.all, 256, device=self.device))
        with initialised(self.cfg.seed, 8):
            return plateau.StandardisedFeatures(self.networks[0], everything, len(self.owned.all))

    # -- what the players learn from ----------------------------------------------------------------------------

    def _compares(self, attack: Attack) -> Distance | None:
        """How `attack` compares pictures, beside pixels: by g, or by its own recogniser."""
        if attack.own_recogniser:
            return judges.likeness(judges.own_recogniser(self.cfg, self.device))
        return self._perceptual(self.owned.data, self.owned.learns) if attack.perceptual_weight else None

    def _perceptual(self, data: FaceData, index: np.ndarray) -> Distance:
        """(4) and (8) of two batches, by g, scaled by the images `index`."""
        g = self.g
        g.calibrate(data.images, index, self.cfg.seed)
        scale = g.scale.clone()
        return lambda x_hat, x: losses.perceptual_distance(g(x_hat), g(x), scale)

    def _known_embeddings(self) -> Tensor:
        """C(X), one row for each image of the data and then of the extra data; rows outside X2 and T are NaN: nobody asks for them."""
        _, x2, t = self.split
        index = np.sort(np.concatenate([x2, t]))
        found, _ = recognised(self.data, index, self.judge)
        rows = torch.full((len(self.data.images), found.shape[1]), torch.nan)
        rows[torch.from_numpy(index)] = found
        if self.extra is None:
            return rows
        return torch.cat([rows, recognised(self.extra, np.arange(len(self.extra.images)), self.judge)[0]])

    # -- what is stored, loaded ---------------------------------------------------------------------------------

    @cached_property
    def networks(self) -> tuple[nn.Module, nn.Module | None]:
        """Images to what leaves the device, and f, if there is one: from the stored run, frozen, on the device, in evaluation mode."""
        model = self.halves(self.defence)
        unpack(self.encoder.load()[0], **model.parts)
        model.predict.requires_grad_(False)
        return model.sent.eval(), model.classifier.eval()

    def attacker(self, name: str) -> nn.Module:
        """Standardisation and the attacker called `name` in one module, frozen: Z to what it makes of it."""
        if name not in self._attackers:
            self._attackers[name] = self._load_attacker(next(a for a in self.cfg.attacks if a.name() == name))
        return self._attackers[name]

    def _load_attacker(self, attack: Attack) -> nn.Module:
        run = self.attack(attack)
        tensors, _ = run.load()
        standardise = plateau.Standardise(tensors["standardise/mean"], tensors["standardise/std"])
        known = {own: run.result.get(name, 0) for own, name in (("embedding", "dimension"), ("images", "images"))}
        player = self._player(attack, tuple(run.result["shape"]), None, standardise, **known)
        unpack(tensors, model=player.net)
        both = nn.Sequential(standardise, player.net).requires_grad_(False).eval()
        return both.to(self.device, memory_format=torch.channels_last)

    def untrained(self, name: str, shape: tuple[int, ...]) -> nn.Module:
        """The network of the attack called `name` for Z of this shape, before it has learned anything."""
        return self._player(next(a for a in self.cfg.attacks if a.name() == name), shape, None).net

    def simulated(self, tensors: dict[str, Tensor]) -> tuple[nn.Module, nn.Module]:
        """What leaves the device, and the simulated Dec, as the checkpoint of an unfinished encoder has them; frozen."""
        model = self.halves(self.defence)
        dec = self._player(self.defence.simulated, models.tap_shape(model.sent, self.cfg.image_size), None).net
        unpack(tensors, **model.parts, decoder=dec)
        model.predict.requires_grad_(False)
        return model.sent.eval(), dec.requires_grad_(False).eval()

    def reconstruct(self, index: np.ndarray, name: str = "decoder", data: FaceData | None = None) -> Tensor:
        """X̂ = Dec^a(Enc(X)), float32 (n, 3, S, S) in [0, 1] on the CPU, for the images `index`, by the attack called `name`."""
        encoder, attacker = self.networks[0], self.attacker(name)
        images = (data or self.data).images
        with torch.no_grad(), precision(self.device), initialised(self.cfg.seed, 9):
            shown = batches(images, index, 256, device=self.device)
            found = [attacker(encoder(x).float()).float().cpu() for _, x in shown]
        return torch.cat(found)
