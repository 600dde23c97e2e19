#!/usr/bin/env bash
# bench/gpu.sh STAGE[=SECONDS][,STAGE...] OUT: what needs a GPU, on a bare machine with one: a CUDA toolkit, PyTorch (for its NVIDIA libraries) and
# g++, but neither network nor Node. A stage ends within its SECONDS (default 520, less what the stages before it took too long) and leaves
# STAGE.txt and STAGE.json in the folder OUT; STAGE.jsonl is what the latter is made of, and is left behind by a stage that was cut off.
#   parity    do the recorded tests of every op and of the reference's numbers again, and compare
#   sanitize  the recorded tests of the ops under compute-sanitizer: memcheck and racecheck of tlora's kernels, then memcheck of all
#   ops       every op and size of the training steps against its floor: bytes or operations over ceilings measured in the same run
#   step      training steps as one graph, the forward pass alone, guided generation, the start of all adapters; PyTorch's in turns with them;
#             steps with dependent launches in turns with plain ones
#   pytorch-eager, pytorch-compiled
#             the training steps in PyTorch, call by call and as a graph, or compiled and as a graph, in turns with tlora's
#   build     the programs for this GPU alone (or TLORA_GPU_ARCH=90), into OUT; the other stages do it where they find none that start
# A stage that runs out of time goes on without its last cases; TLORA_GPU_CASES="sd15-512-batch-1 ..." chooses cases, so that a second call can
# measure those. Calls of at most ten minutes, in this order, for a first hour with a device:
#   bench/gpu.sh parity=230,step=290 OUT
#   bench/gpu.sh ops=180,sanitize=340 OUT
#   bench/gpu.sh pytorch-compiled OUT
# Before, on a machine with Node: node bench/gpu/prepare.mjs, which makes the inputs (TLORA_GPU_INPUTS, default build/gpu-inputs) and packs them into
# build/gpu-inputs.tar.xz; they are unpacked where they are not there.
set -euo pipefail
if [[ $# -ne 2 ]]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
mkdir -p "$2"
out=$(cd "$2" && pwd)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
inputs=${TLORA_GPU_INPUTS:-$root/build/gpu-inputs}
build=$root/build/gpu
cd "$root"
# A toolkit that is there, but not on PATH.
for toolkit in ${CUDA_HOME:+"$CUDA_HOME"} ${CUDA_PATH:+"$CUDA_PATH"} /usr/local/cuda; do
  if ! command -v nvcc >/dev/null && [[ -x $toolkit/bin/nvcc ]]; then export PATH=$PATH:$toolkit/bin; fi
done

# The folder nvidia/ of Python packages that holds cuDNN; several packages may have one each.
nvidia_root() {
  python3 -c 'import nvidia, os; paths = list(nvidia.__path__); print(next((p for p in paths if os.path.isdir(p + "/cudnn")), paths[0]))' \
    2>/dev/null || true
}
export TLORA_NVIDIA_ROOT=${TLORA_NVIDIA_ROOT:-$(nvidia_root)}

# Machine code for the GPU that is there, and no other.
architecture() {
  if [[ -n ${TLORA_GPU_ARCH:-} ]]; then
    echo "$TLORA_GPU_ARCH"
  else
    local found
    found=$(timeout 20 nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d '. ' || true)
    if [[ ! $found =~ ^[0-9]+$ ]]; then
      found=$(timeout 90 python3 -c 'import torch; print("%d%d" % torch.cuda.get_device_capability())' || true)
    fi
    echo "${found:-90}"
  fi
}

# False where CMake is too old, or has no program to call the compilers.
configured() {
  local generator=()
  if [[ ! -f $build/CMakeCache.txt ]] && command -v ninja >/dev/null; then generator=(-G Ninja); fi
  command -v cmake >/dev/null &&
    cmake -S . -B "$build" "${generator[@]}" -DTLORA_CUDA=ON -DTLORA_NVIDIA_ROOT="$TLORA_NVIDIA_ROOT" -DTLORA_CUDA_ARCHS="$1-real"
}

build_with_cmake() {
  cmake --build "$build" --target tlora_cuda tlora-run-plan tlora-replay -j "$(nproc)"
}

# Without CMake: the same sources, one line each. Wheels may be of another CUDA than the toolkit, whose headers come first.
build_by_hand() {
  local objects=$build/o made=$build/Release flags=(-O3 -Inative) host=-fPIC,-fvisibility=hidden,-Wno-psabi,-ffp-contract=off
  local cuda=(nvcc -std=c++20 "-arch=sm_$1" "-Xcompiler=$host" "${flags[@]}") folder
  for folder in "cu$(toolkit_major)" cublas cudnn; do cuda+=(-isystem "$TLORA_NVIDIA_ROOT/$folder/include"); done
  local cpu=(g++ -std=gnu++20 "${host//,/ }" "${flags[@]}")
  mkdir -p "$objects" "$made"
  {
    for source in native/cuda/*.{cpp,cu}; do echo "${cuda[*]} -c $source -o $objects/cuda-$(basename "$source").o"; done
    for source in native/core/*.cpp native/cpu/*.cpp bench/gpu/replay.cpp; do
      echo "${cpu[*]} -c $source -o $objects/$(basename "$source").o"
    done
  } | xargs -P "$(nproc)" -I{} sh -c '{}'
  local libraries=() core
  libraries+=("$(library "libcublasLt.so.$(toolkit_major)" -lcublasLt)" "$(library libcudnn.so.9 -lcudnn)")
  nvcc -shared "-arch=sm_$1" "$objects"/cuda-*.o "${libraries[@]}" -o "$made/tlora_cuda.so"
  mapfile -t core < <(find "$objects" -name '*.o' ! -name 'cuda-*' ! -name run_plan.cpp.o ! -name replay.cpp.o)
  g++ "${core[@]}" "$objects/run_plan.cpp.o" -o "$made/tlora-run-plan" -ldl -lpthread
  g++ "${core[@]}" "$objects/replay.cpp.o" -o "$made/tlora-replay" -ldl -lpthread
}

# A library of the wheels as nvcc takes it (no files whose names end in a version), or else the option.
library() {
  local found=""
  if [[ -n $TLORA_NVIDIA_ROOT ]]; then found=$(find -L "$TLORA_NVIDIA_ROOT" -name "$1" | sort | head -n 1 || true); fi
  echo "${found:+-Xlinker=}${found:-$2}"
}

toolkit_major() {
  nvcc --version | sed -n 's/.*release \([0-9]*\).*/\1/p'
}

# What the programs are made of: others that lie about are not used.
sources() {
  local LC_ALL=C # one order of files everywhere
  cat native/core/* native/cpu/* native/cuda/* bench/gpu/replay* CMakeLists.txt cmake/cuda.cmake | sha256sum | cut -c 1-16
}

build() {
  local begun=$SECONDS arch
  arch=$(architecture)
  echo "building for $arch"
  if configured "$arch"; then build_with_cmake; else build_by_hand "$arch"; fi
  sources >"$build/Release/sources"
  echo "built in $((SECONDS - begun)) s for $arch"
}

# Whether the programs of a folder are of these sources and start on this machine. What fails later fails with others, too: it is for the stages to say.
usable() {
  [[ -f $1/sources && $(<"$1/sources") == $(sources) ]] || return 1
  local plan said
  plan=$(find "$inputs" -path '*-start/*.plan' | sort | head -n 1)
  [[ -n $plan ]] || return 0
  echo "trying the programs in $1"
  said=$(timeout -k 5 120 "$1/tlora-run-plan" "$plan" --device "${TLORA_GPU_DEVICE:-cuda}" --no-record 2>&1) && return 0
  echo "$said"
  said=$(grep -v '^warning:' <<<"$said" || true)
  ! grep -qE 'GLIBC|shared object|cannot (execute|be opened)|[Nn]o such file| is missing|is older than|update the driver|has no code for' <<<"$said"
}

# Sets `programs`: TLORA_GPU_PROGRAMS, those built here before or made by prepare.mjs, or new ones.
find_programs() {
  programs=${TLORA_GPU_PROGRAMS:-}
  if [[ -n $programs ]]; then return; fi
  for programs in "$build/Release" "$inputs/programs"; do
    if usable "$programs"; then return; fi
  done
  programs=$build/Release
  timeout -k 5 400 "$root/bench/gpu.sh" build "$build/Release"
}

# What prepare.mjs packed, where it is newer than what is there.
unpack() {
  if [[ ! -f $inputs.tar.xz || (-f $inputs/unpacked && ! $inputs.tar.xz -nt $inputs/unpacked) ]]; then return; fi
  mkdir -p "$inputs"
  if tar -C "$inputs" -xJf "$inputs.tar.xz" || python3 -m tarfile -e "$inputs.tar.xz" "$inputs"; then touch "$inputs/unpacked"; fi
}

identify() {
  date -u
  timeout 20 nvidia-smi --query-gpu=name,driver_version,compute_cap,memory.total,memory.used --format=csv || echo "nvidia-smi: FAILED"
  nvcc --version | tail -n 2 || echo "no nvcc on PATH"
  echo "libraries: ${TLORA_NVIDIA_ROOT:-those of the system}, $(nproc) processors"
  find "${TLORA_NVIDIA_ROOT:-/nowhere}/.." -maxdepth 1 -name 'nvidia_cu[db]*.dist-info' 2>/dev/null | sed 's|.*/||; s|\.dist-info||' | sort || true
}

# Ends what takes longer than LIMIT seconds, so that the stage ends in time; goes on after a failure, and counts it.
failures=0
attempt() {
  local limit=$1 begun=$SECONDS left=$((ends - SECONDS))
  shift
  printf '\n=== %s\n' "$*"
  if ((left < 2)); then
    echo "=== FAILED: the stage's time is over"
    failures=$((failures + 1))
    return
  fi
  if ((left < limit)); then limit=$left; fi
  if timeout -k 5 "$limit" "$@"; then
    echo "=== passed in $((SECONDS - begun)) s"
  else
    echo "=== FAILED with status $? after $((SECONDS - begun)) s"
    failures=$((failures + 1))
  fi
}

# replayed LIMIT NAME TRACE OPTION...: does a trace again, and when a process cannot go on, because a kernel failed or hangs, in a new one from the
# next engine on. `under` holds what the program runs under.
under=()
replayed() {
  local name=$2 trace=$3 from=0 until=$((SECONDS + $1)) status failed=0 last="" next
  shift 3
  if ((until > ends)); then until=$ends; fi
  printf '\n=== %s: %s %s\n' "$name" "$trace" "$*"
  while ((until - SECONDS > 1)); do
    status=0
    timeout -k 5 $((until - SECONDS + 5)) "${under[@]}" "$programs/tlora-replay" "$inputs/$trace" --device "${TLORA_GPU_DEVICE:-cuda}" \
      --name "$name" --from "$from" --seconds $((until - SECONDS)) --json "$figures" --worst 0 "$@" || status=$?
    if ((status != 0)); then failed=1; fi
    last=$(grep -F "{\"name\":\"$name\"," "$figures" 2>/dev/null | tail -n 1 || true)
    next=$(sed -n 's/.*"engine":\([0-9]*\).*/\1/p' <<<"$last")
    if [[ -z $next ]] || ((next < from)); then break; fi # finished, stopped, or never begun
    from=$((next + 1))
    echo "status $status; going on from engine $from"
  done
  if ((failed)) || [[ $last != *'"finished"'* ]]; then
    echo "=== FAILED"
    failures=$((failures + 1))
  else
    echo "=== passed"
  fi
}

# The bounds of parity are three times those of test/parity/bounds.ts. What cuDNN compiles while it runs comes last; what it covers is done
# by tlora's own kernels, too. The runs of parity are done once more with dependent launches, if there is time.
parity() {
  local left=$((ends - SECONDS - 15))
  replayed $((left * 55 / 100)) ops ops.trace --each 90 --last attention,selfAttention,crossAttention,conv2d
  TLORA_ATTENTION=own replayed $((left * 15 / 100)) own-attention ops.trace --each 90 --filter ttention
  local begun=$SECONDS run=(parity.trace --each 90 --bounds 1e-4,3e-3,2e-2 --states 9e-3)
  replayed "$left" parity "${run[@]}"
  if ((ends - SECONDS > SECONDS - begun + 10)); then
    TLORA_DEPENDENT_LAUNCH=1 replayed "$left" dependent-launches "${run[@]}"
  else
    echo "no time left for parity with dependent launches"
  fi
  table compared
}

# The kernels of the libraries are many and large: they come last, and are not looked at for races.
sanitize() {
  local tool own=(--kernel-name kns=5tlora4cuda) left=$((ends - SECONDS - 15))
  # Toolkits have it beside their programs, too.
  local bin
  bin=$(dirname "$(readlink -f "$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)")")
  if ! command -v compute-sanitizer >/dev/null; then PATH=$PATH:$bin/../compute-sanitizer:/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer; fi
  if ! command -v compute-sanitizer; then
    echo "compute-sanitizer is not on PATH: FAILED"
    failures=$((failures + 1))
    return
  fi
  for tool in memcheck racecheck; do
    under=(compute-sanitizer --tool "$tool" --error-exitcode 9 --report-api-errors no --print-limit 20 "${own[@]}")
    TLORA_ATTENTION=own replayed $((left * 35 / 100)) "$tool" ops.trace --each 120 --last attention,selfAttention,crossAttention,conv2d
  done
  under=(compute-sanitizer --tool memcheck --error-exitcode 9 --report-api-errors no --print-limit 20)
  replayed "$left" memcheck-all ops.trace --each 120 --last attention,selfAttention,crossAttention,conv2d
  under=()
  table compared
}

# Rank 64, of which 48 components are active, the mean over a run's steps; settings with which an optimizer step is one. Values do not change the time.
active=48
# Memory for attention as a run of SDXL takes it (lib/train/attentionMemory.ts): 4096 tokens, 10 heads.
plan_options=(--set "activeRank=$active" --attention 321 --device "${TLORA_GPU_DEVICE:-cuda}")

# NAME, model, side and batch of the training steps.
cases=("sdxl-1024-batch-1 sdxl 1024 1" "sd15-512-batch-1 sd15 512 1" "sdxl-1024-batch-4 sdxl 1024 4")
chosen() {
  [[ -z ${TLORA_GPU_CASES:-} || " $TLORA_GPU_CASES " == *" $1 "* ]]
}

# Figures of tlora's plans and of PyTorch go to one file of lines.
ours() {
  local repeat=$1
  shift
  attempt 100 "$programs/tlora-run-plan" "$@" "${plan_options[@]}" --repeat "$repeat" --seconds 30 --json "$figures"
}

# Asked for once.
pytorch=""
with_pytorch() {
  if [[ -z $pytorch && -n ${TLORA_GPU_PYTORCH:-} ]]; then pytorch=yes; fi
  if [[ -z $pytorch ]]; then
    pytorch=no
    if timeout 90 python3 -c 'import torch
assert torch.cuda.is_available()
print("PyTorch", torch.__version__, "on", torch.cuda.get_device_name(), "with cuDNN", torch.backends.cudnn.version())'; then pytorch=yes; fi
    if [[ $pytorch == no ]]; then echo "PyTorch cannot use this GPU: tlora alone"; fi
  fi
  [[ $pytorch == yes ]]
}

# theirs LIMIT NAME MODEL SIDE BATCH MODE... : TLORA_GPU_PYTORCH holds more options. Compiled kernels are kept for the next call.
theirs() {
  local limit=$1 name=$2 model=$3 side=$4 batch=$5 more
  shift 5
  read -ra more <<<"${TLORA_GPU_PYTORCH:-}"
  export TORCHINDUCTOR_CACHE_DIR=$build/inductor TORCHINDUCTOR_FX_GRAPH_CACHE=1
  attempt "$limit" python3 bench/against/pytorch/gpu.py --config "$inputs/$model.config.json" --name "$name" --resolution "$side" \
    --batch "$batch" --active "$active" --json "$figures" --mode "$@" "${more[@]}"
}

ceilings() {
  rm -f "$build/ceilings.json"
  if with_pytorch; then
    local device=()
    if [[ -n ${TLORA_GPU_PYTORCH:-} ]]; then device=(--device cpu --small); fi
    timeout -k 5 60 python3 bench/gpu/ceilings.py "${device[@]}" >"$build/ceilings.json" || rm -f "$build/ceilings.json"
  fi
}

# In the seconds behind a stage's end.
table() {
  if timeout 30 python3 bench/gpu/tables.py "$1" "$inputs" "$figures" "$build/ceilings.json" "$out/$stage_name.json"; then
    rm -f "$figures"
  else
    failures=$((failures + 1))
  fi
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
  local each name model side batch
  ceilings
  for each in "${cases[@]}"; do
    read -r name model side batch <<<"$each"
    if ! chosen "$name"; then continue; fi
    ours 23 "$inputs/$name.plan"
    if with_pytorch; then
      theirs 100 "$name" "$model" "$side" "$batch" eager
      ours 23 "$inputs/$name.plan"
    fi
  done
  prefix=${cases[0]%-batch-*}
  read -r name model side batch <<<"${cases[0]}"
  if chosen "$prefix-forward"; then
    ours 33 "$inputs/$prefix-forward.plan"
    if with_pytorch; then theirs 100 "$prefix-forward" "$model" "$side" 1 forward; fi
  fi
  if chosen "$prefix-guided"; then
    ours 28 "$inputs/$prefix-guided.plan" "$inputs/$prefix-guided-decode.plan"
    if with_pytorch; then theirs 100 "$prefix-guided" "$model" "$side" 2 guided; fi
  fi
  if chosen "$model-start"; then ours 2 "$inputs/$model-start"/*.plan --no-record; fi
  for each in "${cases[@]:0:2}"; do
    name=${each%% *}
    if chosen "$name"; then ours 23 "$inputs/$name.plan" --fixed --dependent; fi # the same algorithms for both
  done
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

# run_stage NAME SECONDS: succeeds if nothing of the stage failed; what it says goes to the screen and to a file. Called where a failure is
# asked for, it goes on after each.
run_stage() {
  ends=$((SECONDS + $2 - 5))
  stage_name=$1
  figures=$out/$1.jsonl
  mkdir -p "$build"
  rm -f "$figures" "$out/$1.json"
  {
    identify
    unpack
    if [[ -f $inputs/tiny.config.json ]]; then cases=("tiny-64-batch-1 tiny 64 1"); fi
    if find_programs; then
      "$1"
    else
      echo "the programs could not be built: FAILED"
      failures=1
    fi
    printf '\n%s: %d failures\n' "$1" "$failures"
  } 2>&1 | tee "$out/$1.txt"
  [[ $(tail -n 1 "$out/$1.txt") == "$1: 0 failures" ]]
}

if [[ $1 == build ]]; then
  build
  if [[ $out != "$build/Release" ]]; then cp "$build"/Release/{tlora_cuda.so,tlora-run-plan,tlora-replay,sources} "$out"; fi
  exit
fi
status=0
budget=0
for each in ${1//,/ }; do
  stage=${each%%=*}
  seconds=520
  if [[ $each == *=* ]]; then seconds=${each#*=}; fi
  case $stage in
    parity | sanitize | ops | step | pytorch-eager | pytorch-compiled) ;;
    *)
      echo "STAGE: expected parity, sanitize, ops, step, pytorch-eager, pytorch-compiled or build, got $stage" >&2
      exit 2
      ;;
  esac
  budget=$((budget + seconds))
  run_stage "$stage" $((budget - SECONDS)) || status=1
done
exit $status
