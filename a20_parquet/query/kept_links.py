"""Templates of links that are kept in a dataset, by name.

They are in ``links.json`` beside the manifest, not in it: the manifest follows from shards and
options alone, and an address may change without the data. Conversions and ``verify`` leave the file
alone; an overwrite keeps it.
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from a20_parquet.checks import check_unicode
from a20_parquet.dataset.catalog import Catalog
from a20_parquet.errors import DatasetError, UsageError
from a20_parquet.query.links import LinkTemplate
from a20_parquet.storage.files import write_whole
from a20_parquet.storage.path import parse_path, read_whole

FILE: Final = "links.json"
_NAME: Final = r"[A-Za-z][A-Za-z0-9_]*"


class KeptLinks(BaseModel):
    """Content of ``links.json``."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    format: Literal["a20_parquet_links"] = "a20_parquet_links"
    links: dict[Annotated[str, StringConstraints(pattern=f"^{_NAME}$")], str] = {}
    """Templates by name."""


def link(
    dataset: str | Path, name: str | None = None, template: str | None = None
) -> dict[str, str]:
    """Keep a template of links in a dataset, and return all that it has.

    Args:
        dataset: its folder, or any fsspec URL of it.
        name: letters, digits and underscores; with it ``similar``, ``score`` and ``scan`` take the
            template. None only returns the templates.
        template: see ``similar``; one of the same name is replaced.

    Returns:
        Templates by name.

    Raises:
        UsageError: the name or the template is invalid, or only one of them is given.
        DatasetError: the dataset or its templates cannot be read or written.
    """
    catalog = Catalog.open(dataset)
    kept = read_links(catalog)
    if name is None and template is None:
        return kept
    if name is None or template is None:
        raise UsageError("a link has a name and a template. Give both, or none to list them.")
    check_unicode("NAME", name)
    if not re.fullmatch(_NAME, name):
        raise UsageError(
            f"{name!r} is not a name of a link, expected letters, digits and underscores."
        )
    LinkTemplate.parse(template, catalog.schema)
    links = KeptLinks(links=dict(sorted({**kept, name: template}.items())))
    path = parse_path(catalog.location) / FILE
    try:
        write_whole(path, links.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error}") from error
    return links.links


def read_links(catalog: Catalog) -> dict[str, str]:
    """Return the templates of a dataset by name.

    Raises:
        DatasetError: they cannot be read.
    """
    path = parse_path(catalog.location) / FILE
    try:
        return KeptLinks.model_validate_json(read_whole(path)).links
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        raise DatasetError(
            f"{path} has no templates that this version reads: {error.errors()[0]['msg']}. Delete "
            "it, and keep the links again with a20-parquet link."
        ) from error


def find_template(catalog: Catalog, link: str | None) -> LinkTemplate | None:
    """Return the template that a user gives as it is or by its name; None for None.

    Raises:
        UsageError: the dataset has no such template, or it is malformed.
        DatasetError: the dataset's templates cannot be read.
    """
    if link is None:
        return None
    if re.fullmatch(_NAME, link):
        kept = read_links(catalog)
        if link not in kept:
            have = f"It has {', '.join(kept)}" if kept else "It has none"
            raise UsageError(
                f"{catalog.location} has no link {link!r}. {have}. Keep one with a20-parquet link, "
                "or give a template with columns in braces."
            )
        link = kept[link]
    return LinkTemplate.parse(link, catalog.schema)
