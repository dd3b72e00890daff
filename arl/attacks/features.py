"""M: the attack on features, equation (10)."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from arl.attacks.base import Attack, Shapes

if TYPE_CHECKING:
    from arl.adversary import Distance
    from arl.plateau import Learner


class Features(Attack):
    """Z to C's embedding, by (10)."""

    target: ClassVar[Literal["image", "embedding", "label"]] = "embedding"
    by_rows: ClassVar[bool] = True

    @classmethod
    def stream(cls) -> int:
        return 21

    @property
    def cost(self) -> float:
        return 0.7

    def spec(self) -> dict[str, Any]:
        return {"kind": "features", "version": 2}

    def describe(self) -> str:
        return ""

    def player(self, shapes: Shapes, perceptual: "Distance | None" = None) -> "Learner":
        from arl import losses, models
        from arl.plateau import Learner

        return Learner(models.FeatureMap(shapes.z, shapes.embedding), losses.feature_attack_loss)
