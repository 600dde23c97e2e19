"""Tables of what a stage of bench/gpu.sh measured, printed and as JSON. Standard library only.

  tables.py ops INPUTS FIGURES CEILINGS OUT.json     every op and its sizes against its floor; what trying algorithms gained
  tables.py steps INPUTS FIGURES CEILINGS OUT.json   whole steps against PyTorch and their rooflines; dependent launches
  tables.py compared INPUTS FIGURES CEILINGS OUT.json   what tlora-replay compared, by ops and types, and all that failed

INPUTS: the folder of plans, with NAME.counts.json beside them: bytes and operations of every call. FIGURES: lines of tlora-run-plan --json, of
gpu.py and of tlora-replay; the last may be cut off. CEILINGS: the line of ceilings.py; without that file those of an H200 are taken, and the table says so.
The floor of a call is the longer of its bytes (each input read and each output written once) and its operations over the ceilings.
"""

import json
import os
import statistics
import sys

H200 = {"device": "assumed: H200", "bytesPerSecond": 4.3e12, "flopsPerSecond": 788e12}
# Milliseconds of a step whose ops are fused as far as they can be, counted for an H200.
FUSED = {"sdxl-1024-batch-1": 21.7, "sdxl-1024-batch-4": 83.9, "sd15-512-batch-1": 3.0, "sdxl-1024-forward": 9.6}
GUIDED_STEPS = 25


def lines(file):
    if not os.path.exists(file):
        return []
    with open(file) as text:
        return [json.loads(line) for line in text if line.startswith("{") and line.endswith("}\n")]


def counts_of(inputs, plan):
    file = os.path.join(inputs, f"{plan}.counts.json")
    if not os.path.exists(file):
        return None
    with open(file) as text:
        return json.load(text)


def floor_ms(size, flops, ceilings):
    return 1e3 * max(size / ceilings["bytesPerSecond"], flops / ceilings["flopsPerSecond"])


def op_rows(inputs, figures, ceilings):
    rows = []
    for figure in figures:
        if "op" not in figure:
            continue
        counts = counts_of(inputs, figure["plan"])
        size, flops = counts["bytes"][figure["first"]], counts["flops"][figure["first"]]
        floor = floor_ms(size, flops, ceilings) * figure["calls"]
        rates = {"bytes": size, "flops": flops, "floorMs": floor}
        rows.append(figure | rates | {"share": floor / figure["ms"] if figure["ms"] > 0 else 0})
    return sorted(rows, key=lambda row: (row["plan"], -row["ms"]))


def print_ops(rows):
    print(f"{'ms':>9} {'floor':>8} {'share':>6} {'calls':>5} {'µs/call':>8} {'MB':>8} {'GFLOP':>8}  op and sizes")
    plan = None
    for row in rows:
        if row["plan"] != plan:
            plan = row["plan"]
            mine = [r for r in rows if r["plan"] == plan]
            ms, floor = sum(r["ms"] for r in mine), sum(r["floorMs"] for r in mine)
            print(f"{ms:9.3f} {floor:8.3f} {100 * floor / ms if ms else 0:5.1f}% {sum(r['calls'] for r in mine):5d}  {plan}, all")
        a_call = 1e3 * row["ms"] / row["calls"]
        print(
            f"{row['ms']:9.3f} {row['floorMs']:8.3f} {100 * row['share']:5.1f}% {row['calls']:5d} {a_call:8.2f} "
            f"{row['bytes'] / 1e6:8.2f} {row['flops'] / 1e9:8.2f}  {row['op']}{row['sizes']}"
        )


def tried_rows(figures):
    """Shapes whose algorithms were tried: the times of the chosen one and of the library's first; None: that failed."""
    rows = {}
    for figure in figures:
        algorithms = figure.get("algorithms", {})
        for shape, text in algorithms.get("times", {}).items():
            ms, first, tried = text.replace(" ms", "").replace("the first ", "").replace("of ", "").split(", ")
            row = {"shape": shape, "ms": float(ms), "firstMs": None if first == "-" else float(first), "tried": int(tried)}
            rows[shape] = row | {"algorithm": algorithms["choices"][shape]}
    return sorted(rows.values(), key=lambda row: row["ms"] - (row["firstMs"] or float("inf")))


def fixed_rows(figures):
    """Whole plans with the libraries' first algorithms, and with those that were found fastest."""
    runs = [figure for figure in figures if "medianMs" in figure]
    chosen = {figure["plan"]: figure["medianMs"] for figure in runs if not figure.get("fixed")}
    return [
        {"plan": figure["plan"], "ms": chosen[figure["plan"]], "fixedMs": figure["medianMs"]}
        for figure in runs
        if figure.get("fixed") and figure["plan"] in chosen
    ]


