"""Times PyTorch's 3x3 convolutions in float32. Reads requests from standard input, a line each:
  <side> <channels> <outs> <forward|data> <nchw|nhwc>
and answers each with the seconds of one run: processor time for one thread, by the clock for several.
  conv.py <threads>"""

import functools
import json
import sys
import time

import torch
import torch.nn.functional as F


@functools.lru_cache(maxsize=2)
def prepared(side, channels, outs, direction, layout):
    """A function that runs the convolution, or its gradient with respect to the picture, after a first run."""
    order = torch.channels_last if layout == "nhwc" else torch.contiguous_format
    x = torch.randn(1, channels, side, side).to(memory_format=order)
    w = (torch.randn(outs, channels, 3, 3) * 0.02).to(memory_format=order)
    dy = torch.randn(1, outs, side, side).to(memory_format=order)
    one = (1, 1)

    def forward():
        F.conv2d(x, w, padding=1)

    def data():
        torch.ops.aten.convolution_backward(dy, x, w, None, one, one, one, False, (0, 0), 1, (True, False, False))

    run = forward if direction == "forward" else data
    run()
    return run


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    clock = time.thread_time if threads == 1 else time.perf_counter
    print(json.dumps(f"PyTorch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"), flush=True)
    with torch.no_grad():
        for line in sys.stdin:
            side, channels, outs, direction, layout = line.split()
            run = prepared(int(side), int(channels), int(outs), direction, layout)
            start = clock()
            run()
            print(f"{clock() - start:.9f}", flush=True)


if __name__ == "__main__":
    main()
