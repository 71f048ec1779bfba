"""The control port of the simulated storage: its files, its registered inputs, its manners."""

from dataclasses import asdict

from aiohttp import web
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from act_core.simulators.panda_jobs import InputName
from act_core.simulators.storage_http import Shelf

_INPUTS = TypeAdapter(list[InputName])


class MannersChange(BaseModel):
    """What the control port may change."""

    model_config = ConfigDict(extra="forbid")

    digest: bool | None = None
    digests: tuple[str, ...] | None = None
    redirect: bool | None = None
    redirect_to: str | None = None
    token: str | None = None
    propfind: bool | None = None
    recursive: bool | None = None
    forbidden: tuple[str, ...] | None = None
    read_only: tuple[str, ...] | None = None


class StorageControl:
    """Routes for the control port."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/books", self.books),
            web.get("/books/summary", self.summary),
            web.post("/inputs", self.register),
            web.post("/manners", self.manners),
        ]

    async def books(self, _: web.Request) -> web.Response:
        """Path, size and adler32 of every file that was written."""
        return web.json_response({"files": [asdict(file) for file in self._shelf.files.listed()]})

    async def summary(self, _: web.Request) -> web.Response:
        return web.json_response({"files": len(self._shelf.files), "inputs": len(self._shelf.inputs)})

    async def register(self, request: web.Request) -> web.Response:
        """A list of `{scope, lfn, size}`: their content follows from the name, so that everybody knows its checksum."""
        try:
            inputs = _INPUTS.validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        for file in inputs:
            self._shelf.inputs.register(file.scope, file.lfn, file.size)
        return web.json_response({"inputs": len(self._shelf.inputs)})

    async def manners(self, request: web.Request) -> web.Response:
        try:
            change = MannersChange.model_validate_json(await request.read())
        except ValidationError as error:
            return web.json_response({"error": str(error)}, status=400)
        for name, value in change.model_dump(exclude_unset=True).items():
            if value is None and name not in ("redirect_to", "token"):
                return web.json_response({"error": f"{name}: a value is wanted"}, status=400)
            setattr(self._shelf.manners, name, value)
        return web.json_response(asdict(self._shelf.manners))
