"""How many workers the GPUs of this machine carry: one each."""


class TooFewGpusError(Exception):
    """There is no GPU for each worker."""


def workers_on(gpus: int, asked: int | None) -> int:
    """One worker a GPU, or as many as were asked for.

    Raises:
        TooFewGpusError: there is none, or more workers were asked for than there are.
    """
    if gpus == 0:
        raise TooFewGpusError(
            "the device is cuda, but Ray sees no GPU on this machine; each worker takes a whole "
            "one; look with nvidia-smi and at CUDA_VISIBLE_DEVICES, or use SEEDBED_DEVICE=cpu"
        )
    if asked is not None and asked > gpus:
        raise TooFewGpusError(
            f"{asked} workers were asked for on cuda, but Ray sees {gpus} "
            f"GPU{'s' if gpus > 1 else ''}; each worker takes a whole one; use at most {gpus}, or "
            "leave SEEDBED_WORKERS out"
        )
    return gpus if asked is None else asked


def seen_by_ray() -> int:
    """The GPUs of the Ray that this process has started."""
    import ray  # noqa: PLC0415 - only once the pool has started it, with its token

    return int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
