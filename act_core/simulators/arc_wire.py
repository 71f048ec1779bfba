"""How the two generations of A-REX write their answers: one tree, as JSON, XML or HTML."""

import json
import secrets
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from xml.sax.saxutils import quoteattr

from aiohttp import web

Tree = str | Sequence["Tree"] | Mapping[str, "Tree"]
ATTRIBUTES = "_attributes"
JSON, XML, HTML = "application/json", "application/xml", "text/html"
_FORMATS = {JSON: JSON, XML: XML, "text/xml": XML, HTML: HTML}
_LISTS = frozenset({"job", "version", "delegation", "file", "dir"})  # always arrays in the JSON of ARC 7
_ID_LETTERS = string.ascii_letters + string.digits


class Flavour(StrEnum):
    """The generation that is imitated."""

    V6 = "6.17"
    V7 = "7"


@dataclass(frozen=True, slots=True)
class Traits:
    """What a generation does its own way."""

    versions: tuple[str, ...]
    product: str
    interfaces: tuple[tuple[str, str], ...]  # name and version, as GLUE2 has them
    csr_version: int  # X.509 version field of certificate requests; 2 is illegal
    tells_why_forbidden: bool  # the reason of a 403 also in the body


TRAITS: Mapping[Flavour, Traits] = {
    Flavour.V6: Traits(
        ("1.0",),
        "6.17.0",
        (("org.ogf.glue.emies.activitycreation", "1.16"), ("org.nordugrid.arcrest", "0.1")),
        csr_version=2,
        tells_why_forbidden=False,
    ),
    Flavour.V7: Traits(
        ("1.0", "1.1"), "7.0.0", (("org.nordugrid.arcrest", "1.1"),), csr_version=0, tells_why_forbidden=True
    ),
}


def new_id(flavour: Flavour) -> str:
    """Of a job: 54 letters and digits (6.17), or 12 hexadecimal digits."""
    if flavour is Flavour.V6:
        return "".join(secrets.choice(_ID_LETTERS) for _ in range(54))
    return secrets.token_hex(6)


class Refusal(Exception):
    """An HTTP error: empty body, the text is in the reason phrase."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


def refused(refusal: Refusal, flavour: Flavour) -> web.Response:
    if refusal.status == 403 and TRAITS[flavour].tells_why_forbidden:
        return web.Response(status=403, reason=refusal.reason, text=refusal.reason)
    return web.Response(status=refusal.status, reason=refusal.reason)


def answer(
    request: web.Request, flavour: Flavour, root: str, tree: Mapping[str, Tree], status: int = 200
) -> web.Response:
    """`tree` below an element `root`, in the first format of `Accept` that is known; HTML without one."""
    wanted = accepted(request.headers.getall("Accept", []))
    if wanted == JSON:
        body = to_json(flavour, tree)
    elif wanted == XML:
        body = f'<?xml version="1.0"?>\n{to_xml(root, tree)}'
    else:
        body = f"<!DOCTYPE HTML>\n<HTML><HEAD>{root}</HEAD><BODY>{_to_html(tree)}</BODY></HTML>"
    return web.Response(status=status, body=body.encode(), headers={"Content-Type": wanted})


def accepted(headers: Sequence[str]) -> str:
    for given in (part.partition(";")[0].strip() for header in headers for part in header.split(",")):
        if given in _FORMATS:
            return _FORMATS[given]
    return HTML


def to_json(flavour: Flavour, tree: Mapping[str, Tree]) -> str:
    """6.17 writes a list of one as its member, and nothing at all for nothing."""
    if flavour is Flavour.V6:
        bare = _bare(tree)
        return json.dumps(bare, separators=(",", ":")) if bare else ""
    return json.dumps(_arrayed(tree), separators=(",", ":"))


def _bare(tree: Tree) -> object:
    if isinstance(tree, str):
        return tree
    if isinstance(tree, Mapping):
        blank = tree.get(ATTRIBUTES)
        shown = {key: _bare(value) for key, value in tree.items() if key != ATTRIBUTES and value != []}
        return shown | ({ATTRIBUTES: dict.fromkeys(blank, " ")} if isinstance(blank, Mapping) else {})
    return _bare(tree[0]) if len(tree) == 1 else [_bare(member) for member in tree]


def _arrayed(tree: Tree, key: str = "") -> object:
    if isinstance(tree, str):
        return tree
    if isinstance(tree, Mapping):
        return {name: _arrayed(value, name) for name, value in tree.items()}
    if len(tree) == 1 and key not in _LISTS:
        return _arrayed(tree[0])
    return [_arrayed(member) for member in tree]


def to_xml(tag: str, tree: Tree) -> str:
    """A list becomes repeated elements."""
    if isinstance(tree, str):
        return f"<{tag}>{escape(tree, quote=False)}</{tag}>" if tree else f"<{tag}/>"
    if isinstance(tree, Mapping):
        given = tree.get(ATTRIBUTES, {})
        attributes = given.items() if isinstance(given, Mapping) else ()
        opening = tag + "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes)
        inner = "".join(to_xml(name, value) for name, value in tree.items() if name not in (ATTRIBUTES, TEXT))
        inner += escape(str(tree.get(TEXT, "")), quote=False)
        return f"<{opening}>{inner}</{tag}>"
    return "".join(to_xml(tag, member) for member in tree)


TEXT = "_text"  # an element with attributes and text; XML only


def _to_html(tree: Tree) -> str:
    if isinstance(tree, str):
        return escape(tree)
    if isinstance(tree, Mapping):
        rows = (f"<TR><TD>{escape(key)}</TD><TD>{_to_html(value)}</TD></TR>" for key, value in tree.items())
        return f"<TABLE>{''.join(rows)}</TABLE>"
    return "<BR>".join(_to_html(member) for member in tree)
