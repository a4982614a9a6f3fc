"""What a user reads where a store can't be reached: one line that says what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.deeds import Answer
from tests.stores.servers import CREDENTIALS, Store

_CASES = {
    "no client for the source": ("s3://messages/in", "", "s3fs", "pip install 'a20-parquet[s3]'"),
    "no client for the dataset": ("", "gs://messages/out", "gcsfs", "install 'a20-parquet[gcs]'"),
    "no client for the scratch": ("", "", "", ""),
}
