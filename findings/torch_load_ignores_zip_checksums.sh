#!/usr/bin/env bash
# torch 2.13.0 (CPU), numpy 2.2.6.
# Guessed: torch.save writes a zip with a CRC-32 per member (set_crc32_options is on by default), so torch.load compares
#   it and refuses a file in which a byte of a tensor changed.
# Seen: torch.load, weights_only or not, returns the changed numbers without an error or a warning; Python's zipfile
#   finds the same member damaged.
# Output seen: 2.13.0+cpu torch.load: changed numbers, no error | zipfile: whole/data/0
# Exits with a status other than 0 when that changes.
set -euo pipefail
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
python3 -m venv "$w/venv"
"$w/venv/bin/pip" install -q torch==2.13.0 numpy==2.2.6
cd "$w"
"$w/venv/bin/python" - <<'PY'
import sys
import zipfile

import torch

wanted = torch.arange(1000, dtype=torch.float32)
torch.save({"a": wanted}, "whole.pth")
content = bytearray(open("whole.pth", "rb").read())
at = content.find(wanted.numpy().tobytes()) + 2002
content[at] ^= 0x40
open("changed.pth", "wb").write(content)
found = torch.load("changed.pth", weights_only=True)["a"]
silent = not torch.equal(found, wanted)
damaged = zipfile.ZipFile("changed.pth").testzip()
print(torch.__version__, "torch.load:", "changed numbers, no error" if silent else "as saved", "| zipfile:", damaged)
sys.exit(int(not silent or damaged is None))
PY
