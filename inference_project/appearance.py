"""How the admin looks and where its sidebar leads, as settings of django-unfold. Colors are in `gateway.css`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.urls import reverse_lazy

if TYPE_CHECKING:
    from django.http import HttpRequest


def _sees(model: str, request: HttpRequest) -> bool:
    # Settings are read before there are models.
    from django.apps import apps
    from django.contrib import admin

    return admin.site._registry[apps.get_model(model)].has_module_permission(request)


def _link(title: str, icon: str, model: str) -> dict[str, Any]:
    """Return a link to the list of `model`, for those who see something in it."""
    address = f"admin:{model.lower().replace('.', '_')}_changelist"
    return {"title": title, "icon": icon, "link": reverse_lazy(address), "permission": partial(_sees, model)}


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Inference gateway",
    "SITE_HEADER": "Inference gateway",
    "SITE_SYMBOL": "forum",
    # The root of the gateway is its API; there is no page to view.
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "SHOW_BACK_BUTTON": True,
    "DASHBOARD_CALLBACK": "inference_project.home.context",
    "SIDEBAR": {
        "navigation": [
            {"items": [{"title": "Home", "icon": "home", "link": reverse_lazy("admin:index")}]},
            {
                "title": "Inference",
                "items": [
                    _link("Inference endpoints", "lan", "endpoints.Endpoint"),
                    {"title": "Playground", "icon": "play_circle", "link": reverse_lazy("playground")},
                    {"title": "Live streams", "icon": "stream", "link": reverse_lazy("live_streams")},
                    _link("History", "history", "endpoints.Change"),
                ],
            },
            {
                "title": "Access",
                "items": [
                    _link("API keys", "key", "access.ApiKey"),
                    _link("Teams", "groups", "access.Team"),
                    _link("Users", "person", "access.User"),
                    _link("Roles", "badge", "auth.Group"),
                ],
            },
        ],
    },
}
