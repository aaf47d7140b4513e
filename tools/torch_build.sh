#!/bin/sh
# Which build of torch this machine needs: prints `requirement|index|reason`, the index empty for the configured one.
#   tools/torch_build.sh [auto|cpu|cuda|installed]
# It installs nothing, so it may be called to see what setup would do. Called by tools/setup.sh with $TORCH (make setup
# TORCH=cuda). NVIDIA_SMI, TEGRA_RELEASE and KERNEL are for its test.
set -eu
VERSION=2.13.0
RELEASE="${TEGRA_RELEASE:-/etc/nv_tegra_release}"
SMI="${NVIDIA_SMI:-nvidia-smi}"
KERNEL="${KERNEL:-$(uname -r)}"
PYTORCH=https://download.pytorch.org/whl

is_jetson() { [ -f "$RELEASE" ] || case "$KERNEL" in *tegra*) ;; *) return 1 ;; esac; }
cpu() { echo "torch==$VERSION+cpu|$PYTORCH/cpu|$1"; }
jetson() {
    # The file begins `# R36 (release), REVISION: 4.3, ...`: 36 is JetPack 6, 38 is JetPack 7.0 and 7.1 (Thor), 39 is 7.2.
    if [ ! -f "$RELEASE" ]; then
        # A container shares the host's kernel (5.15.148-tegra) and not its files.
        echo "torch_build: the kernel is a Jetson's ($KERNEL), and $RELEASE is not here: in a container, start it with" \
            "-v $RELEASE:$RELEASE:ro; or install a torch for this JetPack yourself and run: make setup" \
            "TORCH=installed" >&2; exit 1
    fi
    major=$(sed -n 's/^# R\([0-9]*\) .*/\1/p' "$RELEASE")
    case "$major" in
        # Later ones of that index link cuDSS, which JetPack 6 does not have, and bring a cuBLAS of CUDA 12.9.
        36) echo "torch==2.8.0|https://pypi.jetson-ai-lab.io/jp6/cu126|JetPack 6 (L4T $major): CUDA 12.6, NVIDIA's builds for Jetson" ;;
        38) echo "torch==$VERSION|$PYTORCH/cu130|JetPack 7.0 or 7.1 (L4T $major): CUDA 13.0, PyTorch's own aarch64 builds" ;;
        39 | 4*) echo "torch==$VERSION|$PYTORCH/cu132|JetPack 7.2 (L4T $major): CUDA 13.2, PyTorch's own aarch64 builds" ;;
        *) echo "torch_build: $RELEASE names L4T '$major'; known are 36 (JetPack 6) and 38 or later (JetPack 7)." \
            "Install a torch with CUDA yourself and run: make setup TORCH=installed" >&2; exit 1 ;;
    esac
}
cuda() {
    # `CUDA Version: 13.0` is the newest that the driver can run; from driver 610 on it reads `CUDA UMD Version: 13.3`.
    newest=$("$SMI" 2>/dev/null | sed -n 's/.*CUDA \(UMD \)\{0,1\}Version: *\([0-9]*\).*/\2/p')
    case "$newest" in
        "") echo "torch_build: nvidia-smi finds no driver, so a torch with CUDA would see no device;" \
            "install the driver, or run: make setup TORCH=cpu" >&2; exit 1 ;;
        [1-9] | 1[01]) echo "torch_build: the driver runs CUDA $newest at most, torch $VERSION needs 12.6 or 13;" \
            "install a newer driver, or run: make setup TORCH=cpu" >&2; exit 1 ;;
        12) echo "torch==$VERSION|$PYTORCH/cu126|the driver runs CUDA $newest" ;;
        *) echo "torch==$VERSION|$PYTORCH/cu130|the driver runs CUDA $newest" ;;
    esac
}

case "${1:-auto}" in
    cpu) cpu "asked for" ;;
    installed) echo "||the torch that is installed already" ;;
    cuda) if is_jetson; then jetson; else cuda; fi ;;
    auto)
        if is_jetson; then jetson
        elif "$SMI" >/dev/null 2>&1; then cuda
        else cpu "no NVIDIA driver and no JetPack here"; fi ;;
    *) echo "torch_build: '$1' is not one of auto, cpu, cuda, installed" >&2; exit 2 ;;
esac
