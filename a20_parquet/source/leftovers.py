"""What killed jobs and unfinished downloads leave: it looks like shards, whole or cut."""

import re
from collections.abc import Collection

_BEAM_FOLDER = re.compile(r"beam-temp-")
# Of gsutil and gcloud, browsers, aria2, WinSCP, rclone and those who write a file before they name
# it.
_UNFINISHED = re.compile(
    r"\.(gstmp|part|partial|filepart|crdownload|opdownload|download|incomplete|tmp|temp|aria2|!ut)$",
    re.IGNORECASE,
)
_ARIA2 = ".aria2"


def why_leftover(url: str, below: str, beside: Collection[str]) -> str | None:
    """Say what has left a file behind; None for one that may be a shard.

    Args:
        url: of the file.
        below: its path below the source that was searched; empty for a file that was named itself.
        beside: the URLs of all files that were listed.
    """
    *folders, name = url.split("/")
    # Whoever names such a folder as a source wants what is in it.
    for folder in below.split("/")[:-1] if below else folders[-1:]:
        if _BEAM_FOLDER.match(folder):
            return (
                f"in {folder}, which a Beam job that was killed has left; name that folder itself "
                "to take what is in it"
            )
    if _UNFINISHED.search(name):
        return "not finished by what downloaded or wrote it, as its name says"
    if f"{url}{_ARIA2}" in beside:
        return f"not finished by aria2, whose {name}{_ARIA2} lies beside it"
    return None
