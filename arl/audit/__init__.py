"""`arl audit TARGET`: the fixed suite of attackers against a stored encoder, or anybody's in a file.

`audit(target, ...)` is all that most users need.
"""

from arl.audit.compare import difference_of, difference_text
from arl.audit.foreign import Foreign
from arl.audit.questions import ten_text
from arl.audit.report import audit_json, audit_text
from arl.audit.spread import spread_of, spread_text
from arl.audit.suite import SUITE, Audit, audit, stored_audit
from arl.audit.target import Target, TargetSpec, load_target

__all__ = [
    "SUITE",
    "Audit",
    "Foreign",
    "Target",
    "TargetSpec",
    "audit",
    "audit_json",
    "audit_text",
    "difference_of",
    "difference_text",
    "load_target",
    "spread_of",
    "spread_text",
    "stored_audit",
    "ten_text",
]
