"""The path `epmprocessor.epm` that some older scripts import; the same names."""

from epmprocessor import *  # noqa: F403
from epmprocessor import __all__  # noqa: F401