def print_tried(rows, fixed):
    if not rows:
        return
    better = [row for row in rows if row["ms"] != row["firstMs"]]
    print(f"\n{len(rows)} shapes tried, {len(better)} of them take another algorithm than the library's first:")
    print(f"{'µs':>9} {'first':>9} {'ratio':>6} {'of':>3}  shape")
    for row in better:
        first = row["firstMs"]
        ratio = None if first is None or row["ms"] == 0 else first / row["ms"]
        own = " (our own kernels)" if row["algorithm"] == "own" else ""
        first_us = number(first and 1e3 * first, "{:.2f}")
        print(f"{1e3 * row['ms']:9.2f} {first_us:>9} {number(ratio, '{:.2f}'):>6} {row['tried']:3d}  {row['shape']}{own}")
    for row in fixed:
        print(f"{row['plan']}: {row['ms']:.3f} ms, with the first of every shape {row['fixedMs']:.3f}")


def pooled(figures):
    """The median over all turns, and the largest peak; None where nothing was timed."""
    ms = [one for figure in figures for one in figure.get("ms", [])]
    if not ms:
        return None
    return {"ms": statistics.median(ms), "peakBytes": max(figure["peakBytes"] for figure in figures), "turns": len(figures)}


def by(figures, key):
    groups = {}
    for figure in figures:
        groups.setdefault(key(figure), []).append(figure)
    return groups


def with_generation(ours, others):
    """Sampling, of so many predictions and one decoding; the texts are encoded before it."""
    name = next((name for name in ours if name.endswith("-guided") and f"{name}-decode" in ours), None)
    if name is None:
        return
    generation = f"{name}-{GUIDED_STEPS}-steps"
    one, last = ours[name], ours[f"{name}-decode"]
    peak = max(one["peakBytes"], last["peakBytes"])
    ours[generation] = {"ms": GUIDED_STEPS * one["ms"] + last["ms"], "peakBytes": peak, "turns": one["turns"]}
    for (other, mode), figure in list(others.items()):
        if other == name and figure:
            others[(generation, mode)] = figure | {"ms": GUIDED_STEPS * figure["ms"]}


def step_rows(inputs, figures, ceilings):
    mine = [figure for figure in figures if "plan" in figure and "medianMs" in figure and "launches" not in figure]
    starts = [figure for figure in mine if figure["plan"].isdigit()]
    ours = {name: pooled(group) for name, group in by([f for f in mine if f not in starts], lambda f: f["plan"]).items()}
    if starts:
        peak = max(figure["peakBytes"] for figure in starts)
        ours["start of all adapters"] = {"ms": sum(figure["medianMs"] for figure in starts), "peakBytes": peak, "turns": 1}
    named = [figure for figure in figures if "mode" in figure]
    modes = by(named, lambda f: (f["name"], f["mode"] + (" autotune" if f["autotune"] else "")))
    others = {key: pooled(group) for key, group in modes.items()}
    with_generation(ours, others)
    rows = []
    for name, figure in ours.items():
        counts = counts_of(inputs, name)
        floor = counts and sum(floor_ms(size, flops, ceilings) for size, flops in zip(counts["bytes"], counts["flops"]))
        row = {"name": name, "program": "tlora", "floorMs": floor, "fusedMs": FUSED.get(name)} | (figure or {})
        rows.append(row)
        for (other, mode), theirs in others.items():
            if other == name:
                ratio = theirs["ms"] / figure["ms"] if theirs and figure else None
                rows.append({"name": name, "program": f"PyTorch {mode}", "ratio": ratio, "floorMs": floor} | (theirs or {}))
    return rows + [
        {"name": name, "program": f"PyTorch {mode}"} | (theirs or {}) for (name, mode), theirs in others.items() if name not in ours
    ]


def launch_rows(figures):
    """Whole plans with dependent launches beside plain ones, both with the libraries' first algorithms."""
    rows = {}
    for figure in figures:
        if "launches" in figure:
            rows.setdefault(figure["plan"], {"plan": figure["plan"]})[f"{figure['launches']}Ms"] = figure["medianMs"]
        elif "sameBits" in figure:
            rows[figure["plan"]]["sameBits"] = figure["sameBits"]
    return list(rows.values())


def print_launches(rows):
    for row in rows:
        plain, dependent = row.get("plainMs"), row.get("dependentMs")
        ratio = number(plain / dependent if plain and dependent else None, "{:.3f}")
        bits = {True: "the same bits", False: "OTHER BITS", None: "bits not compared"}[row.get("sameBits")]
        print(
            f"{row['plan']}, first algorithms: {number(plain, '{:.3f}')} ms, with dependent launches {number(dependent, '{:.3f}')} ({ratio}), {bits}"
        )


