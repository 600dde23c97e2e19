"""What this GPU can do at most, by device events, as one JSON line: bytes a second of a copy within its memory (read and written), and bfloat16 operations
a second of the best of some large products.

  --device cpu --small   only shows that the program runs
"""

import argparse
import json
import statistics
import time

import torch


def milliseconds(work, device, turns):
    if device == "cpu":
        begun = time.perf_counter()
        work()
        return 1e3 * (time.perf_counter() - begun)
    for _ in range(3):
        work()
    times = []
    for _ in range(turns):
        before, after = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        before.record()
        work()
        after.record()
        after.synchronize()
        times.append(before.elapsed_time(after))
    return statistics.median(times)


def copied(device, small):
    source = torch.randn(2**16 if small else 2**29, device=device)
    target = torch.empty_like(source)
    ms = milliseconds(lambda: target.copy_(source), device, 20)
    return 2 * source.numel() * source.element_size() / ms * 1e3


def multiplied(m, n, k, device):
    a = torch.randn(m, k, device=device, dtype=torch.bfloat16)
    b = torch.randn(n, k, device=device, dtype=torch.bfloat16)
    out = torch.empty(m, n, device=device, dtype=torch.bfloat16)
    return 2 * m * n * k / milliseconds(lambda: torch.mm(a, b.t(), out=out), device, 20) * 1e3


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--device", default="cuda")
    options.add_argument("--small", action="store_true")
    args = options.parse_args()
    shapes = [(64, 64, 64)] if args.small else [(8192, 8192, 8192), (4096, 8192, 4096), (16384, 8192, 8192)]
    products = {"x".join(map(str, shape)): multiplied(*shape, args.device) for shape in shapes}
    name = "cpu" if args.device == "cpu" else torch.cuda.get_device_name()
    answer = {"device": name, "bytesPerSecond": copied(args.device, args.small)}
    print(json.dumps(answer | {"flopsPerSecond": max(products.values()), "products": products}))


if __name__ == "__main__":
    main()
