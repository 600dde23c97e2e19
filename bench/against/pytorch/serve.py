"""What PyTorch's programs share: their options, and the loop that answers each line of stdin with a line of JSON."""

import argparse
import json
import sys
import time

import torch


def parser(description):
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--model", metavar="DIR", help="pipeline folder in diffusers layout")
    options.add_argument("--data", metavar="FILE", help="safetensors: everything beside the model")
    options.add_argument("--layout", choices=("nchw", "nhwc"), default="nchw")
    options.add_argument("--threads", type=int, default=2)
    return options


def conditions(data):
    """Text states, and for SDXL pooled states and size conditions."""
    return [data[name] for name in ("encoderHiddenStates", "textEmbeds", "timeIds") if name in data]


def peak_bytes():
    try:
        with open("/proc/self/status") as status:
            line = next(line for line in status if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    except (OSError, StopIteration):
        return None


def timed(step):
    """What the step returns, with its wall-clock and processor milliseconds."""
    begin, cpu = time.perf_counter(), time.process_time()
    result = step()
    return {"ms": (time.perf_counter() - begin) * 1000, "cpuMs": (time.process_time() - cpu) * 1000, **result}


def serve(args, make):
    """make(args) has step(), and a method for each other request. A number asks for so many steps."""
    torch.set_num_threads(args.threads)
    subject = make(args)
    say = lambda **fields: print(json.dumps(fields), flush=True)
    say(torch=torch.__version__, cpu=torch.backends.cpu.get_cpu_capability(), threads=torch.get_num_threads())
    for line in sys.stdin:
        request = line.strip()
        if request.isdigit():
            say(steps=[timed(subject.step) for _ in range(int(request))], peakBytes=peak_bytes())
        else:
            say(**subject.requests[request]())