def number(value, text):
    return "-" if value is None else text.format(value)


def print_steps(rows):
    print(f"{'':30} {'':18} {'ms':>9} {'ratio':>6} {'floor':>8} {'share':>6} {'of fused':>8} {'peak GB':>8}")
    for row in rows:
        ms, floor, fused = row.get("ms"), row.get("floorMs"), row.get("fusedMs")
        share = 100 * floor / ms if ms and floor else None
        print(
            f"{row['name']:30} {row['program']:18} {number(ms, '{:.3f}'):>9} {number(row.get('ratio'), '{:.2f}'):>6} "
            f"{number(floor, '{:.3f}'):>8} {number(share, '{:.1f}%'):>6} "
            f"{number(100 * fused / ms if ms and fused else None, '{:.1f}%'):>8} "
            f"{number(row['peakBytes'] / 1e9 if 'peakBytes' in row else None, '{:.2f}'):>8}"
        )


def compared_rows(figures):
    """One row a pass (one trace, done under one tool): its engines, comparisons and failures."""
    rows = []
    for name, lines_of in by(figures, lambda f: f["name"]).items():
        titles = {f["engine"]: f["title"] for f in lines_of if "title" in f}
        ended = {f["engine"] for f in lines_of if "ended" in f}
        broke = {f["engine"]: f["failed"] for f in lines_of if "failed" in f}
        stopped = any("stopped" in f for f in lines_of)
        # One whose process was ended from outside, but for the last one when the time was over.
        for engine in set(titles) - ended - set(broke) - ({max(titles, default=None)} if stopped else set()):
            broke[engine] = "the process ended in it"
        compared = [f | {"title": titles[f["engine"]]} for f in lines_of if "tensor" in f]
        row = {"name": name, "engines": max((f["of"] for f in lines_of if "of" in f), default=0), "done": len(ended), "compared": len(compared)}
        row["wrong"] = [f for f in compared if not f["passed"]]
        row["broke"] = [{"engine": engine, "title": titles[engine], "why": why} for engine, why in sorted(broke.items())]
        groups = by(compared, lambda f: (f["ops"], f["type"]))
        row["ops"] = [
            {"ops": ops, "type": kind, "tensors": len(group), "wrong": sum(not f["passed"] for f in group)}
            | max(({"error": f["error"], "bound": f["bound"]} for f in group), key=lambda f: (f["error"] != f["error"], f["error"] / f["bound"]))
            for (ops, kind), group in sorted(groups.items())
        ]
        rows.append(row)
    return rows


def print_compared(rows, most=60):
    for row in rows:
        print(f"\n{row['name']}: {'tensors':>8} {'wrong':>6} {'error':>9} {'bound':>8}  ops and type")
        for group in row["ops"]:
            print(f"{group['tensors']:>{len(row['name']) + 10}d} {group['wrong']:6d} {group['error']:9.2e} {group['bound']:8.0e}  {group['ops']} {group['type']}")
        for f in row["wrong"][:most]:
            print(f"WRONG  {f['ops']}: {f['title']}: {f['tensor']} {f['type']}: error {f['error']:.2e}, bound {f['bound']:.0e}")
        for one in row["broke"][:most]:
            print(f"BROKE  {one['title']}: {one['why']}")
    for row in rows:
        more = row["engines"] - row["done"]
        print(
            f"{row['name']}: {row['done']} of {row['engines']} engines done, {row['compared']} tensors compared, {len(row['wrong'])} wrong, "
            f"{len(row['broke'])} engines broke" + (f", {more} NOT DONE" if more else "")
        )


def main():
    kind, inputs, figures, ceilings, out = sys.argv[1:]
    if kind == "compared":
        rows = compared_rows(lines(figures))
        print_compared(rows)
        with open(out, "w") as file:
            json.dump({"rows": rows}, file, indent=1)
        return
    measured = lines(ceilings)
    limits = measured[-1] if measured else H200
    print(f"\n{limits['device']}: {limits['bytesPerSecond'] / 1e12:.3f} TB/s, {limits['flopsPerSecond'] / 1e12:.1f} TFLOP/s of bfloat16")
    make, show = (op_rows, print_ops) if kind == "ops" else (step_rows, print_steps)
    rows = make(inputs, lines(figures), limits)
    show(rows)
    tried, fixed = (tried_rows(lines(figures)), fixed_rows(lines(figures))) if kind == "ops" else ([], [])
    print_tried(tried, fixed)
    launches = launch_rows(lines(figures))
    print_launches(launches)
    with open(out, "w") as file:
        json.dump({"ceilings": limits, "rows": rows, "tried": tried, "fixed": fixed, "launches": launches, "figures": lines(figures)}, file, indent=1)


if __name__ == "__main__":
    main()
