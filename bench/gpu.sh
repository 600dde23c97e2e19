#!/usr/bin/env bash
# bench/gpu.sh STAGE OUT: what needs a GPU, on a bare machine with one: a CUDA toolkit, PyTorch (for its NVIDIA libraries) and g++, but
# neither network nor Node. Each stage ends within nine minutes and leaves a few text files in the folder OUT.
#   parity    build for this GPU alone; do the recorded tests of every op and of the reference's numbers again, and compare
#   sanitize  the recorded tests of the ops under compute-sanitizer: memcheck, then racecheck
#   ops       every op and size of the training steps against its floor: bytes or operations over ceilings measured in the same run
#   step      training steps as one graph, the forward pass alone, guided generation, the start of all adapters; PyTorch's in turns with them
#   pytorch-eager, pytorch-compiled
#             the training steps in PyTorch, call by call and as a graph, or compiled and as a graph, in turns with tlora's
#   all       parity, sanitize, ops and step, one after the other
# ops, step and pytorch-* leave a table in STAGE.txt and STAGE.json, and what it was made of in STAGE.jsonl. A stage that runs out of time goes on
# without its last cases; TLORA_GPU_CASES="sd15-512-batch-1 ..." chooses cases, so that a second call can measure those.
# Before, on a machine with Node: node bench/gpu/prepare.mjs, which makes the inputs (TLORA_GPU_INPUTS, default build/gpu-inputs).
set -euo pipefail
if [[ $# -ne 2 ]]; then
  sed -n '2,16s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
stage=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
inputs=${TLORA_GPU_INPUTS:-$root/build/gpu-inputs}
build=$root/build/gpu
programs=${TLORA_GPU_PROGRAMS:-$build/Release}
cd "$root"

nvidia_root() {
  python3 -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null || true
}
export TLORA_NVIDIA_ROOT=${TLORA_NVIDIA_ROOT:-$(nvidia_root)}

# Machine code for the GPU that is there, and no other.
architecture() {
  nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d '. '
}

build_with_cmake() {
  cmake -S . -B "$build" -DTLORA_CUDA=ON -DTLORA_NVIDIA_ROOT="$TLORA_NVIDIA_ROOT" -DTLORA_CUDA_ARCHS="$1-real"
  cmake --build "$build" --target tlora_cuda tlora-run-plan tlora-replay -j "$(nproc)"
}

# Without CMake: the same sources, one line each.
build_by_hand() {
  local objects=$build/o flags=(-O3 -Inative) host=-fPIC,-fvisibility=hidden,-Wno-psabi,-ffp-contract=off
  local cuda=(nvcc -std=c++20 "-arch=sm_$1" "-Xcompiler=$host" "-I$TLORA_NVIDIA_ROOT"/{cu13,cublas,cudnn}/include "${flags[@]}")
  local cpu=(g++ -std=gnu++20 "${host//,/ }" "${flags[@]}")
  mkdir -p "$objects" "$programs"
  {
    for source in native/core/*.cpp native/cpu/*.cpp bench/gpu/replay.cpp; do
      echo "${cpu[*]} -c $source -o $objects/$(basename "$source").o"
    done
    for source in native/cuda/*.{cpp,cu}; do echo "${cuda[*]} -c $source -o $objects/cuda-$(basename "$source").o"; done
  } | xargs -P "$(nproc)" -I{} sh -c '{}'
  local libraries core
  mapfile -t libraries < <(find -L "$TLORA_NVIDIA_ROOT" -name "libcublasLt.so.$(toolkit_major)" -o -name libcudnn.so.9)
  [[ ${#libraries[@]} -eq 2 ]] || libraries=(-lcublasLt -lcudnn)
  nvcc -shared "-arch=sm_$1" "$objects"/cuda-*.o "${libraries[@]}" -o "$programs/tlora_cuda.so"
  mapfile -t core < <(find "$objects" -name '*.o' ! -name 'cuda-*' ! -name run_plan.cpp.o ! -name replay.cpp.o)
  g++ "${core[@]}" "$objects/run_plan.cpp.o" -o "$programs/tlora-run-plan" -ldl -lpthread
  g++ "${core[@]}" "$objects/replay.cpp.o" -o "$programs/tlora-replay" -ldl -lpthread
}

toolkit_major() {
  nvcc --version | sed -n 's/.*release \([0-9]*\).*/\1/p'
}

build() {
  nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv
  nvcc --version | tail -n 2
  local begun=$SECONDS arch
  arch=$(architecture)
  if command -v cmake >/dev/null; then build_with_cmake "$arch"; else build_by_hand "$arch"; fi
  echo "built in $((SECONDS - begun)) s for $arch"
}

# Ends what takes longer than LIMIT seconds, so that the stage ends in time; goes on after a failure, and counts it.
failures=0
attempt() {
  local limit=$1 begun=$SECONDS left=$((ends - SECONDS))
  shift
  if ((left < limit)); then limit=$((left > 1 ? left : 1)); fi
  printf '\n=== %s\n' "$*"
  if timeout "$limit" "$@"; then
    echo "=== passed in $((SECONDS - begun)) s"
  else
    echo "=== FAILED with status $? after $((SECONDS - begun)) s"
    failures=$((failures + 1))
  fi
}

# The second's bounds are three times those of test/parity/bounds.ts.
parity() {
  attempt 120 "$programs/tlora-replay" "$inputs/ops.trace" --worst 40
  attempt 120 "$programs/tlora-replay" "$inputs/parity.trace" --bounds 1e-4,3e-3,2e-2 --states 9e-3 --worst 40
}

sanitize() {
  local tool
  for tool in memcheck racecheck; do
    attempt 240 compute-sanitizer --tool "$tool" --error-exitcode 9 "$programs/tlora-replay" "$inputs/ops.trace" --worst 5
  done
}

# Rank 64 and settings with which an optimizer step is one; values do not change the time.
plan_options=(--set activeRank=64 --device "${TLORA_GPU_DEVICE:-cuda}")

# NAME, model, side and batch of the training steps.
cases=("sdxl-1024-batch-1 sdxl 1024 1" "sd15-512-batch-1 sd15 512 1" "sdxl-1024-batch-4 sdxl 1024 4")
if [[ -f $inputs/tiny.config.json ]]; then cases=("tiny-64-batch-1 tiny 64 1"); fi
chosen() {
  [[ -z ${TLORA_GPU_CASES:-} || " $TLORA_GPU_CASES " == *" $1 "* ]]
}

# Figures of tlora's plans and of PyTorch go to one file of lines.
ours() {
  local repeat=$1
  shift
  attempt 150 "$programs/tlora-run-plan" "$@" "${plan_options[@]}" --repeat "$repeat" --json "$out/$stage_name.jsonl"
}

with_pytorch() {
  [[ -n ${TLORA_GPU_PYTORCH:-} ]] || python3 -c 'import torch; assert torch.cuda.is_available()' 2>/dev/null
}

# theirs LIMIT NAME MODEL SIDE BATCH MODE... : TLORA_GPU_PYTORCH holds more options. Compiled kernels are kept for the next call.
theirs() {
  local limit=$1 name=$2 model=$3 side=$4 batch=$5 more
  shift 5
  read -ra more <<<"${TLORA_GPU_PYTORCH:-}"
  export TORCHINDUCTOR_CACHE_DIR=$build/inductor TORCHINDUCTOR_FX_GRAPH_CACHE=1
  attempt "$limit" python3 bench/against/pytorch/gpu.py --config "$inputs/$model.config.json" --name "$name" --resolution "$side" \
    --batch "$batch" --mode "$@" "${more[@]}" | tee "$build/theirs.txt"
  { grep '^{' "$build/theirs.txt" || true; } >>"$out/$stage_name.jsonl"
  if grep -q '^=== FAILED' "$build/theirs.txt"; then failures=$((failures + 1)); fi # attempt counted in a subshell
}

ceilings() {
  if with_pytorch; then
    local device=()
    if [[ -n ${TLORA_GPU_PYTORCH:-} ]]; then device=(--device cpu --small); fi
    python3 bench/gpu/ceilings.py "${device[@]}" >"$out/ceilings.json" || rm -f "$out/ceilings.json"
  fi
}

table() {
  attempt 60 python3 bench/gpu/tables.py "$1" "$inputs" "$out/$stage_name.jsonl" "$out/ceilings.json" "$out/$stage_name.json"
}

ops() {
  local each name
  ceilings
  for each in "${cases[@]}"; do
    name=${each%% *}
    if chosen "$name"; then
      ours 8 "$inputs/$name.plan" --ops
      ours 8 "$inputs/$name.plan" --fixed # what trying algorithms gains over the libraries' first
    fi
  done
  table ops
}

step() {
  local each name model side batch pytorch=false
  ceilings
  if with_pytorch; then pytorch=true; else echo "PyTorch cannot use this GPU: tlora alone"; fi
  for each in "${cases[@]}"; do
    read -r name model side batch <<<"$each"
    if ! chosen "$name"; then continue; fi
    ours 23 "$inputs/$name.plan"
    if $pytorch; then
      theirs 150 "$name" "$model" "$side" "$batch" eager
      ours 23 "$inputs/$name.plan"
    fi
  done
  prefix=${cases[0]%-batch-*}
  read -r name model side batch <<<"${cases[0]}"
  if chosen "$prefix-forward"; then
    ours 33 "$inputs/$prefix-forward.plan"
    if $pytorch; then theirs 120 "$prefix-forward" "$model" "$side" 1 forward; fi
  fi
  if chosen "$prefix-guided"; then
    ours 28 "$inputs/$prefix-guided.plan" "$inputs/$prefix-guided-decode.plan"
    if $pytorch; then theirs 120 "$prefix-guided" "$model" "$side" 2 forward; fi # without an adapter
  fi
  if chosen "$model-start"; then ours 2 "$inputs/$model-start"/*.plan --no-record; fi
  table steps
}

# Modes of gpu.py in turns with tlora.
pytorch() {
  local limit=$1 each mode name model side batch
  shift
  ceilings
  for each in "${cases[@]}"; do
    read -r name model side batch <<<"$each"
    if ! chosen "$name"; then continue; fi
    ours 13 "$inputs/$name.plan"
    for mode in "$@"; do
      theirs "$limit" "$name" "$model" "$side" "$batch" "$mode"
      ours 13 "$inputs/$name.plan"
    done
  done
  table steps
}

pytorch-eager() {
  pytorch 150 eager graph
}

pytorch-compiled() {
  pytorch 400 compiled
}

# Succeeds if nothing of the stage failed; what it says goes to the screen and to a file.
run_stage() {
  ends=$((SECONDS + 520))
  stage_name=$1
  mkdir -p "$build"
  rm -f "$out/$1.jsonl" "$out/$1.json"
  {
    if [[ ! -x $programs/tlora-replay || $1 == parity ]]; then build; fi
    "$1"
    printf '\n%s: %d failures\n' "$1" "$failures"
  } 2>&1 | tee "$out/$1.txt"
  [[ $(tail -n 1 "$out/$1.txt") == "$1: 0 failures" ]]
}

case $stage in
  parity | sanitize | ops | step | pytorch-eager | pytorch-compiled) run_stage "$stage" ;;
  all)
    status=0
    for each in parity sanitize ops step; do run_stage "$each" || status=1; done
    exit $status
    ;;
  *)
    echo "STAGE: expected parity, sanitize, ops, step, pytorch-eager, pytorch-compiled or all, got $stage" >&2
    exit 2
    ;;
esac
