#!/usr/bin/env bash
# All that only a GPU can show, in at most 8 minutes, without a network and from the source tree:
#
#   experiments/gpu_check.sh [FOLDER]        (or OUT=FOLDER; default gpu_check/)
#
# Needs a Python with torch and textgan's other dependencies (PYTHON, default python3). Where some
# are missing, WHEELS=FOLDER installs the wheels in it into FOLDER/site, without a registry. Each
# stage has a time limit and a log of its own; a failure does not keep the next from running. The
# exit code is 1 where a stage failed, 2 where nothing could run.
#
# DEVICE=cpu takes every path on a processor. BENCH (options of the bench), SETTINGS (of the training
# and the profiles), TRAIN_SECONDS and RESUME_SECONDS say how much is done; STAGES names only some.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-${OUT:-gpu_check}}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
python=${PYTHON:-python3} device=${DEVICE:-cuda}
# the pretraining is short, so that rounds come within the time
short="schedule.mle_epochs=10 schedule.discriminator_turns=2 evaluation.final_samples=1000"
read -ra settings <<<"device=$device ${SETTINGS:-$short}"
export PYTHONPATH="$PWD:$out/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
[ "$device" = cpu ] && export CUDA_VISIBLE_DEVICES=

missing() {
    "$python" - <<'PYTHON'
from importlib.util import find_spec
need = "torch numpy scipy nltk sacrebleu tensorboard typer pydantic pydantic_core safetensors "
need += "typing_inspection annotated_types filelock tqdm jinja2 pytest hypothesis"
print(*[name for name in need.split() if find_spec(name) is None])
PYTHON
}
lacks=$(missing) || exit 2
if [ -n "$lacks" ] && [ -n "${WHEELS:-}" ]; then
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$out/site" \
        "$WHEELS"/*.whl || exit 2
    lacks=$(missing)
fi
if [ -n "$lacks" ]; then
    echo "missing in $python: $lacks; give a folder of their wheels, WHEELS=FOLDER" >&2
    exit 2
fi
if [ "$device" != cpu ] && ! "$python" -c 'import torch; assert torch.cuda.is_available()'; then
    echo "torch sees no GPU in $python; DEVICE=cpu tries every path on the processor" >&2
    exit 2
fi
"$python" - >"$out/machine.txt" <<'PYTHON'
import platform, sys, torch
print("python", sys.version.split()[0], "torch", torch.__version__, platform.platform())
if torch.cuda.is_available():
    print(torch.cuda.get_device_properties(0), "cuda", torch.version.cuda)
PYTHON
cat "$out/machine.txt"

failed=0
printf '%-16s %8s %5s\n' stage seconds rc >"$out/summary.txt"
# stage NAME SECONDS CODES COMMAND...: CODES are the exit codes of success
stage() {
    local name=$1 limit=$2 codes=$3 start=$SECONDS rc
    shift 3
    [[ " ${STAGES:-$name} " == *" $name "* ]] || return 0
    echo "== $name"
    # Ctrl-C, so that training saves
    timeout --foreground --signal=INT --kill-after=20 "$limit" "$@" \
        >"$out/$name.log" 2>"$out/$name.err"
    rc=$?
    tail -n 3 "$out/$name.err" "$out/$name.log" 2>/dev/null | cut -c 1-200
    printf '%-16s %8d %5d\n' "$name" $((SECONDS - start)) "$rc" >>"$out/summary.txt"
    [[ " $codes " == *" $rc "* ]] || failed=1
}

stage tests 90 "0" "$python" -m pytest -p no:cacheprovider -m gpu tests/test_gpu.py
precisions="float32 tf32 bf16"
[ "$device" = cpu ] && precisions=float32
for precision in $precisions; do
    stage "bench-$precision" 33 "0" "$python" -m textgan bench --json \
        --precision "$precision" ${BENCH:---scale 0.2}
    cp "$out/bench-$precision.log" "$out/bench-$precision.json" 2>/dev/null
done
stage profile 40 "0" "$python" experiments/profile_updates.py experiments/paper/seqgan.toml \
    "$out/profile" "${settings[@]}"
run="$out/run"
rm -rf "$run"
# 124 and 130: the time was up, the checkpoint is written
stage train "${TRAIN_SECONDS:-180}" "0 124 130" "$python" -m textgan train \
    experiments/paper/seqgan.toml --out "$run" "${settings[@]}"
stage resume "${RESUME_SECONDS:-45}" "0 124 130" "$python" -m textgan resume "$run"
stage report 20 "0" "$python" -m textgan report "$run" --no-measure --out "$out/report.html"
echo
cat "$out/summary.txt"
exit $failed
