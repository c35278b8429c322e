"""What a GPU has used: joules, as its own meter counts them."""

import pynvml  # type: ignore[import-untyped]
import torch


def gpu_joules(device: torch.device) -> float | None:
    """Energy of the whole GPU since its driver was loaded, other processes' included; None without such a meter.

    Source: NVML, nvmlDeviceGetTotalEnergyConsumption, in millijoules; from Volta on
    """
    if device.type != "cuda":
        return None
    try:
        pynvml.nvmlInit()
        uuid = torch.cuda.get_device_properties(device).uuid
        return pynvml.nvmlDeviceGetTotalEnergyConsumption(pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")) / 1e3
    except pynvml.NVMLError:
        return None
