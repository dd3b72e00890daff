"""What only an accelerator can show; skipped where there is none. test_steps.py counts what would wait, here the device itself says it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from optional import need

import arl
from arl import experiment, protect, training
from arl.config import RunConfig
from arl.data import batches, resident
from arl.experiment import Experiment

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
CUDA, ROOT = torch.device("cuda"), Path(__file__).parents[1]
LOSSES = ("utility", "pixel", "adversary")
CFG = RunConfig.preset(
    "tiny", lambda1=1, lambda2=1, attacks="decoder,features,ridge,kernelridge,whitened,attention,probe"
)


@pytest.fixture(autouse=True)
def undecided(monkeypatch):
    """The other tests' float32 is not for the device."""
    monkeypatch.delenv("ARL_PRECISION", raising=False)


@pytest.fixture
def on_cuda(monkeypatch):
    monkeypatch.setenv("ARL_DEVICE", "cuda")


def unwaiting(given):
    """`given`, with every wait for the device an error between its third batch and its last."""
    try:
        for i, each in enumerate(given):
            if i == 3:
                torch.cuda.set_sync_debug_mode("error")
            yield each
    finally:
        torch.cuda.set_sync_debug_mode("default")


def epoch_of(cfg, wait=lambda x: None):
    """An epoch of the game of `cfg` on the device, on resident faces; `wait` is called with each batch of X1."""
    from arl import feeds

    there = Experiment(cfg)
    x1, x2, _ = there.split
    feed = feeds.of_protector(there.data, x1, x2, cfg, CUDA)

    def private(epoch):
        for x, y in unwaiting(feed.private(epoch)):
            wait(x)
            yield x, y

    model = there.halves(cfg.defence)
    player = cfg.defence.simulated.player(
        experiment.Shapes((64,), 32, 8, 0, 40), lambda a, b: (a - b).square().mean()
    ).cuda()
    schedule = protect.TrainingSchedule(2, 1e-3, 0)
    distance = lambda a, b: (a - b).square().mean()  # noqa: E731
    protect.protect(
        model, cfg.defence, player, feed._replace(private=private), schedule, training.Nowhere(), perceptual=distance
    )


@pytest.mark.parametrize("augmentation", ["mirror", "crops"])
def test_no_step_of_the_game_waits(shared_store, on_cuda, augmentation):
    epoch_of(CFG.replace(simulated_mu1=0.1, augmentation=augmentation))


def test_a_step_that_waits_is_an_error(shared_store, on_cuda):
    with pytest.raises(RuntimeError, match="synchroniz"):
        epoch_of(CFG, wait=lambda x: x.sum().item())


@pytest.mark.parametrize("name", ["decoder", "features", "whitened", "attention"])
def test_no_step_of_an_attack_waits(shared_store, on_cuda, monkeypatch, name):
    """Measured in the whole attack: what `of_attacker` gives, from the third batch of each epoch to its last."""
    feed = experiment.feeds.of_attacker

    def watched(*given):
        public = feed(*given)
        return public._replace(train=lambda epoch: unwaiting(public.train(epoch)))

    monkeypatch.setattr(experiment.feeds, "of_attacker", watched)
    there = Experiment(
        CFG.replace(lambda1=0, lambda2=0, attacks=name, seed=3, **({"mu1": 0.1} if name == "decoder" else {}))
    )
    attack = there.cfg.attacks[0]
    known = there._known_embeddings() if attack.target == "embedding" else None
    there.trained(training.Nowhere(), attack, known)


def test_resident_faces_come_as_those_from_the_file(shared_store, on_cuda):
    images = Experiment(CFG).data.images
    there = resident(images, CUDA)
    assert isinstance(there, torch.Tensor) and there.device.type == "cuda"
    pairs = zip(
        *(batches(i, range(50), 16, device=CUDA, generator=training.generator(1), flip=True) for i in (images, there)),
        strict=True,
    )
    for (rows, x), (rows_there, x_there) in pairs:
        assert torch.equal(rows, rows_there) and torch.equal(x, x_there)


def test_in_single_precision_it_learns_as_a_cpu_does(shared_store, monkeypatch):
    """Losses of two epochs of the game, without bf16 and TF32. Two players amplify rounding: 2.3 % were seen in Dec's."""
    monkeypatch.setenv("ARL_PRECISION", "float32")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    found = {}
    for device in ("cpu", "cuda"):
        monkeypatch.setenv("ARL_DEVICE", device)
        there = Experiment(CFG.replace(lambda2=0, epochs=2, warm=0))
        lines = []

        class Heard(training.Nowhere):
            def keep(self, parts, line, lines=lines, **state):
                lines.append(line)

        there.protected(Heard(), there.cfg.defence)
        found[device] = lines
    for a, b in zip(found["cpu"], found["cuda"], strict=True):
        assert [b[name] for name in LOSSES] == pytest.approx([a[name] for name in LOSSES], rel=6e-2)


def test_a_whole_row_says_what_made_it_and_a_cpu_reads_it(shared_store, on_cuda, monkeypatch):
    """bf16 on CUDA; the same stored networks on a CPU in single precision draw the same pictures to a few grey levels."""
    row = arl.run(CFG)
    made = row.runs["encoder"].result["made_with"]
    assert made["device"] == torch.cuda.get_device_name() and made["precision"] == "bf16"
    t = Experiment(CFG).split.t[:32]
    pictures = Experiment(CFG).reconstruct(t)
    monkeypatch.setenv("ARL_DEVICE", "cpu")
    apart_by = (Experiment(CFG).reconstruct(t) - pictures).abs()
    assert apart_by.mean() < 4 / 255 and pictures.std() > 0.01
    assert arl.find(CFG).id == row.id


TEAM_OF_ONE = """
import torch
torch.backends.cudnn.allow_tf32 = False
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.strategies import DDPStrategy
from arl import parallel

strategy = DDPStrategy(process_group_backend="cpu:gloo,cuda:nccl")
fabric = Fabric(accelerator="cuda", devices=1, strategy=strategy, plugins=[LightningEnvironment()])
fabric.launch()
team, device = parallel.Team(fabric), torch.device("cuda")
assert "nccl" in torch.distributed.group.WORLD._get_backend(device).name().lower()
assert team.mean(torch.ones(3, device=device)).tolist() == [1, 1, 1]
net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.BatchNorm2d(5), torch.nn.ReLU()).to(device)
x = torch.randn(8, 3, 8, 8, device=device)

def step():
    net.zero_grad()
    y = net(x)
    y.square().sum().backward()
    team.average(list(net.parameters()))
    return [y.detach(), *(p.grad.clone() for p in net.parameters())]

alone = step()
parallel.normalise_together(net)
with parallel.working(team):
    together = step()
print(max(((a - b).norm() / a.norm().clamp(min=1e-2)).item() for a, b in zip(alone, together)))
"""


def test_a_team_of_one_over_nccl_is_one_process():
    """NCCL's all-reduces in gradients and BatchNorm, on the one device that is there: test_parallel.py does the same with two over gloo."""
    need("lightning_fabric")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, "-c", TEAM_OF_ONE], env=env, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert float(ran.stdout.split()[-1]) < 1e-2  # with TF32 up to 9e-3 was seen


def test_compiled_networks_learn(shared_store, on_cuda, monkeypatch):
    monkeypatch.setenv("ARL_COMPILE", "1")
    row = arl.run(CFG.replace(seed=5, attacks="decoder"))
    assert row.runs["encoder"].result["made_with"]["compiled"] == "torch.compile"
    assert 5 < row.result["psnr"]["value"] < 40
