"""How many workers the GPUs of this machine carry: one each, or several."""


class TooFewGpusError(Exception):
    """There is no GPU for each worker."""


def workers_on(gpus: int, asked: int | None, per_gpu: int = 1) -> int:
    """So many workers a GPU, or as many as were asked for.

    Raises:
        TooFewGpusError: there is none, or more workers were asked for than there are.
    """
    if gpus == 0:
        raise TooFewGpusError(
            "the device is cuda, but Ray sees no GPU on this machine; each worker takes a "
            "part of one; look with nvidia-smi and at CUDA_VISIBLE_DEVICES, or use "
            "SEEDBED_DEVICE=cpu"
        )
    most = gpus * per_gpu
    if asked is not None and asked > most:
        raise TooFewGpusError(
            f"{asked} workers were asked for on cuda, but Ray sees {gpus} "
            f"GPU{'s' if gpus > 1 else ''} for {per_gpu} each; use at most {most}, leave "
            "SEEDBED_WORKERS out, or put more on a GPU with SEEDBED_WORKERS_PER_GPU"
        )
    return most if asked is None else asked


def seen_by_ray() -> int:
    """The GPUs of the Ray that this process has started."""
    import ray  # noqa: PLC0415 - only once the pool has started it, with its token

    return int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
