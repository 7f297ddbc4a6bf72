"""The physics in torch: the twin of the compiled engine that gradients flow through, and that training learns with."""

from ..errors import require

require("torch", "train", "aitimestepper.differentiable")

from .criteria import module_for as module_for  # noqa: E402
from .learned import LearnedModule as LearnedModule  # noqa: E402
from .loop import simulate as simulate  # noqa: E402
from .step_module import StepModule as StepModule  # noqa: E402
