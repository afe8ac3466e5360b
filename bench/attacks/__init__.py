"""What an administrator of the database can do to the log, what finds it, and what that needs."""

import sys
from pathlib import Path

# The agents' client is one file beside us, and no package.
sys.path.append(str(Path(__file__).resolve().parents[2] / "clients" / "python"))
