"""Where an operator's commands run: on this machine as it is, or inside a boundary that holds."""

from operatorlab.sandbox.base import ExecResult, Mode, Sandbox, SandboxGone
from operatorlab.sandbox.local import LocalSandbox
from operatorlab.sandbox.namespace import NamespaceSandbox

__all__ = ["ExecResult", "LocalSandbox", "Mode", "NamespaceSandbox", "Sandbox", "SandboxGone"]
