"""The GPU that torch sees, in words."""

from __future__ import annotations

import torch


def gpu_words() -> str:
    """Return the name and memory of each GPU that a training could run on, or that there is none."""
    if not torch.cuda.is_available():
        return "none that torch sees"
    found = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count())]
    return ", ".join(f"{one.name} ({one.total_memory / 2**30:.0f} GiB)" for one in found)
