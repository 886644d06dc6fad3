"""Where an operator's commands run: `LocalSandbox` on this machine; boundaries that hold come with other kinds."""

from operatorlab.sandbox.base import ExecResult, Mode, Sandbox, SandboxGone
from operatorlab.sandbox.local import LocalSandbox

__all__ = ["ExecResult", "LocalSandbox", "Mode", "Sandbox", "SandboxGone"]
