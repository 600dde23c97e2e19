#!/usr/bin/env bash
# bench/gpu.sh STAGE OUT: what needs a GPU, on a bare machine with one: a CUDA toolkit, PyTorch (for its NVIDIA libraries) and g++, but
# neither network nor Node. Each stage ends within nine minutes and leaves a few text files in the folder OUT.
#   parity    build for this GPU alone; do the recorded tests of every op and of the reference's numbers again, and compare
#   sanitize  the recorded tests of the ops under compute-sanitizer: memcheck, then racecheck
#   ops       time every call of the training steps, by op and by sizes
#   step      time whole training steps, recorded as one graph
#   all       the four, one after the other
# Before, on a machine with Node: node bench/gpu/prepare.mjs, which makes the inputs (TLORA_GPU_INPUTS, default build/gpu-inputs).
set -euo pipefail
if [[ $# -ne 2 ]]; then
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
stage=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
inputs=${TLORA_GPU_INPUTS:-$root/build/gpu-inputs}
build=$root/build/gpu
programs=$build/Release
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
  local limit=$1 begun=$SECONDS
  shift
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
plan_options=(--set activeRank=64 --device cuda)

ops() {
  for plan in "$inputs"/*.plan; do attempt 170 "$programs/tlora-run-plan" "$plan" "${plan_options[@]}" --profile --repeat 6; done
}

step() {
  for plan in "$inputs"/*.plan; do attempt 170 "$programs/tlora-run-plan" "$plan" "${plan_options[@]}" --repeat 33; done
}

# Succeeds if nothing of the stage failed; what it says goes to the screen and to a file.
run_stage() {
  {
    if [[ ! -x $programs/tlora-replay || $1 == parity ]]; then build; fi
    "$1"
    printf '\n%s: %d failures\n' "$1" "$failures"
  } 2>&1 | tee "$out/$1.txt"
  [[ $(tail -n 1 "$out/$1.txt") == "$1: 0 failures" ]]
}

case $stage in
  parity | sanitize | ops | step) run_stage "$stage" ;;
  all)
    status=0
    for each in parity sanitize ops step; do run_stage "$each" || status=1; done
    exit $status
    ;;
  *)
    echo "STAGE: expected parity, sanitize, ops, step or all, got $stage" >&2
    exit 2
    ;;
esac
