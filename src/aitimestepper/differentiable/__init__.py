"""The physics in torch: the twin of the compiled engine that gradients flow through, and that training learns with."""

from .criteria import module_for as module_for
from .learned import LearnedModule as LearnedModule
from .loop import simulate as simulate
from .step_module import StepModule as StepModule
