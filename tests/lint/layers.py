"""Which folder may include which, what a core may not know, and one external library for each edge."""

from __future__ import annotations

import pathlib
import re

from tests.lint.source import SERVICES, SHARED, closure, code_of, includes

# What a folder of ours may include of the others.
MAY_INCLUDE = {
    "common": {"common"},
    "kafka": {"common", "kafka", "proto"},
    "licensor": {"common", "licensor", "proto"},
    "producer": {"common", "kafka", "producer", "proto"},
    "worker": {"common", "kafka", "proto", "worker"},
    "cli": {"cli", "common", "proto"},
}

# (file, what it includes): why that is right all the same.
FOLDER_EXCEPTIONS = {
    ("cli/*", "licensor/licence.h"): "`engenho licence` signs, shows and checks the files that the licensor reads",
}

# The families of external libraries, by how their headers start. libevent is the loop of every process and counts for
# itself only in cores, which have no loop.
FAMILIES = {
    "librdkafka": r"librdkafka/",
    "hiredis": r"hiredis/",
    "python": r"Python\.h$",
    "curl": r"curl/",
    "mosquitto": r"mosquitto\.h$",
    "jansson": r"jansson\.h$",
    "yaml": r"yaml\.h$",
    "libarchive": r"archive(_entry)?\.h$",
    "openssl": r"openssl/",
    "glib": r"glib",
    "jemalloc": r"jemalloc/",
}

# Which folders may meet a family at all (DESIGN section 2). A family that is not here may be met by every service's edges.
FAMILY_FOLDERS = {
    "librdkafka": {"kafka", "producer", "worker"},
    "hiredis": {"licensor"},
    "python": {"worker/interpreter"},
    "curl": {"cli", "producer"},
    "mosquitto": {"producer"},
}

# Edge files that meet two families, and why.
FAMILY_EXCEPTIONS: dict[str, str] = {
    "producer/lag_view.h": "what librdkafka answered, shown as JSON: the types of both in its functions, the calls of neither",
}

# What a core must not know, directly or through a header of ours.
CORE_FORBIDDEN = re.compile(
    r"^(librdkafka/|hiredis/|Python\.h|event2/|curl/|mosquitto\.h|openssl/|glib|yaml\.h|jansson\.h|archive|"
    r"sys/socket\.h|netinet/|arpa/|netdb\.h|poll\.h|sys/epoll\.h|pthread\.h|sys/wait\.h|spawn\.h|"
    r"common/(log|clock|admin|child)\.h|kafka/)"
)
CORE_CALLS = re.compile(
    r"(?<![\w.>])(time|clock_gettime|gettimeofday|clock_mono_us|clock_unix_us|random_bytes|random_hex|"
    r"getrandom|fork|execve?|socket|connect|getenv|usleep|nanosleep|log_(?:debug|info|warn|error|write))\s*\("
)


def _folder(root: pathlib.Path, path: pathlib.Path) -> str:
    return path.relative_to(root).parts[0]


def _is_exception(name: str, include: str) -> bool:
    return (name, include) in FOLDER_EXCEPTIONS or (name.split("/")[0] + "/*", include) in FOLDER_EXCEPTIONS


def folders(root: pathlib.Path, files: list[pathlib.Path]) -> list[str]:
    """Includes across folders that the arrows of the design do not have."""
    wrong = []
    for path in files:
        folder = _folder(root, path)
        if folder not in MAY_INCLUDE:
            continue
        name = str(path.relative_to(root))
        for include in includes(path.read_text(encoding="utf-8")):
            other = include.split("/")[0]
            if other in SERVICES + SHARED and other not in MAY_INCLUDE[folder] and not _is_exception(name, include):
                wrong.append(f"{name}: {folder} must not include {include}")
    return wrong


def cores(root: pathlib.Path, files: list[pathlib.Path]) -> list[str]:
    """What the files of *_core libraries know beyond common and proto."""
    wrong = []
    for path in files:
        name = path.relative_to(root)
        for include, through in sorted(closure(root, path).items()):
            if CORE_FORBIDDEN.match(include):
                wrong.append(f"{name}: a core must not include {include} (through {through})")
        for number, line in enumerate(code_of(path.read_text(encoding="utf-8")).splitlines(), 1):
            call = CORE_CALLS.search(line)
            if call:
                wrong.append(f"{name}:{number}: a core must not call {call.group(1)}(): it is given what it needs")
    return wrong


def families(root: pathlib.Path, files: list[pathlib.Path]) -> list[str]:
    """Files that meet two families of libraries, or one that their folder must not know."""
    wrong = []
    for path in files:
        name = str(path.relative_to(root))
        if name.startswith("tests/"):
            continue
        met = {
            family
            for include in includes(path.read_text(encoding="utf-8"))
            for family, start in FAMILIES.items()
            if re.match(start, include)
        }
        if len(met) > 1 and name not in FAMILY_EXCEPTIONS:
            wrong.append(f"{name}: meets {' and '.join(sorted(met))}; an edge meets one library")
        for family in sorted(met & set(FAMILY_FOLDERS)):
            if not any(name.startswith(folder + "/") for folder in FAMILY_FOLDERS[family]):
                wrong.append(f"{name}: {family} is for {', '.join(sorted(FAMILY_FOLDERS[family]))} only")
        if name.startswith("common/") and met:
            wrong.append(f"{name}: common knows no {', '.join(sorted(met))}")
    return wrong
