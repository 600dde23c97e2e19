"""PyTorch's side of `npm run bench -- ops`: prepares one op when it is told to, runs it once when it is asked to.

    ops.py THREADS
One request a line, one answer a line of JSON: an op with its sizes (JSON), "time", or "drop".
"""
import json
import sys
import time

import torch
import torch.nn.functional as F

aten = torch.ops.aten


def conv(direction, side, to, window, stride, pad, **sizes):
    x = torch.randn(1, sizes["from"], side, side)
    w = torch.randn(to, sizes["from"], window, window) * 0.01
    if direction == "forward":
        return lambda: F.conv2d(x, w, None, stride, pad)
    dy = torch.randn_like(F.conv2d(x, w, None, stride, pad))
    only_dx = [True, False, False]
    return lambda: aten.convolution_backward(
        dy, x, w, None, [stride] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, only_dx)


def attention(direction, tokens, keys, heads, channels):
    def split(count):
        return torch.randn(1, count, heads, channels // heads).transpose(1, 2)

    q, k, v = split(tokens), split(keys), split(keys)
    if direction == "forward":
        return lambda: F.scaled_dot_product_attention(q, k, v)
    o, lse = aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)
    do = split(tokens)
    return lambda: aten._scaled_dot_product_flash_attention_for_cpu_backward(do, q, k, v, o, lse, 0.0, False)


def low_rank(direction, tokens, to, rank, active, **sizes):
    """The reference's layer: trained branch less frozen branch, columns from the active rank on masked."""
    width = sizes["from"]
    base, x = torch.randn(1, tokens, to), torch.randn(1, tokens, width)
    up, down, scale = torch.randn(to, rank), torch.randn(rank, width), torch.randn(1, rank)
    up0, down0, scale0 = up.clone(), down.clone(), scale.clone()
    mask = (torch.arange(rank) < active).float()[None]

    def forward():
        trained = F.linear(F.linear(x, down) * scale * mask, up)
        return base + trained - F.linear(F.linear(x, down0) * scale0 * mask, up0)

    if direction == "forward":
        return forward
    wanted = [t.requires_grad_() for t in (x, up, down, scale)]
    y = forward()
    dy = torch.randn_like(y)
    return lambda: torch.autograd.grad(y, wanted, dy, retain_graph=True)


def norm(direction, kind, rows, channels):
    w, b = torch.randn(channels), torch.randn(channels)
    x = torch.randn(1, channels, rows) if kind == "group" else torch.randn(1, rows, channels)

    def forward():
        if kind == "group":
            return F.silu(F.group_norm(x, 32, w, b))
        return F.layer_norm(x, (channels,), w, b)

    if direction == "forward":
        return forward
    x.requires_grad_()
    y = forward()
    dy = torch.randn_like(y)
    return lambda: torch.autograd.grad(y, x, dy, retain_graph=True)


OPS = {"conv": conv, "attention": attention, "lowRank": low_rank, "norm": norm}
CLOCKS = {"wall": time.perf_counter, "thread": time.thread_time, "process": time.process_time}


def timed(work, direction):
    # Without gradients, forward runs leave out what only training needs; a graph that is already there is not affected.
    with torch.set_grad_enabled(direction != "forward"):
        before = {name: clock() for name, clock in CLOCKS.items()}
        work()
        return {name: clock() - before[name] for name, clock in CLOCKS.items()}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.manual_seed(0)

    def answer(value):
        print(json.dumps(value), flush=True)

    answer({"torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability()})
    work = direction = None
    for line in sys.stdin:
        word = line.strip()
        if word == "time":
            answer(timed(work, direction))
        elif word == "drop":
            work = None
            answer(True)
        else:
            request = json.loads(word)
            direction = request["direction"]
            work = OPS[request.pop("op")](**request)
            answer(True)


main()
