"""What a user reads if a store cannot be reached: one line that says what is wrong, and where."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.deeds import Answer
from tests.stores.servers import CREDENTIALS, Store

pytestmark = pytest.mark.store

_ROOT = Path(__file__).parents[2]
_INSTALL = "is not installed: pip install 'a20-parquet[{}]'"
_NO_CREDENTIALS, _NO_BUCKET = "there are no credentials for", "there is no bucket nowhere"
_CASES = {
    "s3://bucket-of-messages": ("s3fs", _INSTALL.format("s3")),
    "gs://bucket-of-messages": ("gcsfs", _INSTALL.format("gcs")),
    "s3://bucket-of-messages/": ("AWS_", _NO_CREDENTIALS),
    "s3://nowhere": ("", _NO_BUCKET),
    "gs://nowhere": ("", _NO_BUCKET),
    "s3://denied": ("", ("Access Denied", "Forbidden")),
    "gs://denied": ("", "Forbidden"),
    "gs://anonymous": ("", "Anonymous caller does not have"),
    "s3://ill": ("", ("reduce your request rate", "Service Unavailable")),
    "gs://ill": ("", "Backend Error"),
}
"""By bucket: what is hidden from the command, and some of what it must say."""


@pytest.fixture(scope="module")
def answers(
    stores: dict[str, Store], messy: Path, local: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], tuple[int | str, str]]:
    """Exit code and text by bucket and by what it was named as, of one process that tries all."""
    folder = tmp_path_factory.mktemp("messages")
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AWS")}
    environment |= CREDENTIALS
    # What has gcsfs warn and wait is turned off without a user's doing.
    del environment["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"]
    environment |= dict.fromkeys(["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"], os.devnull)
    for store in stores.values():
        store.proxy.clear()
        environment |= store.environment
        store.open().makedirs("bucket-of-messages", exist_ok=True)
        for name, status in (("denied", 403), ("anonymous", 401), ("ill", 503)):
            if name != "anonymous" or store.scheme == "gs":
                store.proxy.inject(Answer(status), target=rf"\b{name}\b", times=None)
    asked = {}
    for number, (url, (hidden, _)) in enumerate(_CASES.items()):
        out = str(folder / f"out-{number}")
        for role, arguments in {
            "SOURCE": ["convert", f"{url}/in", out],
            "DATASET": ["convert", str(messy), f"{url}/out"],
            "read": ["info", f"{url}/out"],
            "--sites": ["convert", str(messy), out, "--sites", f"{url}/sites.csv"],
            "--to": ["similar", str(local), "--to", f"{url}/x.npy"],
        }.items():
            asked[url, role] = (arguments, hidden)
    ran = subprocess.run(
        [sys.executable, "-m", "tests.stores.commands"],
        cwd=_ROOT,
        env=environment,
        input=json.dumps(list(asked.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    for store in stores.values():
        store.proxy.clear()
    return dict(zip(asked, map(tuple, json.loads(ran.stdout)), strict=True))


@pytest.mark.parametrize("role", ["SOURCE", "DATASET", "read", "--sites", "--to"])
@pytest.mark.parametrize("url", _CASES)
def test_one_clear_line(
    answers: dict[tuple[str, str], tuple[int | str, str]], url: str, role: str
) -> None:
    """Whatever the store is named as."""
    code, text = answers[url, role]
    told = _CASES[url][1]
    if url.endswith("nowhere") and role in {"read", "--sites", "--to"}:
        told = {"read": "does not exist"}.get(role, "cannot be read")
    assert code in {1, 2}, text
    assert text.startswith("a20-parquet: ")
    assert text.count("\n") == 1, text
    assert url.rstrip("/") in text
    assert any(part in text for part in ([told] if isinstance(told, str) else told)), text
