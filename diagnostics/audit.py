"""Known weaknesses of the installed versions of all dependencies, as pip-audit finds them in an index of Python packages.

    python diagnostics/audit.py

pip-audit says "no known vulnerabilities found" also where an index knows nothing of a package. Here each package counts as
audited, as weak, or as unknown; the exit code is 0 only if all were audited and none is weak.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def installed() -> str:
    """Return what is installed as requirements, without local versions, which no index has."""
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return "\n".join(line.partition("+")[0] for line in lines if "==" in line) + "\n"


def audited(requirements: str) -> list[dict[str, Any]]:
    """Return what pip-audit says of each package."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "installed.txt"
        path.write_text(requirements)
        command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--progress-spinner", "off"]
        done = subprocess.run([*command, "-f", "json", "-r", str(path)], capture_output=True, text=True, check=False)
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError):
        raise SystemExit(
            f"nothing was audited: {(done.stderr.strip().splitlines() or ['pip-audit said nothing'])[-1]}"
        ) from None


def verdict(packages: list[dict[str, Any]]) -> tuple[str, int]:
    """Return what was found in words, and the exit code."""
    unknown = [one["name"] for one in packages if "skip_reason" in one]
    weak = [f"{one['name']} {one['version']}: {v['id']}" for one in packages for v in one.get("vulns", ())]
    known = len(packages) - len(unknown)
    if not known:
        return f"nothing was audited: the index knows none of {len(packages)} packages", 1
    words = [f"{known} of {len(packages)} packages were audited, {len(weak)} weaknesses are known", *weak]
    words += [f"not audited, for the index does not know them: {', '.join(unknown)}"] if unknown else []
    return "\n".join(words), int(bool(weak or unknown))


def main() -> int:
    """Audit what is installed beside this Python."""
    words, code = verdict(audited(installed()))
    print(words)
    return code


if __name__ == "__main__":
    sys.exit(main())
