#!/bin/sh
# Makes $VENV with everything that demo and tests need. Called by `make setup`; safe to call again.
set -eu
PIP="$VENV/bin/python -m pip --disable-pip-version-check -q"

base="requirements/base.txt"

# A sourced ROS 2 brings its own rclpy: then the environment sees the system's packages and no ROS wheels are installed.
if [ -n "${ROS_DISTRO:-}" ] && "$PYTHON" -c 'import rclpy' 2>/dev/null; then
    echo "setup: using the sourced ROS 2 $ROS_DISTRO"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv --system-site-packages "$VENV"
    ros=""
elif [ "$(uname -m)" = x86_64 ]; then
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    ros="-r requirements/ros.txt -r requirements/interfaces.txt"
else
    # PyPI has ROS for x86-64 only.
    echo "setup: no ROS 2 is sourced: the offline commands will work, the node and its tests will not"
    [ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
    ros=""
fi

# A pinned build, because an open range would pull gigabytes of CUDA onto a machine without a GPU, or none onto one with.
choice=$(tools/torch_build.sh "${TORCH:-auto}")
torch="${choice%%|*}"; rest="${choice#*|}"; index="${rest%%|*}"
echo "setup: torch: ${torch:-as it is} (${rest#*|}; make setup TORCH=cpu, cuda or installed decides otherwise)"
if [ -n "$torch" ] && ! "$VENV/bin/python" - "$torch" "$index" 2>/dev/null <<'PY'
import sys, torch
wanted, index = sys.argv[1].partition("==")[2], sys.argv[2]
same = not wanted or torch.__version__.partition("+")[0] == wanted.partition("+")[0]
sys.exit(not (same and (torch.version.cuda is None) == index.endswith("/cpu")))
PY
then
    # The configured index may have the CPU build; builds with CUDA come from the index that names their version.
    case "$index" in
        */cpu) $PIP install "$torch" 2>/dev/null || $PIP install --extra-index-url "$index" "$torch" ;;
        # From there torch alone; the second call finds it installed and adds what it needs from the configured index.
        # Two commands: the first one's failure must end the setup, or another torch would come from that index.
        *)
            $PIP install --no-deps --index-url "$index" "$torch"
            $PIP install "$torch" ;;
    esac
fi
# Compiled messages and cv_bridge of a sourced ROS, and torch for JetPack 6, were built with numpy 1 and fail with 2; that
# also decides OpenCV's version.
case "$index" in
    */jp6/*) numpy=1 ;;
    *) numpy=$("$VENV/bin/python" -c 'import numpy; print(numpy.__version__.split(".")[0])' 2>/dev/null || true) ;;
esac
if [ "$numpy" = 1 ] && [ -z "$ros" ]; then
    base="$VENV/base-numpy1.txt"
    sed -e 's/^numpy==.*/numpy>=1.26,<2/' -e 's/^\(opencv-python-headless\)==.*/\1/' requirements/base.txt >"$base"
fi
echo "setup: installing requirements/"
# shellcheck disable=SC2086
$PIP install -r "$base" -r requirements/train.txt -r requirements/build.txt -r requirements/evaluate.txt \
    -r requirements/test.txt $ros
$PIP install -r requirements/generate.txt || echo "setup: tests of generated pictures will skip themselves"
$PIP install --no-deps -e .
if [ "$(uname -m)" = x86_64 ]; then
    # With it, tests compile every network for a GPU that need not be there. Seconds, 90 MB.
    $PIP install -r requirements/tensorrt_rtx.txt || echo "setup: tests of TensorRT builds will skip themselves"
fi
if [ -n "$ros" ]; then
    # Message packages that PyPI lacks. Only tests need them, so a machine without a C++ compiler goes on without.
    echo "setup: generating messages (once, under a minute)"
    "$VENV/bin/python" tools/build_interfaces.py || echo "setup: tests of vision_msgs will skip themselves"
fi
# Seeing a device is not enough: a build without code for it fails at the first kernel.
if [ -n "$torch" ] && [ "${index%/cpu}" = "$index" ] &&
    ! reason=$("$VENV/bin/python" -c 'import torch; (torch.ones(1, device="cuda") + 1).item()' 2>&1); then
    echo "setup: done, but torch cannot compute on the device ($(echo "$reason" | tail -n 1)): see docs/install.md"
    exit 0
fi
echo "setup: done"
