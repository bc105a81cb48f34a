"""Which of the app's routes a request takes, as soon as its router says so.

ASGI has no word for that. Routers that know routes as templates put them into the scope, under
`route`, Litestar's under `path_template`; this scope is a dict that notices it, so that what is
logged in the handler has the route.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

__all__ = ["RoutedScope", "template_of"]


class RoutedScope(dict[str, Any]):
    """An ASGI scope which calls `found` with the route's template, again if it changes.

    Copies of it are plain dicts: behind a middleware that makes one, routes stay unknown.
    """

    __slots__ = ("_found", "_last", "_mount", "_path", "_prefix")

    def __init__(self, scope: Any, found: Callable[[str], None]) -> None:
        super().__init__(scope)
        self._found = found
        self._last: str | None = None
        self._mount: Any = None
        self._path = self.get("path", "")
        self._prefix = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def look(self) -> None:
        """See what a router around has chosen already, if this is below one."""
        if "path_template" in self:
            self._try(self._look_at_template)
        elif "route" in self and not hasattr(self["route"], "routes"):
            self._try(self._look)

    def forget(self) -> None:
        """Look no longer: the call is over."""
        self._found = _nobody

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if key == "route":
            self._try(self._look)
        elif key == "path_template":
            self._try(self._look_at_template)

    def update(self, *args: Any, **more: Any) -> None:
        """Change the scope, as a router does when it has chosen."""
        before = self.get("root_path")
        super().update(*args, **more)
        after = self.get("root_path")
        if after != before:  # it was a mount: what comes is a route in there
            self._enter(str(before or ""), str(after or ""))
        elif "route" in more or (args and "route" in args[0]):
            self._try(self._look)

    def __ior__(self, other: Any) -> Self:  # type: ignore[override,misc]
        self.update(dict(other))
        return self

    def _enter(self, before: str, after: str) -> None:
        mount, self._mount = self._mount, None
        self._prefix += template_of(mount) or after.removeprefix(before)

    def _try(self, look: Callable[[], None]) -> None:
        try:
            look()
        except Exception:  # the app's own objects, which may do as they like: no route, then
            self._mount = None

    def _look(self) -> None:
        route = self.get("route")
        if hasattr(route, "routes"):  # a mount: the router says next what it takes off the path
            self._mount = route
            return
        self._take(_with_routers(self, route))

    def _look_at_template(self) -> None:
        if getattr(self.get("route_handler"), "is_mount", False):
            # Litestar names the root then, and only takes the mount's own part off the path.
            path = str(self._path).removeprefix(str(self.get("root_path", ""))).rstrip("/")
            self._prefix += path.removesuffix(str(self.get("path", "")).rstrip("/"))
        else:
            self._take(template_of(self["path_template"]))

    def _take(self, template: str | None) -> None:
        if template is not None:
            template = self._prefix + template
            if template != self._last:
                self._last = template
                self._found(template)


def template_of(route: Any) -> str | None:
    """Return `/users/{id}` for a route: its `path`, or the text that it is."""
    path = route if isinstance(route, str) else getattr(route, "path", None)
    return path if isinstance(path, str) else None


def _nobody(template: str) -> None:
    """Who is told of routes when a call is over."""


def _with_routers(scope: RoutedScope, route: Any) -> str | None:
    """Return a route's template, with the prefixes of the routers that include it.

    FastAPI keeps those beside the route since it no longer copies the routes of routers.
    """
    fastapi = scope.get("fastapi")
    if isinstance(fastapi, dict):
        included = fastapi.get("effective_route_context")
        if getattr(included, "original_route", None) is route:
            return template_of(included)
    return template_of(route)
